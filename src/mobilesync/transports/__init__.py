"""How bytes reach devices: sockets, TLS, certificates, and the push services that wake an app.

Everything that waits for a network. Not here: what the bytes mean (`protocol`), what to push and
whom to wake (`engine`).
"""

"""How bytes reach devices: sockets, TLS, certificates. Everything that waits for a network.

Not here: what the bytes mean (`protocol`), and what to push (`engine`).
"""

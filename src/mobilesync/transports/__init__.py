"""How bytes reach devices: sockets, TLS, certificates. Everything that waits for a network."""

"""The whole system under one seed: server, network, disk, devices and publishers in virtual time."""

"""Ports that are still a test's own after nobody listened on them for a while.

Below those that the system gives to whoever asks for any: or a device that calls while its server
is down might be given the server's own port and talk to itself, and a server that comes back might
find another test's there. Each worker of a parallel run has ports of its own.
"""

import os
import random
import socket

_PORTS = range(20_000, 32_000)
_SHARES = 16


def free_port() -> int:
    """A port of 127.0.0.1 that is free now, and that no other test takes by chance."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ours = _PORTS[worker % _SHARES :: _SHARES]
    for port in random.SystemRandom().sample(ours, len(ours)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("all ports of this worker are taken")

"""Mosquitto 2: MQTT with QoS 1 and persistent sessions.

It keeps its state in memory and saves it now and then: it answers a publish before any fsync. No
queue is bounded, so that it drops nothing.
"""

import getpass
from collections.abc import Sequence

from benchmarks.peers.peer import HOST, Place, Recipe


def _prepare(place: Place, program: str) -> Sequence[str]:
    settings = [
        # Started by root it would become a user who may not read the certificate's key.
        f"user {getpass.getuser()}",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {place.folder}/",
        "max_queued_messages 0",
        "max_inflight_messages 0",
        # Without it each answer waits for the one before to be acked by TCP: up to 40 ms.
        "set_tcp_nodelay true",
        "log_type error",
        f"listener {place.publish_port} {HOST}",
        f"listener {place.device_port} {HOST}",
        f"certfile {place.certificate}",
        f"keyfile {place.key}",
        "tls_version tlsv1.3",
    ]
    path = place.folder / "mosquitto.conf"
    path.write_text("\n".join(settings) + "\n")
    return (program, "-c", str(path))


MOSQUITTO = Recipe("mosquitto", "mosquitto", "mosquitto", None, _prepare)

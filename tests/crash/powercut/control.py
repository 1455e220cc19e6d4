"""The control channel's commands: one line in, one answer out.

Strategy: `Control` turns a line into switches of the disk and images in directories. It knows no
pipe and no FUSE; `__main__` carries the lines.

    cut [SURVIVE] [SEED]            cut the power now; the backing directory gets the image
    arm SYNCS [SURVIVE] [SEED]      let SYNCS more syncs pass, and cut at the beginning of the next
    image DIRECTORY [SURVIVE] [SEED]    write what a cut now would leave, and go on
    full | ioerror | nosync | heal  switch faults on, or all of them off
    stats                           counts and sizes
    stop                            write everything, unmount, end
"""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from tests.crash.powercut.backing import store
from tests.crash.powercut.disk import Disk
from tests.crash.powercut.survival import Survive, image_of

Answer = dict[str, Any]


class BadCommand(ValueError):
    """A line that is no command; the text says what is wrong with it."""


class Control:
    def __init__(self, disk: Disk, backing: Path) -> None:
        self._disk = disk
        self._backing = backing
        self._armed: tuple[int, str, str] | None = None
        self.stopped = False

    def answer(self, line: str) -> Answer:
        """Carry out one line. Always answers; `ok` is false when it was refused."""
        words = line.split()
        commands: dict[str, Callable[..., Answer]] = {
            "cut": self._cut,
            "arm": self._arm,
            "image": self._image,
            "full": lambda: self._switch("full"),
            "ioerror": lambda: self._switch("ioerror"),
            "nosync": lambda: self._switch("nosync"),
            "heal": self._heal,
            "stats": self.stats,
            "stop": self._stop,
        }
        try:
            if not words or words[0] not in commands:
                raise BadCommand(f"unknown command; there are: {', '.join(commands)}")
            if self._disk.faults.cut and words[0] not in {"stats", "stop"}:
                raise BadCommand("the power is cut already")
            return {"ok": True} | commands[words[0]](*words[1:])
        except (BadCommand, TypeError, OSError) as error:
            return {"ok": False, "why": str(error)}

    def before_sync(self) -> bool:
        """To be called ahead of every sync; true when the armed cut fell just now."""
        if self._armed is None or self._disk.faults.cut:
            return False
        left, survive, seed = self._armed
        if left > 0:
            self._armed = (left - 1, survive, seed)
            return False
        self._cut(survive, seed)
        return True

    def close(self) -> None:
        """The file system was unmounted: a machine shut down in order, unless power was cut."""
        if not self._disk.faults.cut:
            store(image_of(self._disk, "all"), self._backing)

    def stats(self) -> Answer:
        disk = self._disk
        return (
            dataclasses.asdict(disk.counts)
            | dataclasses.asdict(disk.faults)
            | {
                "model": disk.model,
                "nodes": len(disk.nodes),
                "used_bytes": disk.used_bytes,
                "pending_bytes": disk.pending_bytes,
                "pending_names": len(disk.journal.pending),
            }
        )

    def _cut(self, survive: str = "none", seed: str = "0") -> Answer:
        image = image_of(self._disk, *_survival(survive, seed))
        self._disk.faults.cut = True
        store(image, self._backing)
        return {"files": len(image.files())}

    def _arm(self, syncs: str, survive: str = "none", seed: str = "0") -> Answer:
        if not syncs.isdecimal():
            raise BadCommand(f"a number of syncs, not {syncs!r}")
        _survival(survive, seed)
        self._armed = (int(syncs), survive, seed)
        return {}

    def _image(self, directory: str, survive: str = "none", seed: str = "0") -> Answer:
        target = Path(directory)
        target.mkdir(exist_ok=True)
        if any(target.iterdir()):
            raise BadCommand("the directory for an image must be empty")
        image = image_of(self._disk, *_survival(survive, seed))
        store(image, target)
        return {"files": len(image.files())}

    def _switch(self, fault: str) -> Answer:
        setattr(self._disk.faults, fault, True)
        return {}

    def _heal(self) -> Answer:
        self._disk.faults.heal()
        return {}

    def _stop(self) -> Answer:
        self.stopped = True
        return {}


def _survival(survive: str, seed: str) -> tuple[Survive, random.Random]:
    known: tuple[Survive, ...] = get_args(Survive)
    for name in known:
        if name == survive and seed.isdecimal():
            return name, random.Random(int(seed))
    raise BadCommand(f"one of {', '.join(known)} and a seed, not {survive!r} {seed!r}")

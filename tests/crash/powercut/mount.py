"""The power-cut disk as tests use it: mounted on entry, gone on exit.

Strategy: the file system is a child process, commanded through its standard input. It ends when
that pipe does, so a test run that is killed leaves no mount behind; beyond that, this file
unmounts what it mounted itself, lazily, since a killed server may still hold files open.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.crash.powercut.disk import CAPACITY_BYTES, Model
from tests.crash.powercut.survival import Survive
from tests.measurement import unmeasured_environment

REPOSITORY = Path(__file__).resolve().parents[3]
END_TIMEOUT_S = 10


def why_unavailable() -> str | None:
    """One sentence that says what is missing here, or None when a disk can be mounted."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "the power-cut disk needs /dev/fuse, readable and writable"
    if shutil.which("fusermount3") is None:
        return "the power-cut disk needs fusermount3: apt-get install fuse3"
    try:
        for name in ("pyfuse3", "trio"):
            importlib.import_module(name)
    except ImportError as error:
        return f"the power-cut disk needs pip install 'mobilesync[crash]' ({error})"
    return None


class DiskRefused(Exception):
    """The disk did not do what it was told; the text says why."""


class PowerCutDisk:
    """A mounted disk below `folder`, which must be empty or one that was used so before.

    `path` is where programs work, `backing` holds what survived the last cut or unmount.
    """

    def __init__(
        self, folder: Path, *, model: Model = "journal", capacity_bytes: int = CAPACITY_BYTES
    ) -> None:
        self.path = folder / "disk"
        self.backing = folder / "platters"
        self._model = model
        self._capacity_bytes = capacity_bytes
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.mount()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def mount(self) -> None:
        """Start the file system; everything in `backing` is durable then."""
        if self._process is not None:
            raise DiskRefused("the disk is mounted already")
        self.path.mkdir(parents=True, exist_ok=True)
        self.backing.mkdir(exist_ok=True)
        command = [
            sys.executable,
            *("-m", "tests.crash.powercut", str(self.backing), str(self.path)),
            *("--model", self._model, "--capacity-bytes", str(self._capacity_bytes)),
        ]
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=unmeasured_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._answer()
        except BaseException:
            self._end()
            raise

    def remount(self) -> None:
        """What a machine sees when power comes back. Files still open before fail for ever."""
        self._end()
        self.mount()

    def unmount(self) -> None:
        """An orderly shutdown: everything reaches `backing`, synced or not, unless it was cut."""
        self._tell("stop")
        self._answer()
        self._end()

    def cut(self, survive: Survive = "none", seed: int = 0) -> None:
        """Cut the power. Durable things are in `backing` when this returns, all else fails."""
        self._tell("cut", survive, seed)

    def arm(self, syncs: int, survive: Survive = "none", seed: int = 0) -> None:
        """Let `syncs` more syncs pass; the power fails at the beginning of the next one."""
        self._tell("arm", syncs, survive, seed)

    def image(self, directory: Path, survive: Survive = "none", seed: int = 0) -> None:
        """Write what a cut at this moment would leave to an empty directory, and go on."""
        self._tell("image", directory.resolve(), survive, seed)

    def full(self) -> None:
        """From now on writes that make a file larger fail with ENOSPC."""
        self._tell("full")

    def ioerror(self) -> None:
        """From now on syncs fail with EIO, and what they should have written never arrives."""
        self._tell("ioerror")

    def nosync(self) -> None:
        """From now on syncs are acknowledged and ignored: to show that a crash test can fail."""
        self._tell("nosync")

    def heal(self) -> None:
        """End `full`, `ioerror` and `nosync`."""
        self._tell("heal")

    def stats(self) -> dict[str, Any]:
        return self._tell("stats")

    def _tell(self, *words: object) -> dict[str, Any]:
        if self._process is None or self._process.stdin is None:
            raise DiskRefused("the disk is not mounted")
        line = " ".join(str(word) for word in words)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise DiskRefused(f"the disk's process has ended before {line!r}") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DiskRefused(f"the disk's process ended with {self._process.wait(END_TIMEOUT_S)}")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise DiskRefused(answer["why"])
        return answer

    def _end(self) -> None:
        """End the process and the mount, whatever state they are in."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        if os.path.ismount(self.path) or not _answers(self.path):
            subprocess.run(["fusermount3", "-u", "-z", str(self.path)], check=True)


def _answers(path: Path) -> bool:
    """False for a mount whose process died ("transport endpoint is not connected")."""
    try:
        path.stat()
    except OSError:
        return False
    return True

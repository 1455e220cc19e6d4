"""`python -m tests.crash.powercut BACKING MOUNTPOINT`: mount, and obey standard input.

Strategy: commands come as lines on standard input, answers leave as JSON lines on standard output,
the first one when the mount is ready. The end of standard input is a cut: whoever held the pipe
died, and the mount must not outlive it. Unmounting from outside writes everything and ends.

Not here: daemons, logs. It ends with its owner.
"""

import argparse
import errno
import json
import os
import sys
import time
from pathlib import Path

import pyfuse3
import trio

from tests.crash.powercut.backing import load
from tests.crash.powercut.control import Answer, Control
from tests.crash.powercut.disk import CAPACITY_BYTES, Disk
from tests.crash.powercut.operations import PowerCutOperations

LINE_BYTES_MAX = 4096


def _say(answer: Answer) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _forget_pages(disk: Disk) -> None:
    """Make the kernel drop cached pages, so that reads after the cut come to us and fail."""
    for ino in tuple(disk.nodes):
        try:
            # In a thread: it may wait for a request that only this loop can answer.
            await trio.to_thread.run_sync(pyfuse3.invalidate_inode, ino)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOSYS, errno.EBADF, errno.ENOTCONN}:
                raise


async def _obey(control: Control, disk: Disk) -> None:
    """Carry lines to the control until the pipe ends or `stop` comes."""
    pending = b""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as pipe:
        async for chunk in pipe:
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                was_cut = disk.faults.cut
                answer = control.answer(line.decode(errors="replace"))
                if disk.faults.cut and not was_cut:
                    await _forget_pages(disk)
                _say(answer)
                if control.stopped:
                    return
            if len(pending) > LINE_BYTES_MAX:
                _say({"ok": False, "why": "the line is too long"})
                break
    if not disk.faults.cut:
        control.answer("cut")


async def _serve(backing: Path, mountpoint: Path, disk: Disk) -> None:
    control = Control(disk, backing)
    async with trio.open_nursery() as nursery:

        def before_sync() -> None:
            if control.before_sync():
                nursery.start_soon(_forget_pages, disk)

        options = set(pyfuse3.default_options) | {"fsname=powercut"}
        pyfuse3.init(PowerCutOperations(disk, before_sync), str(mountpoint), options)
        try:
            _say({"ok": True, "mounted": str(mountpoint)})

            async def obey_then_end() -> None:
                await _obey(control, disk)
                pyfuse3.terminate()

            nursery.start_soon(obey_then_end)
            await pyfuse3.main()
            nursery.cancel_scope.cancel()
            control.close()
        finally:
            pyfuse3.close(unmount=True)
    _say({"ok": True, "ended": True})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.powercut", description=__doc__)
    parser.add_argument("backing", type=Path, help="directory that holds what is durable")
    parser.add_argument("mountpoint", type=Path, help="directory to mount on")
    parser.add_argument("--model", choices=["journal", "strict"], default="journal")
    parser.add_argument("--capacity-bytes", type=int, default=CAPACITY_BYTES)
    given = parser.parse_args()
    disk = Disk(now_ns=time.time_ns, model=given.model, capacity_bytes=given.capacity_bytes)
    load(disk, given.backing)
    trio.run(_serve, given.backing, given.mountpoint, disk)


if __name__ == "__main__":
    main()

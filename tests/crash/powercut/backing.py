"""From a real directory to the disk at the mount, and back at the cut.

Strategy: the whole tree is read at the mount and counts as durable. At the cut or the unmount the
directory's contents are replaced by an image. Hard links are kept both ways.

Not here: symbolic links and devices, which are refused at the mount.
"""

import os
import shutil
import stat
from pathlib import Path

from tests.crash.powercut.disk import ROOT, Disk
from tests.crash.powercut.survival import Image


def load(disk: Disk, directory: Path) -> None:
    """Fill an empty disk. ValueError for what is neither file, socket nor directory."""
    known: dict[tuple[int, int], int] = {}

    def fill(parent: int, path: bytes) -> None:
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            told = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(told.st_mode):
                fill(disk.create(parent, entry.name, told.st_mode).ino, entry.path)
            elif stat.S_ISSOCK(told.st_mode):
                disk.create(parent, entry.name, told.st_mode)
            elif not stat.S_ISREG(told.st_mode):
                raise ValueError(f"neither a file, a socket nor a directory: {entry.path!r}")
            elif (told.st_dev, told.st_ino) in known:
                disk.link(known[told.st_dev, told.st_ino], parent, entry.name)
            else:
                node = disk.create(parent, entry.name, told.st_mode)
                known[told.st_dev, told.st_ino] = node.ino
                disk.write(node.ino, 0, Path(os.fsdecode(entry.path)).read_bytes())

    fill(ROOT, os.fsencode(directory))
    disk.sync_all()


def store(image: Image, directory: Path) -> None:
    """Replace what is in `directory` by `image`."""
    for path in tuple(directory.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    written: dict[int, bytes] = {}

    def put(children: Image, path: bytes) -> None:
        for name, child in children.entries.items():
            target = os.path.join(path, name)
            if child.contents is None:
                os.mkdir(target)
                put(child, target)
            elif id(child) in written:
                os.link(written[id(child)], target)
                continue
            elif stat.S_ISSOCK(child.mode):
                # Nobody listens behind it any more; the name stays, as on any disk.
                os.mknod(target, child.mode)
            else:
                with open(target, "xb") as file:
                    file.write(child.contents)
                written[id(child)] = target
            os.chmod(target, stat.S_IMODE(child.mode))

    put(image, os.fsencode(directory))

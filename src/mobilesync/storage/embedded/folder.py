"""The data folder: what tells a store from a stranger's files, and who may open it.

    MOBILESYNC    JSON: format version, kind (store, backup, unfinished), engine, the epochs
    LOCK          held while a process has the store open; holds its process id
    rocksdb/      the database

Strategy: MOBILESYNC is always written as a whole (a new file, synced, renamed, the folder synced).
It says `unfinished` until the database is there, so that the making of a store may be cut short
and begun anew, while a database that lost its MOBILESYNC is never taken for nothing. Nothing in a
folder is touched before MOBILESYNC was read and understood.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from mobilesync import __version__
from mobilesync.domain.errors import StoreFolderRefused
from mobilesync.storage.embedded.options import Durability

FORMAT = 2
"""Format 1 was never released."""
ENGINE = "rocksdb"
EPOCH_BITS = 48
_MARKER = "MOBILESYNC"
_LOCK = "LOCK"
_DATABASE = "rocksdb"

Kind = Literal["store", "backup", "unfinished"]


class Marker(Struct, frozen=True, kw_only=True):
    """The content of MOBILESYNC."""

    format: int
    kind: Kind
    engine: str
    lineage: tuple[int, ...]
    """The epochs of the store, the current one last."""
    created_by: str = ""
    """The version of Mobilesync that wrote it."""
    durability: Durability = "fsync"
    """How the store was opened last: what a power cut may have torn depends on it."""


class _Format(Struct):
    """What is read first: a newer format may have changed everything else."""

    format: int


def make_marker(lineage: tuple[int, ...], durability: Durability, kind: Kind = "store") -> Marker:
    """What MOBILESYNC says in a store of this version."""
    return Marker(
        format=FORMAT,
        kind=kind,
        engine=ENGINE,
        lineage=lineage,
        created_by=__version__,
        durability=durability,
    )


def database_path(folder: Path) -> Path:
    """Where the database of a data folder is."""
    return folder / _DATABASE


def read_marker(folder: Path, kind: Kind) -> Marker | None:
    """What MOBILESYNC says; None when the folder is missing, empty or an unfinished store.

    Raises StoreFolderRefused when it is something else than a `kind` that this version reads.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise StoreFolderRefused(f"{folder} is not a folder", hint="name a folder for the data")
    try:
        data = (folder / _MARKER).read_bytes()
    except FileNotFoundError:
        if _is_empty(folder):
            return None
        hint = "name an empty folder, or a store; remove what an interrupted restore or backup left"
        raise StoreFolderRefused(
            f"{folder} holds files but no {_MARKER} file: it is not a data folder", hint=hint
        ) from None
    except OSError as error:
        hint = "see that this user may read it, and that the disk is sound"
        raise StoreFolderRefused(f"{folder / _MARKER}: {error.strerror}", hint=hint) from error
    return _parse(folder, data, kind)


def write_marker(folder: Path, marker: Marker) -> None:
    """Write MOBILESYNC, durably, all or nothing."""
    write_durably(folder / _MARKER, msgspec.json.format(msgspec.json.encode(marker), indent=2))


def write_durably(path: Path, data: bytes) -> None:
    """Write a whole file so that after a power cut it is the old one or the new one."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make `folder`, and what is missing above it; no power cut takes any of it away again.

    That holds too for a folder whose maker was killed before it was durable.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode, parents=True, exist_ok=True)
    for each in made:
        sync_folder(each.parent)
    if not made:
        # Who may not read what it is in has not made it.
        with contextlib.suppress(PermissionError):
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FolderLock:
    """Keeps other processes out of a data folder. The system drops it when this one dies."""

    def __init__(self, folder: Path) -> None:
        """Raises StoreFolderRefused when another process has the folder open."""
        self._descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._descriptor, 20).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            by = f" (process {owner})" if owner else ""
            hint = "stop that process first, or name another folder"
            raise StoreFolderRefused(f"{folder} is in use{by}", hint=hint) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others in. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _parse(folder: Path, data: bytes, kind: Kind) -> Marker | None:
    damaged = f"{folder / _MARKER} is damaged"
    hint = "restore a backup: mobilesync restore"
    try:
        found = msgspec.json.decode(data, type=_Format).format
    except msgspec.DecodeError as error:
        raise StoreFolderRefused(damaged, hint=hint) from error
    if found > FORMAT:
        raise StoreFolderRefused(
            f"{folder} has format {found}, and this version reads up to {FORMAT}",
            hint="run the version of Mobilesync that wrote it, or a newer one",
        )
    if found == 1:
        raise StoreFolderRefused(
            f"{folder} was written before the first release, and cannot be read any more",
            hint="name another folder, and publish anew",
        )
    try:
        marker = msgspec.json.decode(data, type=Marker)
    except msgspec.DecodeError as error:
        raise StoreFolderRefused(damaged, hint=hint) from error
    if found < 1 or not marker.lineage or len(set(marker.lineage)) != len(marker.lineage):
        raise StoreFolderRefused(damaged, hint=hint)
    if marker.engine != ENGINE:
        raise StoreFolderRefused(
            f"{folder} belongs to the engine {marker.engine!r}, not to {ENGINE}",
            hint="name another folder",
        )
    if marker.kind == "unfinished" and kind == "store":
        return None
    if marker.kind != kind:
        other = "make a store from it: mobilesync restore" if kind == "store" else "name a backup"
        raise StoreFolderRefused(f"{folder} is a {marker.kind}, not a {kind}", hint=other)
    return marker


def _is_empty(folder: Path) -> bool:
    # What an interrupted creation leaves behind does not count.
    leftovers = {_LOCK, _MARKER + ".new", "lost+found"}
    return all(entry.name in leftovers for entry in folder.iterdir())

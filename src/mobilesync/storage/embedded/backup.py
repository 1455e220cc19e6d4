"""Copies of a store, made while it serves, and stores made from copies.

Strategy: a checkpoint inside the data folder is made of hard links and takes a moment; its files
are then copied out, synced, and listed with their checksums. A backup is therefore a copy of its
own, whatever disk it is on. MOBILESYNC comes last and says `backup`: a backup cut short is no
backup, and none can be served by accident. `restore` checks every byte against the list before it
makes a store, and gives that store a new epoch, since devices may know of more than it does.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct

from mobilesync.domain.errors import InvalidRequest, StoreFolderRefused, StoreUnavailable
from mobilesync.storage.contract import BackupReport
from mobilesync.storage.embedded.folder import (
    EPOCH_BITS,
    Marker,
    database_path,
    make_folder,
    make_marker,
    read_marker,
    sync_folder,
    write_durably,
    write_marker,
)
from mobilesync.storage.embedded.tables import Tables

Progress = Callable[[int, int], None]
_LIST = "FILES"
_CHECKPOINT = "checkpoint.new"
_CHUNK_BYTES = 1024 * 1024


class _File(Struct, frozen=True):
    name: str
    bytes: int
    blake2b: str


def new_epoch(random: Random, lineage: tuple[int, ...] = ()) -> int:
    """An epoch that none in `lineage` equals; never 0."""
    while True:
        epoch = random.getrandbits(EPOCH_BITS)
        if epoch and epoch not in lineage:
            return epoch


def write_backup(
    tables: Tables, marker: Marker, path: Path, progress: Progress | None
) -> BackupReport:
    """See `Store.backup`. Long; for a thread."""
    if path.exists() or path.is_symlink():
        hint = "name a folder that does not exist yet"
        raise InvalidRequest(f"{path} exists already", field="path", hint=hint)
    checkpoint = tables.path.parent / _CHECKPOINT
    shutil.rmtree(checkpoint, ignore_errors=True)
    try:
        # Flushed first, because making the checkpoint holds the interpreter lock.
        tables.flush()
        tables.checkpoint(checkpoint)
        make_folder(path, 0o700)
        files = _copy(checkpoint, database_path(path), progress)
        write_durably(path / _LIST, msgspec.json.format(msgspec.json.encode(files), indent=1))
        write_marker(path, msgspec.structs.replace(marker, kind="backup"))
    except InvalidRequest:
        raise
    except Exception as error:
        hint = f"{error}; remove {path} and try again"
        raise StoreUnavailable("the backup failed", hint=hint) from error
    finally:
        shutil.rmtree(checkpoint, ignore_errors=True)
    return BackupReport(path, sum(file.bytes for file in files), marker.lineage[-1])


def restore(backup: Path, folder: Path, *, random: Random, progress: Progress | None = None) -> int:
    """Make a store in `folder`, missing or empty, from `backup`; answers its new epoch.

    Raises StoreFolderRefused, before anything is written, when the backup is none, incomplete or
    damaged, or when `folder` holds anything. `progress` is called with bytes done and in all: the
    backup's bytes are counted twice, since they are checked, then copied.
    """
    marker = read_marker(backup, "backup")
    if marker is None:
        raise StoreFolderRefused(f"{backup} is no backup", hint="it is missing or empty")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        hint = "name an empty folder; a store is never overwritten"
        raise StoreFolderRefused(f"{folder} is not empty", hint=hint)
    files = _listed(backup)
    total = sum(file.bytes for file in files)
    source = database_path(backup)
    done = 0
    for file in files:
        if not _is_good(source / file.name, file):
            hint = "take another backup; this one cannot be trusted"
            raise StoreFolderRefused(f"{source / file.name} is damaged or missing", hint=hint)
        done += file.bytes
        _report(progress, done, 2 * total)
    epoch = new_epoch(random, marker.lineage)
    make_folder(folder, 0o700)
    _copy(source, database_path(folder), _shifted(progress, total))
    lineage = (*marker.lineage, epoch)
    write_marker(folder, make_marker(lineage, "fsync"))
    return epoch


def _copy(source: Path, target: Path, progress: Progress | None) -> list[_File]:
    """Copy the files of a folder, each synced, and answer what they are."""
    target.mkdir()
    paths = sorted(path for path in source.iterdir() if path.is_file() and path.name != "LOCK")
    total = sum(path.stat().st_size for path in paths)
    done = 0
    files: list[_File] = []
    for path in paths:
        digest = hashlib.blake2b(digest_size=32)
        size = 0
        with (target / path.name).open("wb") as copy:
            for chunk in _chunks(path):
                copy.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                _report(progress, done + size, total)
            copy.flush()
            os.fsync(copy.fileno())
        done += size
        files.append(_File(path.name, size, digest.hexdigest()))
    sync_folder(target)
    return files


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _listed(backup: Path) -> list[_File]:
    with _refusing(backup / _LIST):
        files = msgspec.json.decode((backup / _LIST).read_bytes(), type=list[_File])
        if any("/" in file.name or file.name.startswith(".") for file in files):
            raise msgspec.ValidationError("names a file outside the backup")
        return files


def _is_good(path: Path, file: _File) -> bool:
    with _refusing(path):
        if path.stat().st_size != file.bytes:
            return False
        digest = hashlib.blake2b(digest_size=32)
        for chunk in _chunks(path):
            digest.update(chunk)
        return digest.hexdigest() == file.blake2b


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, msgspec.DecodeError) as error:
        hint = "take another backup; this one cannot be trusted"
        raise StoreFolderRefused(f"{path} cannot be read: {error}", hint=hint) from error


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _shifted(progress: Progress | None, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(total + done, 2 * total)

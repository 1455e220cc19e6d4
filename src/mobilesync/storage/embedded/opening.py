"""Opening a data folder: the checks before, the database, and the store.

Strategy: refuse with a sentence before anything is touched; then take the lock, then open. A new
folder is marked as unfinished until its database is there. A log whose end a power cut has torn
is opened without that end, which nobody was told of; one that is damaged otherwise is refused
(wal.py).
"""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from msgspec import structs
from rocksdict import DBRecoveryMode

from mobilesync.domain.errors import StoreFolderRefused
from mobilesync.storage.embedded.backup import new_epoch
from mobilesync.storage.embedded.folder import (
    FolderLock,
    Marker,
    database_path,
    make_folder,
    make_marker,
    read_marker,
    write_marker,
)
from mobilesync.storage.embedded.options import EmbeddedOptions
from mobilesync.storage.embedded.store import EmbeddedStore, SyncHook
from mobilesync.storage.embedded.tables import Tables
from mobilesync.storage.embedded.wal import only_the_end_is_torn


async def open_embedded(
    path: Path,
    *,
    random: Random,
    create: bool = True,
    options: EmbeddedOptions | None = None,
    sync: SyncHook | None = None,
) -> EmbeddedStore:
    """The store in the folder `path`, which is made if it is missing or empty and `create`.

    `random` gives a new store its epoch. `sync`, for tests, is called in the writer's thread with
    the function that waits for the disk, instead of that function.

    Raises StoreFolderRefused, with what to do as its hint, when the folder is not a store, of a
    newer format, in use, or damaged; nothing in it was changed then.
    """
    options = options or EmbeddedOptions()
    worker = ThreadPoolExecutor(1, thread_name_prefix="store-worker")
    loop = asyncio.get_running_loop()
    try:
        tables, marker, lock = await loop.run_in_executor(
            worker, _open, path, random, create, options
        )
    except BaseException:
        worker.shutdown(wait=False)
        raise
    return EmbeddedStore(tables, marker, lock, worker, options, sync)


def _open(
    path: Path, random: Random, create: bool, options: EmbeddedOptions
) -> tuple[Tables, Marker, FolderLock]:
    try:
        marker = read_marker(path, "store")
        if marker is None:
            if not create:
                hint = "name the folder of a store, or let one be made"
                raise StoreFolderRefused(f"there is no store in {path}", hint=hint)
            make_folder(path, 0o700)
        lock = FolderLock(path)
    except OSError as error:
        hint = "see that this user may write there"
        raise StoreFolderRefused(f"{path} cannot be used: {error.strerror}", hint=hint) from error
    try:
        # Read again, now that nobody else can be writing it.
        marker = read_marker(path, "store")
        if marker is None:
            return *_make(
                path, make_marker((new_epoch(random),), options.durability), options
            ), lock
        tables = open_tables(path, marker, options)
        if marker.durability != options.durability:
            marker = structs.replace(marker, durability=options.durability)
            write_marker(path, marker)
        return tables, marker, lock
    except BaseException:
        lock.release()
        raise


def _make(path: Path, marker: Marker, options: EmbeddedOptions) -> tuple[Tables, Marker]:
    write_marker(path, structs.replace(marker, kind="unfinished"))
    shutil.rmtree(database_path(path), ignore_errors=True)
    try:
        tables = Tables(database_path(path), options, create=True)
    except Exception as error:
        hint = "see that there is space, and that this user may write there"
        raise StoreFolderRefused(f"no store can be made in {path}: {error}", hint=hint) from error
    write_marker(path, marker)
    return tables, marker


def open_tables(
    path: Path, marker: Marker, options: EmbeddedOptions, *, read_only: bool = False
) -> Tables:
    """The database of a store, with all that was acknowledged.

    Raises StoreFolderRefused when some of it may be missing. The caller has the lock.
    """
    database = database_path(path)
    try:
        return Tables(database, options, read_only=read_only)
    except Exception as error:
        if not _is_torn(database, marker, options, error):
            raise damaged(path, error) from error
    try:
        return Tables(
            database, options, read_only=read_only, recovery=DBRecoveryMode.point_in_time()
        )
    except Exception as error:
        raise damaged(path, error) from error


def _is_torn(database: Path, marker: Marker, options: EmbeddedOptions, error: Exception) -> bool:
    """Whether opening failed for what a power cut leaves behind, and for nothing else."""
    if not str(error).startswith("Corruption"):
        return False
    if marker.durability == "none":
        # Any part of what was not synced may be missing; the store was told that it may be.
        return True
    try:
        tables = Tables(database, options, read_only=True, recovery=DBRecoveryMode.point_in_time())
        recovered = tables.last_write()
        tables.close()
    except Exception as worse:
        raise damaged(database.parent, worse) from worse
    return only_the_end_is_torn(database, recovered)


def damaged(path: Path, error: Exception) -> StoreFolderRefused:
    """The refusal of a folder whose database RocksDB cannot open for `error`."""
    return StoreFolderRefused(
        f"the data in {path} is damaged: {error}",
        hint="see whether the disk is sound, then restore a backup: mobilesync restore",
    )

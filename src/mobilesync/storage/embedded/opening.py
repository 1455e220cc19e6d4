"""Opening a data folder: the checks before, the database, and the store.

Strategy: refuse with a sentence before anything is touched; then take the lock, then open. What
RocksDB says is kept as the hint. A new folder gets its marker last.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from mobilesync.domain.errors import StoreFolderRefused
from mobilesync.storage.embedded.backup import make_marker, new_epoch
from mobilesync.storage.embedded.folder import (
    FolderLock,
    Marker,
    database_path,
    read_marker,
    sync_folder,
    write_marker,
)
from mobilesync.storage.embedded.options import EmbeddedOptions
from mobilesync.storage.embedded.store import EmbeddedStore, SyncHook
from mobilesync.storage.embedded.tables import Tables


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
    marker = read_marker(path, "store")
    if marker is None:
        if not create:
            hint = "name the folder of a store, or let one be made"
            raise StoreFolderRefused(f"there is no store in {path}", hint=hint)
        path.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent)
    lock = FolderLock(path)
    try:
        # Another process may have made the store while we waited for nothing but the disk.
        marker = read_marker(path, "store")
        if marker is not None:
            return open_tables(path, options), marker, lock
        tables = Tables(database_path(path), options, create=True)
        marker = make_marker((new_epoch(random),))
        write_marker(path, marker)
        return tables, marker, lock
    except BaseException:
        lock.release()
        raise


def open_tables(path: Path, options: EmbeddedOptions) -> Tables:
    """The database of a folder that is a store. Raises StoreFolderRefused."""
    try:
        return Tables(database_path(path), options)
    except Exception as error:
        raise StoreFolderRefused(
            f"the data in {path} is damaged",
            hint=f"restore a backup: mobilesync restore ({error})",
        ) from error

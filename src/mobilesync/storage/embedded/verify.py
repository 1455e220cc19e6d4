"""Reading a data folder through, while nobody serves it: for `doctor` and after a restore.

Strategy: open read-only, so that nothing changes; read every row of every table, which makes
RocksDB check every block's checksum; and compare what the tables say about each other. What is
wrong is counted and the first few are told; it is not mended.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from rocksdict import Rdict

from mobilesync.domain.errors import StoreFolderRefused, StoreUnavailable
from mobilesync.domain.message_id import made_for
from mobilesync.domain.sync_point import Head
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.folder import FolderLock, read_marker
from mobilesync.storage.embedded.opening import open_tables
from mobilesync.storage.embedded.options import EmbeddedOptions
from mobilesync.storage.embedded.tables import Tables

TOLD_MAX = 20
_PROGRESS_ROWS = 10_000


@dataclass
class Inspection:
    """What is in a data folder."""

    lineage: tuple[int, ...]
    format: int
    written_by: str
    disk_bytes: int = 0
    channels: int = 0
    oplogs: int = 0
    payload_bytes: int = 0
    message_ids: int = 0
    points: int = 0
    steps: int = 0
    documents: int = 0
    faults: int = 0
    told: list[str] = field(default_factory=list)
    """The first faults, as sentences."""

    def fault(self, sentence: str) -> None:
        self.faults += 1
        if len(self.told) < TOLD_MAX:
            self.told.append(sentence)


def verify(folder: Path, progress: Callable[[int], None] | None = None) -> Inspection:
    """Read everything in the data folder; `progress` is called with the rows read so far.

    Raises StoreFolderRefused when it is no store, is in use, or cannot be opened at all.
    """
    marker = read_marker(folder, "store")
    if marker is None:
        raise StoreFolderRefused(f"there is no store in {folder}", hint="name a data folder")
    lock = FolderLock(folder)
    try:
        tables = open_tables(folder, marker, EmbeddedOptions(), read_only=True)
        try:
            found = Inspection(marker.lineage, marker.format, marker.created_by)
            found.disk_bytes = tables.disk_bytes()
            _Verification(tables, found, progress).run()
            return found
        finally:
            tables.close()
    finally:
        lock.release()


class _Verification:
    def __init__(
        self, tables: Tables, found: Inspection, progress: Callable[[int], None] | None
    ) -> None:
        self._tables = tables
        self._found = found
        self._progress = progress
        self._rows = 0
        self._channel = b""
        self._last_id = 0
        self._head_of = Head(0, 0)

    def run(self) -> None:
        tables = self._tables
        steps = (
            ("heads", tables.heads, self._head),
            ("oplogs", tables.oplogs, self._oplog),
            ("message_ids", tables.message_ids, self._message_id),
            ("keys", tables.keys, self._key),
            ("points", tables.points, self._point),
            ("journal", tables.journal, self._step),
            ("documents", tables.documents, self._document),
        )
        for name, table, look in steps:
            try:
                for key, data in self._all(table):
                    try:
                        look(key, data)
                    except (msgspec.DecodeError, ValueError) as error:
                        self._found.fault(f"{name}: the row {key!r} cannot be read: {error}")
            except StoreUnavailable as error:
                self._found.fault(f"{name}: the disk cannot be read: {error.hint}")
        if self._progress is not None:
            self._progress(self._rows)

    def _all(self, table: Rdict) -> Iterator[tuple[bytes, bytes]]:
        for row in self._tables.scan(table, b"", b"\xff" * 64):
            self._rows += 1
            if self._progress is not None and self._rows % _PROGRESS_ROWS == 0:
                self._progress(self._rows)
            yield row

    def _head(self, key: bytes, data: bytes) -> None:
        head = rows.decode_head(data)
        name = _name(key)
        self._found.channels += 1
        if not head.floor <= head.trimmed <= head.last:
            self._found.fault(f"heads: {name}: {head} contradicts itself")
        if head.epoch not in self._found.lineage:
            self._found.fault(f"heads: {name}: its epoch is not in the lineage")
        for oplog_id in {head.trimmed + 1, head.last} if head.last > head.trimmed else ():
            if self._tables.get(self._tables.oplogs, key + keys.id_bytes(oplog_id)) is None:
                self._found.fault(f"oplogs: {name}: oplog {oplog_id} is missing")

    def _oplog(self, key: bytes, data: bytes) -> None:
        prefix, oplog_id = key[: -keys.ID_BYTES], keys.id_of(key)
        oplog = rows.decode_oplog(oplog_id, data)
        self._found.oplogs += 1
        self._found.payload_bytes += len(oplog.payload)
        if prefix != self._channel:
            self._channel = prefix
            head = self._tables.get(self._tables.heads, prefix)
            self._head_of = rows.decode_head(head) if head is not None else Head(0, 0)
            if head is None:
                self._found.fault(f"oplogs: {_name(prefix)}: has oplogs, but no head")
        elif oplog_id != self._last_id + 1:
            gap = f"after oplog {self._last_id} comes {oplog_id}"
            self._found.fault(f"oplogs: {_name(prefix)}: {gap}")
        self._last_id = oplog_id
        if not self._head_of.trimmed < oplog_id <= self._head_of.last:
            self._found.fault(f"oplogs: {_name(prefix)}: oplog {oplog_id} is not in its head")
        message_key = prefix + oplog.message_id.encode()
        stored = self._tables.get(self._tables.message_ids, message_key)
        if stored != keys.id_bytes(oplog_id) and made_for(oplog.message_id) != oplog_id:
            self._found.fault(f"message_ids: {_name(prefix)}: lacks the one of oplog {oplog_id}")
        if oplog.key:
            place = keys.coalescing_prefix(keys.channel_of(prefix), oplog.key)
            if self._tables.get(self._tables.keys, place + keys.id_bytes(oplog_id)) is None:
                self._found.fault(f"keys: {_name(prefix)}: lacks the one of oplog {oplog_id}")

    def _message_id(self, key: bytes, data: bytes) -> None:
        self._found.message_ids += 1
        prefix = keys.channel_prefix(keys.channel_of(key))
        if self._tables.get(self._tables.oplogs, prefix + data) is None:
            self._found.fault(f"message_ids: {_name(prefix)}: one leads to no oplog")

    def _key(self, key: bytes, _data: bytes) -> None:
        channel = keys.channel_of(key)
        prefix = keys.channel_prefix(channel)
        oplog_id = keys.id_of(key)
        data = self._tables.get(self._tables.oplogs, prefix + keys.id_bytes(oplog_id))
        name = key[len(prefix) : -keys.ID_BYTES - 1].decode()
        if data is None or rows.decode_oplog(oplog_id, data).key != name:
            self._found.fault(f"keys: {_name(prefix)}: the key of oplog {oplog_id} is not its own")

    def _point(self, key: bytes, data: bytes) -> None:
        self._found.points += 1
        if rows.decode_point(data).epoch not in self._found.lineage:
            self._found.fault(f"points: {key!r}: its epoch is not in the lineage")

    def _step(self, key: bytes, data: bytes) -> None:
        self._found.steps += 1
        rows.decode_step(data)
        if keys.step_of(key).era >= len(self._found.lineage):
            self._found.fault(f"journal: {key!r}: its epoch is not in the lineage")

    def _document(self, key: bytes, data: bytes) -> None:
        self._found.documents += 1
        key.decode()


def _name(prefix: bytes) -> str:
    channel = keys.channel_of(prefix)
    return f"{channel.app} {channel.biz} {channel.target}"

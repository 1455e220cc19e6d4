"""RocksDB's log after a crash: torn at its end, or damaged in the middle?

A power cut may tear what was written but not synced. Nobody was told of that, so it may go. Rot in
the middle is different: RocksDB would drop all that comes after it, acknowledged or not. Its strict
way of opening refuses both; its lenient way (point in time) drops in both cases, silently.

Strategy: open strictly. Only if that fails, read the log's structure ourselves. One group is in
flight at a time, and it is one record of the log: so what a power cut tears is the last record,
and a whole record behind a broken one proves that acknowledged data would be lost. Then refuse.
What cannot be told apart: a torn last record, and a last record that was acknowledged and rotted.

The format (RocksDB's wiki, "Write Ahead Log File Format"): blocks of 32 KiB; fragments that never
cross a block: checksum (4), length (2), type (1), data; types 1 to 4 are full, first, middle, last.
A record begins with the sequence of its first write (8) and the count of its writes (4).
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_BLOCK_BYTES = 32 * 1024
_HEADER = struct.Struct("<IHB")
_BATCH = struct.Struct("<QI")
_FULL, _FIRST, _LAST = 1, 2, 4
_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8


class _Start(NamedTuple):
    """The first fragment of a record; `whole` tells whether its checksum is right."""

    sequence: int
    writes: int
    checksum: int
    data: bytes

    def whole(self) -> bool:
        return _masked_crc32c(self.data) == self.checksum


def only_the_end_is_torn(database: Path, recovered: int) -> bool:
    """Whether the logs in `database` are good up to the write `recovered`, and all that comes
    after it is what one record may have left.

    `recovered` is the last write that RocksDB finds when it stops at the first broken record.
    """
    broken = False
    expected = -1
    for path in sorted(database.glob("*.log")):
        for start in _starts(path):
            if start is None:
                broken = True
                continue
            after = start.sequence + start.writes
            # A checksum in Python costs time: what RocksDB has read and is in line needs none.
            if start.sequence != expected or after - 1 > recovered:
                if not start.whole():
                    broken = True
                    continue
                if broken:
                    return False
                # Begins well, and yet RocksDB did not take it: its later fragments are broken.
                broken = after - 1 > recovered
            expected = after
    return True


def _starts(path: Path) -> Iterator[_Start | None]:
    """The first fragments of a log's records; None where the structure breaks."""
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
        for begin in range(0, len(log), _BLOCK_BYTES):
            yield from _starts_of_block(log, begin, min(begin + _BLOCK_BYTES, len(log)))


def _starts_of_block(log: mmap.mmap, begin: int, end: int) -> Iterator[_Start | None]:
    at = begin
    while at + _HEADER.size <= end:
        checksum, length, kind = _HEADER.unpack_from(log, at)
        data_at = at + _HEADER.size
        if not _FULL <= kind <= _LAST or data_at + length > end:
            yield None
            yield from _hidden_starts(log, at + 1, end)
            return
        if kind in (_FULL, _FIRST):
            yield _start(log, data_at, length, checksum)
        at = data_at + length


def _hidden_starts(log: mmap.mmap, at: int, end: int) -> Iterator[_Start]:
    """Whole records in the rest of a block whose chain of lengths is broken."""
    while at + _HEADER.size <= end:
        checksum, length, kind = _HEADER.unpack_from(log, at)
        data_at = at + _HEADER.size
        if kind in (_FULL, _FIRST) and _BATCH.size <= length <= end - data_at:
            start = _start(log, data_at, length, checksum)
            if start.whole():
                yield start
                at = data_at + length
                continue
        at += 1


def _start(log: mmap.mmap, at: int, length: int, checksum: int) -> _Start:
    head = log[at : at + min(length, _BATCH.size)]
    if len(head) < _BATCH.size:
        # A first fragment at the end of its block may be shorter than that: the next block has
        # the rest, behind a header of its own.
        follow = at + length + _HEADER.size
        head += log[follow : follow + _BATCH.size - len(head)]
    sequence, writes = _BATCH.unpack(head.ljust(_BATCH.size, b"\0"))
    # The checksum covers the type, the byte before the data.
    return _Start(sequence, writes, checksum, log[at - 1 : at + length])


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _table()


def _masked_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF

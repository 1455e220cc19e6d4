"""How names and ids become keys that sort as they are read.

Strategy: every name ends in a zero byte, which no checked name contains (domain/names.py), so a
key can be read in one way only and no key's names are the beginning of another's. Ids are eight
bytes, big-endian, so that they sort as numbers. The target comes before the biz: all channels of
a target are neighbours, and what a device may lack is a prefix scan per target.

    heads        app target biz                              -> Head
    oplogs       app target biz, id                          -> oplog
    message_ids  app target biz, message id                  -> id
    points       app device, target biz                      -> SyncPoint
    keys         app target biz, coalescing key, id          -> nothing
    journal      app target biz, device, lap era received processed sent -> step
    documents    kind, key                                   -> value

An *era* is the place of an epoch in the store's lineage: unlike epochs, which are random, eras
sort by age. A *lap* is a pass through the channel; it grows when a sync point is put back, even
into an older epoch, so that steps sort as they were made.
"""

import struct
from typing import NamedTuple

from mobilesync.domain.channel import Channel

_END = "\0"
ID_BYTES = 8


def target_prefix(app: str, target: str) -> bytes:
    """What the keys of all channels of a target begin with."""
    return f"{app}{_END}{target}{_END}".encode()


def channel_prefix(channel: Channel) -> bytes:
    """What every key of a channel begins with; by itself it is the key of the head."""
    app, biz, target = channel
    return f"{app}{_END}{target}{_END}{biz}{_END}".encode()


def channel_of(key: bytes) -> Channel:
    """The channel that `key` begins with."""
    app, target, biz, _ = key.split(b"\0", 3)
    return Channel(app.decode(), biz.decode(), target.decode())


def id_bytes(oplog_id: int) -> bytes:
    """An id as it stands in keys and values."""
    return oplog_id.to_bytes(ID_BYTES, "big")


def id_of(data: bytes) -> int:
    """The id at the end of `data`."""
    return int.from_bytes(data[-ID_BYTES:], "big")


def after_prefix(prefix: bytes) -> bytes:
    """The first key above all keys that begin with `prefix`, which ends a name."""
    assert prefix.endswith(b"\0")
    return prefix[:-1] + b"\x01"


def device_prefix(app: str, device: str) -> bytes:
    """What the keys of all sync points of a device begin with."""
    return f"{app}{_END}{device}{_END}".encode()


def point_key(app: str, device: str, channel: Channel) -> bytes:
    """Where the sync point of `device` in `channel` is kept."""
    return f"{app}{_END}{device}{_END}{channel.target}{_END}{channel.biz}{_END}".encode()


def point_channel(app: str, key: bytes) -> Channel:
    """The channel of a sync point's key."""
    _, _, target, biz, _ = key.split(b"\0")
    return Channel(app, biz.decode(), target.decode())


def journal_prefix(channel: Channel, device: str) -> bytes:
    """What the steps of one device in a channel begin with."""
    return channel_prefix(channel) + f"{device}{_END}".encode()


def coalescing_prefix(channel: Channel, key: str) -> bytes:
    """What the keys of all oplogs with one coalescing key begin with."""
    assert _END not in key
    return channel_prefix(channel) + f"{key}{_END}".encode()


class Step(NamedTuple):
    """Where a point was after a step: the end of the step's key."""

    lap: int
    era: int
    received: int
    processed: int
    sent: int

    def is_about(self, after: int) -> bool:
        """Whether it tells of an id above `after`."""
        return max(self.received, self.sent) > after


_STEP = struct.Struct(">IIQQQ")
STEP_BYTES = _STEP.size


def step_key(prefix: bytes, step: Step | tuple[int, int, int, int, int]) -> bytes:
    """A step's key: steps of one device sort in the order in which they were made."""
    return prefix + _STEP.pack(*step)


def step_of(key: bytes) -> Step:
    """The step of a step's key."""
    return Step(*_STEP.unpack_from(key, len(key) - STEP_BYTES))


def kind_prefix(kind: str) -> bytes:
    """What the keys of all documents of a kind begin with."""
    assert _END not in kind
    return f"{kind}{_END}".encode()


def document_key(kind: str, key: str) -> bytes:
    """Where a document is kept. The key comes last, so it may be any text."""
    return kind_prefix(kind) + key.encode()

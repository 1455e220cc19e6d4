"""What one commit makes durable.

Strategy: a group is filled while it waits in the committer's queue, written as one batch, and kept
by whoever must remember what is in it until it is durable (ids.py, withdrawals.py, documents.py).

Not here: when a group begins and ends (commit.py).
"""

import asyncio

from rocksdict import WriteBatch

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import Head


class Group:
    """A batch, and what is to be known of it."""

    __slots__ = ("batch", "bytes", "documents", "drafts", "heads", "lasts", "new_ids", "rewritten",
                 "trims", "waiters")  # fmt: skip

    def __init__(self, batch: WriteBatch) -> None:
        self.batch = batch
        self.bytes = 0
        self.drafts = 0
        self.lasts: dict[Channel, int] = {}
        """The highest id given in this group, by channel."""
        self.new_ids: list[bytes] = []
        """Keys of the message ids in it."""
        self.rewritten: set[bytes] = set()
        """Keys of the stored oplogs that it withdraws."""
        self.trims: dict[Channel, tuple[int, int]] = {}
        """(floor, trimmed) to come, by channel."""
        self.documents: set[bytes] = set()
        """Keys of the documents that it puts or deletes."""
        self.heads: dict[Channel, Head] = {}
        """The heads that it leaves behind; known once it is written."""
        self.waiters: list[asyncio.Future[None]] = []

"""What every store promises (ARCHITECTURE.md). The contract suite runs over each implementation.

Strategy: a store is the one owner of oplogs, heads, sync points and their journal. It gives the
ids. It never pushes, decides who may see what, or looks at a payload.

Invariants, which the suite checks:
- what `append` has answered survives a power cut; what it has not answered may or may not;
- `heads`, and all that shows oplogs, show only what would survive a power cut, so that no device
  can ever hold an oplog that the store forgets, or lack one whose recall it forgets, and no id is
  given to two oplogs of one epoch;
- ids of a channel are 1, 2, 3 … in the order of the `append` calls, and of the drafts inside one;
- a sync point only moves forward, unless it is put back on purpose;
- after a write has failed, the store takes no more writes until it is opened again
  (a failed fsync says nothing about what is on the disk), but it still reads.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Appended, Draft, Oplog
from mobilesync.domain.sync_point import Advance, Head, SyncPoint


class Document(Struct, frozen=True):
    """A change of one small value: a sync config, what is known of a device, a webhook that waits
    to be sent. None deletes it. Inside a kind, documents are ordered by key."""

    kind: str
    key: str
    value: bytes | None


Also = Callable[[Sequence[Appended]], Sequence[Document]]
"""Documents that are to be kept in the same commit as an append, made from its answers: one for
each draft, whether it is a duplicate or not. Called in the turn of the append's call, before
anything is stored; what it makes is kept once the append returns. It must do nothing but make it.
"""


class Page(Struct, frozen=True):
    """A part of a channel: all that is stored after the asked id, complete up to `upto`."""

    oplogs: list[Oplog]
    upto: int
    """Equals the channel's last id when the page was not cut short by a bound."""
    floor: int = 0
    """The head's floor at that moment: above the asked id, the reader has missed oplogs."""


class TrimReport(Struct, frozen=True):
    """What one `trim` call did."""

    oplogs: int
    channels: int
    """Channels looked at."""
    finished: bool
    """Whether the call came to the end of the store; the next call begins anew then."""


class BackupReport(Struct, frozen=True):
    """What a backup holds."""

    path: Path
    bytes: int
    epoch: int


class StoreStats(Struct, frozen=True):
    """Figures for metrics and `doctor`; cheap to get."""

    commits: int
    """Group commits so far (each one fsync)."""
    committed: int
    """Oplogs in them."""
    commit_s: float
    """Seconds spent in them, in total."""
    queued: int
    """Drafts that are not durable yet."""
    disk_bytes: int
    failed: str = ""
    """Why the store takes no more writes; empty while it does."""


class Store(Protocol):
    """Oplogs, heads, sync points and the journal of their advances, kept durably."""

    @property
    def lineage(self) -> tuple[int, ...]:
        """The epochs of this store, the current one last."""

    async def append(self, drafts: Sequence[Draft], also: Also | None = None) -> list[Appended]:
        """Store `drafts` and answer for each, in order. Durable when it returns.

        A draft that withdraws others marks those that are durable at the call and not withdrawn
        yet, nor withdraw others themselves; a recall also marks what was only consumed. The
        payloads of recalled ones are gone, in this commit. What `also` gives for the answers is
        kept in the same commit: both, or neither; also when all drafts are duplicates.

        A draft whose message id is already in its channel is not stored again: the answer is the
        first one's id, marked as duplicate, and that one is durable too. One whose
        message id was made (`is_made`) is no duplicate, and is not looked for.
        Cancelling the caller does not undo it.

        Raises Overloaded when too much waits already, StoreUnavailable when the store takes no
        writes (both: nothing was stored), OutcomeUnknown when the commit failed.
        """

    async def heads(self, app: str, targets: Sequence[str]) -> dict[Channel, Head]:
        """The heads of all channels of `targets`: one prefix scan each."""

    async def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> Page:
        """Oplogs with an id above `after`, ascending; at most `count_max`, and with payloads of at
        most `bytes_max` together, but at least one if there is one.

        Raises StoreUnavailable when the disk cannot be read; the same holds for all reads.
        """

    async def newest_of_key(self, channel: Channel, key: str, count_max: int) -> list[Oplog]:
        """The newest stored oplogs that have the coalescing key `key`, newest first; at most
        `count_max`."""

    async def find(self, channel: Channel, message_id: str) -> int:
        """The id of the stored oplog that has `message_id`; 0 for none."""

    def advance(self, advances: Sequence[Advance]) -> None:
        """Move sync points forward and write the steps that moved them to the journal.

        Not durable when it returns: rides along in the next commit, within 100 ms if there is
        none. Losing it only causes a repeat that the SDK drops. An advance that moves neither
        sent, received nor processed forward in its epoch leaves no step, nor does one of an epoch
        that is not in the lineage; one that changes only what the device waits for changes the
        point all the same. A later epoch of the lineage replaces the point, an earlier one is
        ignored. One that restarts puts the point where it says, and begins a new lap. Dropped,
        silently, when the store takes no writes or too many steps or points wait.
        """

    async def points(self, app: str, device: str) -> dict[Channel, SyncPoint]:
        """The sync points of one owner (`Advance.device`); includes advances that are not durable
        yet."""

    async def journal(
        self, channel: Channel, device: str, after: int, count_max: int
    ) -> list[Advance]:
        """Durable steps of a sync point that are about an id above `after`: whose received or sent
        id is above it. In the order in which they were made, lap by lap; each tells where the
        point was after it. At most `count_max`."""

    async def trim(self, now_ms: int, channels_max: int) -> TrimReport:
        """Forget oplogs that ended by `now_ms`: from each channel's beginning up to the first
        that has not ended. Continues where the last call stopped; serves others meanwhile.

        Frees the disk in time. Heads and ids stay; message ids are forgotten with their oplogs,
        and steps of the journal that are about no other. Raises StoreUnavailable, OutcomeUnknown.
        """

    async def put_documents(self, documents: Sequence[Document]) -> None:
        """Keep or delete all of `documents`, in one commit. Durable when it returns, and with it
        all that was advanced and noted before, also when `documents` is empty.
        Raises Overloaded, StoreUnavailable, OutcomeUnknown."""

    def note_documents(self, documents: Sequence[Document]) -> None:
        """As `put_documents`, but not durable when it returns: rides along in the next commit,
        within 100 ms if there is none, together with advances of the same turn of the loop. Read
        back at once. Of several changes of one document, put or noted, the last call's stays.
        Dropped, silently, when the store takes no writes or too many notes wait."""

    async def document(self, kind: str, key: str) -> bytes | None:
        """One value of `kind`, or None when there is none."""

    async def documents(
        self, kind: str, begin: str = "", end: str = "", count_max: int = 0
    ) -> dict[str, bytes]:
        """Values of `kind` by key, in the order of their keys: from `begin` on, before `end`
        (empty: to the last), at most `count_max` (0: all)."""

    async def backup(self, path: Path) -> BackupReport:
        """A consistent copy in `path`, a folder that does not exist yet, made while serving.
        Holds everything appended before the call. Raises InvalidRequest, StoreUnavailable."""

    def stats(self) -> StoreStats:
        """Figures so far."""

    async def close(self) -> None:
        """Write what waits, then stop. Idempotent."""

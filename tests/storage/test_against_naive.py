"""Any order of calls: each store answers what the naive one answers.

Hypothesis finds the order. Every call is waited for, except where a rule makes several at once.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Appended, Details, Draft, Withdrawal, WithdrawalReason
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Advance, Sent, Skip, SyncPoint
from mobilesync.storage.contract import Document, Store
from tests.storage.makers import EmbeddedMaker, MemoryMaker
from tests.storage.naive import Naive, about, copied

T = TypeVar("T")
TARGETS = ["user:a", "user:ab", "everyone"]
CHANNELS = st.builds(
    Channel, st.just("shop"), st.sampled_from(["A", "AB"]), st.sampled_from(TARGETS)
)
DEVICES = st.sampled_from(["p", "pq"])
KEYS = ["k", "kk"]
RANGES = st.lists(st.integers(1, 14), max_size=6, unique=True).map(
    lambda ids: tuple(zip(sorted(ids)[::2], sorted(ids)[1::2], strict=False))
)
WITHDRAWALS = st.builds(Withdrawal, RANGES, st.sampled_from(WithdrawalReason), DEVICES)
DETAILS = st.one_of(
    st.none(),
    st.builds(Details, st.sampled_from(KEYS)),
    st.builds(Details, withdraws=WITHDRAWALS),
)
MESSAGE_IDS = st.sampled_from([f"m{i}" for i in range(12)])
DRAFTS = st.builds(
    Draft,
    CHANNELS,
    st.binary(max_size=20),
    MESSAGE_IDS,
    st.integers(5, 7),
    st.integers(1, 8),
    st.booleans(),
    st.none(),
    DETAILS,
)
IDS = st.integers(0, 12)
MOVES = st.builds(
    Advance,
    CHANNELS,
    DEVICES,
    st.just(0),
    IDS,
    IDS,
    st.integers(3, 5),
    st.integers(0, 14),
    st.lists(st.builds(Sent, IDS, IDS), max_size=2).map(tuple),
    st.lists(st.builds(Skip, IDS, IDS, st.sampled_from(Reason)), max_size=2).map(tuple),
    st.integers(-1, 2),
    st.sampled_from([False, False, False, True]),
)
"""Still without its epoch."""
DOCUMENT_KEYS = st.sampled_from(["", "w", "x", "x0", "y", "z", "zz"])
CHANGES = st.tuples(
    st.sampled_from(["put", "note", "pause"]),
    st.sampled_from("xyz"),
    st.none() | st.binary(max_size=3),
)


class StoreMachine(RuleBasedStateMachine):
    """The rules; subclasses say which store."""

    maker_class: type[MemoryMaker | EmbeddedMaker]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.maker = self.maker_class(self.folder)
        self.store: Store
        self.naive: Naive
        self.backups: list[tuple[Path, Naive]] = []

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    @initialize()
    def begin(self) -> None:
        self.store = self.run(self.maker.open())
        self.naive = Naive(self.store.lineage)

    @rule(drafts=st.lists(DRAFTS, max_size=6))
    def append(self, drafts: list[Draft]) -> None:
        assert self.run(self.store.append(drafts)) == self.naive.append(drafts)

    @rule(drafts=st.lists(DRAFTS, min_size=1, max_size=3), key=st.sampled_from("xyz"))
    def append_with_documents(self, drafts: list[Draft], key: str) -> None:
        def also(answers: Sequence[Appended]) -> list[Document]:
            return [Document("kind", key, repr(answers).encode())]

        answers = self.run(self.store.append(drafts, also))
        assert answers == self.naive.append(drafts)
        self.naive.documents[key] = repr(answers).encode()

    @rule(calls=st.lists(st.lists(DRAFTS, min_size=1, max_size=3), min_size=2, max_size=5))
    def append_at_once(self, calls: list[list[Draft]]) -> None:
        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*(self.store.append(drafts) for drafts in calls))

        durable = self.naive.lasts()
        expected = [self.naive.append(drafts, durable) for drafts in calls]
        assert self.run(all_of_them()) == expected

    @rule(channel=CHANNELS, after=IDS, count_max=st.integers(1, 5), bytes_max=st.integers(0, 60))
    def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> None:
        page = self.run(self.store.read(channel, after, count_max, bytes_max))
        assert (page.oplogs, page.upto) == self.naive.read(channel, after, count_max, bytes_max)

    @rule(channel=CHANNELS, key=st.sampled_from([*KEYS, "other"]), count_max=st.integers(0, 4))
    def newest_of_key(self, channel: Channel, key: str, count_max: int) -> None:
        found = self.run(self.store.newest_of_key(channel, key, count_max))
        assert found == self.naive.newest_of_key(channel, key)[:count_max]

    @rule(channel=CHANNELS, message_id=MESSAGE_IDS)
    def find(self, channel: Channel, message_id: str) -> None:
        assert self.run(self.store.find(channel, message_id)) == self.naive.find(
            channel, message_id
        )

    @rule(data=st.data(), moves=st.lists(MOVES, min_size=1, max_size=4))
    def advance(self, data: st.DataObject, moves: list[Advance]) -> None:
        epochs = st.sampled_from([*self.naive.lineage, 999])
        advances = [structs.replace(move, epoch=data.draw(epochs)) for move in moves]

        async def advance() -> None:
            self.store.advance(advances)

        self.run(advance())
        for each in advances:
            self.naive.advance(each)

    @rule(now_ms=st.integers(0, 8), channels_max=st.integers(1, 9))
    def trim(self, now_ms: int, channels_max: int) -> None:
        async def whole_round() -> int:
            # Steps that wait are not in the journal yet, and so would outlive the trim.
            await self.store.put_documents([])
            count = 0
            # The first round may have begun in the middle.
            for _ in range(2):
                while True:
                    report = await self.store.trim(now_ms, channels_max)
                    count += report.oplogs
                    assert report.channels <= channels_max
                    if report.finished:
                        break
            return count

        assert self.run(whole_round()) == self.naive.trim(now_ms)

    @rule(changes=st.lists(CHANGES, min_size=1, max_size=6), is_over=st.booleans())
    def change_documents(self, changes: list[tuple[str, str, bytes | None]], is_over: bool) -> None:
        """Put and noted in any order, some while others are in flight."""

        async def change() -> None:
            calls = []
            for how, key, value in changes:
                if how == "put":
                    call = self.store.put_documents([Document("kind", key, value)])
                    calls.append(asyncio.ensure_future(call))
                    await asyncio.sleep(0)
                elif how == "note":
                    self.store.note_documents([Document("kind", key, value)])
                    assert (await self.store.documents("kind")).get(key) == value
                    assert await self.store.document("kind", key) == value
                elif calls:
                    await calls[-1]
            await asyncio.gather(*calls)
            if is_over:
                await self.store.put_documents([])

        self.run(change())
        for how, key, value in changes:
            if how != "pause":
                self.naive.documents.pop(key, None)
            if how != "pause" and value is not None:
                self.naive.documents[key] = value

    @rule(begin=DOCUMENT_KEYS, end=DOCUMENT_KEYS, count_max=st.integers(0, 4))
    def documents(self, begin: str, end: str, count_max: int) -> None:
        found = self.run(self.store.documents("kind", begin, end, count_max))
        expected = [
            (key, value)
            for key, value in sorted(self.naive.documents.items())
            if begin <= key and (not end or key < end)
        ]
        assert list(found.items()) == expected[: count_max or None]
        one = self.run(self.store.document("kind", begin))
        assert one == self.naive.documents.get(begin)

    @rule()
    def reopen(self) -> None:
        self.store = self.run(self.maker.open())
        assert self.store.lineage == self.naive.lineage

    @rule()
    def backup(self) -> None:
        path = self.folder / f"backup-{len(self.backups)}"

        async def commit_and_backup() -> None:
            await self.store.put_documents([])
            await self.store.backup(path)

        self.run(commit_and_backup())
        self.backups.append((path, copied(self.naive)))

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        if not self.backups:
            return
        path, then = data.draw(st.sampled_from(self.backups))
        self.store = self.run(self.maker.restore(path))
        assert self.store.lineage[:-1] == then.lineage
        self.naive = copied(then)
        self.naive.lineage = self.store.lineage

    @invariant()
    def same_view(self) -> None:
        self.run(self._same_view())

    async def _same_view(self) -> None:
        if not hasattr(self, "naive"):
            return
        assert await self.store.heads("shop", TARGETS) == self.naive.heads(TARGETS)
        assert await self.store.documents("kind") == self.naive.documents
        for device in ("p", "pq"):
            points: dict[Channel, SyncPoint] = {
                channel: point
                for (owner, channel), point in self.naive.points.items()
                if owner == device
            }
            assert await self.store.points("shop", device) == points

    @rule()
    def compare_journals(self) -> None:
        async def compare() -> None:
            await self.store.put_documents([])
            for (device, channel), steps in self.naive.journal.items():
                assert await self.store.journal(channel, device, -1, 1000) == steps
                assert (
                    await self.store.journal(channel, device, 3, 2)
                    == [step for step in steps if about(step) > 3][:2]
                )

        self.run(compare())

    def teardown(self) -> None:
        self.run(self.maker.close())
        self.runner.close()
        shutil.rmtree(self.folder)


class MemoryMachine(StoreMachine):
    maker_class = MemoryMaker


class EmbeddedMachine(StoreMachine):
    maker_class = EmbeddedMaker


MemoryMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40)
EmbeddedMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=30)
TestMemory = MemoryMachine.TestCase
TestEmbedded = EmbeddedMachine.TestCase

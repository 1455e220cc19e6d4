"""Any order of calls: each store answers what the naive one answers.

Hypothesis finds the order. Every call is waited for, except where a rule makes several at once.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Draft
from mobilesync.domain.sync_point import Advance, SyncPoint
from mobilesync.storage.contract import Document, Store
from tests.storage.makers import EmbeddedMaker, MemoryMaker
from tests.storage.naive import Naive, copied

T = TypeVar("T")
TARGETS = ["user:a", "user:ab", "everyone"]
CHANNELS = st.builds(
    Channel, st.just("shop"), st.sampled_from(["A", "AB"]), st.sampled_from(TARGETS)
)
DEVICES = st.sampled_from(["p", "pq"])
DRAFTS = st.builds(
    Draft,
    CHANNELS,
    st.binary(max_size=20),
    st.sampled_from([f"m{i}" for i in range(12)]),
    st.just(7),
    st.integers(1, 8),
    st.booleans(),
)
IDS = st.integers(0, 12)


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

    @rule(calls=st.lists(st.lists(DRAFTS, min_size=1, max_size=3), min_size=2, max_size=5))
    def append_at_once(self, calls: list[list[Draft]]) -> None:
        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*(self.store.append(drafts) for drafts in calls))

        assert self.run(all_of_them()) == [self.naive.append(drafts) for drafts in calls]

    @rule(channel=CHANNELS, after=IDS, count_max=st.integers(1, 5), bytes_max=st.integers(0, 60))
    def read(self, channel: Channel, after: int, count_max: int, bytes_max: int) -> None:
        page = self.run(self.store.read(channel, after, count_max, bytes_max))
        assert (page.oplogs, page.upto) == self.naive.read(channel, after, count_max, bytes_max)

    @rule(data=st.data(), device=DEVICES, channel=CHANNELS, received=IDS, processed=IDS)
    def advance(
        self, data: st.DataObject, device: str, channel: Channel, received: int, processed: int
    ) -> None:
        epoch = data.draw(st.sampled_from([*self.naive.lineage, 999]))
        step = Advance(channel, device, epoch, received, processed, 3)

        async def advance() -> None:
            self.store.advance([step])

        self.run(advance())
        self.naive.advance(step)

    @rule(now_ms=st.integers(0, 8), channels_max=st.integers(1, 9))
    def trim(self, now_ms: int, channels_max: int) -> None:
        async def whole_round() -> int:
            # Steps that wait are not in the journal yet, and so would outlive the trim.
            await self.store.put_documents([Document("other kind", "key", b"commits the steps")])
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

    @rule(key=st.sampled_from("xyz"), value=st.none() | st.binary(max_size=3))
    def put_document(self, key: str, value: bytes | None) -> None:
        self.run(self.store.put_documents([Document("kind", key, value)]))
        self.naive.documents.pop(key, None)
        if value is not None:
            self.naive.documents[key] = value

    @rule()
    def reopen(self) -> None:
        self.store = self.run(self.maker.open())
        assert self.store.lineage == self.naive.lineage

    @rule()
    def backup(self) -> None:
        path = self.folder / f"backup-{len(self.backups)}"

        async def commit_and_backup() -> None:
            await self.store.put_documents([Document("other kind", "key", b"commits the steps")])
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
            await self.store.put_documents([Document("other kind", "key", b"commits the steps")])
            for (device, channel), steps in self.naive.journal.items():
                assert await self.store.journal(channel, device, -1, 1000) == steps
                assert (
                    await self.store.journal(channel, device, 3, 2)
                    == [step for step in steps if step.received > 3][:2]
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

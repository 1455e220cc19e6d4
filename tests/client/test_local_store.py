"""Sync points and inbox: example by example, then against a model."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mobilesync.client.errors import StoreRefused, StoreUnavailable
from mobilesync.client.events import ChannelReset, ReceivedOplog, WithdrawnOplogs
from mobilesync.client.local_store import LocalStore, PushRefused
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import ResetReason
from tests.client.scripted import EPOCH, database, push, withdrawal

CHAT = ("CHAT", "user:alice")
ALICE = ("user:alice", "device:d1", "everyone")


def opened(sql: sqlite3.Connection | str | Path = ":memory:") -> LocalStore:
    return LocalStore(sql, app="demo", device="d1")


def reset_to(floor: int, reason: int, epoch: int = EPOCH + 1) -> m.Reset:
    return m.Reset(*CHAT, epoch, floor, reason)


def handle_all(store: LocalStore, channel: tuple[str, str] = CHAT) -> list[Any]:
    """What handlers would be given, in order."""
    items: list[Any] = []
    while row := store.take(channel):
        store.finish([row.key])
        items.append(row.item)
    return items


def ids_of(items: Sequence[Any]) -> list[int]:
    return [each.id for each in items if isinstance(each, ReceivedOplog)]


def test_oplogs_and_point_move_together() -> None:
    store = opened()
    assert store.points(ALICE) == []
    store.apply([push(0, 1, 3, upto=5), push(0, 1, target="everyone"), push(5, 6)], EPOCH)
    assert store.points(ALICE) == [
        m.SyncPoint(*CHAT, EPOCH, 6, 0),
        m.SyncPoint("CHAT", "everyone", EPOCH, 1, 0),
    ]
    assert (store.inbox_count, store.inbox_bytes) == (4, 4)
    assert ids_of(handle_all(store)) == [1, 3, 6]
    assert store.point(CHAT) == m.SyncPoint(*CHAT, EPOCH, 6, 6)
    assert (store.inbox_count, store.inbox_bytes) == (1, 1)


def test_an_empty_push_moves_the_point() -> None:
    store = opened()
    store.apply([push(0, upto=9)], EPOCH)
    assert store.point(CHAT) == m.SyncPoint(*CHAT, EPOCH, 9, 9)
    assert store.take(CHAT) is None


@pytest.mark.parametrize(
    "wrong",
    [push(1, 2), push(4, 5), push(0, 1), push(3, 3), push(3, 5, 4), push(3, 5, upto=4)],
)
def test_what_does_not_fit_is_refused_with_all_that_came_along(wrong: m.Push) -> None:
    store = opened()
    store.apply([push(0, 1, 2, 3)], EPOCH)
    with pytest.raises(PushRefused):
        store.apply([push(0, 1, biz="PAY"), wrong], EPOCH)
    assert store.points(ALICE) == [m.SyncPoint(*CHAT, EPOCH, 3, 0)]
    assert store.inbox_count == 3
    store.apply([push(3, 4), push(0, 1, biz="PAY")], EPOCH)
    assert ids_of(handle_all(store)) == [1, 2, 3, 4]


def test_another_epoch_needs_a_reset_first() -> None:
    store = opened()
    store.apply([push(0, 1)], EPOCH)
    with pytest.raises(PushRefused, match="without a Reset"):
        store.apply([push(1, 2)], EPOCH + 1)


def test_a_store_is_found_again(tmp_path: Path) -> None:
    store = opened(tmp_path / "store.sqlite")
    store.apply([push(0, 1, 2)], EPOCH)
    row = store.take(CHAT)
    assert row is not None
    store.finish([row.key])
    store.close()
    store = opened(tmp_path / "store.sqlite")
    assert store.points(ALICE) == [m.SyncPoint(*CHAT, EPOCH, 2, 1)]
    assert store.waiting() == [CHAT]
    with pytest.raises(StoreRefused):
        opened(tmp_path / "store.sqlite")
    store.close()


# Resets: §11.3.


@pytest.mark.parametrize(
    "reason, floor, epoch, processed",
    [
        (ResetReason.TRIMMED, 9, EPOCH, 1),
        (ResetReason.RENAMED, 4, EPOCH + 1, 1),
        (ResetReason.RESTORED, 3, EPOCH + 1, 1),
        (ResetReason.RESTORED, 1, EPOCH + 1, 1),
        (ResetReason.FUTURE, 3, EPOCH, 1),
        (ResetReason.FUTURE, 0, EPOCH, 0),
        (ResetReason.FOREIGN, 3, EPOCH + 1, 3),
        (ResetReason.FOREIGN, 0, EPOCH + 1, 0),
        (ResetReason.REWOUND, 2, EPOCH, 1),
        (200, 3, EPOCH + 1, 1),
    ],
)
def test_what_was_saved_is_still_handled_and_counts_by_the_reason(
    reason: int, floor: int, epoch: int, processed: int
) -> None:
    store = opened()
    store.apply([push(0, 1, 2, 3, 4)], EPOCH)
    first = store.take(CHAT)
    assert first is not None
    store.finish([first.key])
    store.reset(reset_to(floor, reason, epoch))
    assert store.point(CHAT) == m.SyncPoint(*CHAT, epoch, floor, processed)
    store.apply([push(floor, floor + 1)], epoch)
    items = handle_all(store)
    told = [place for place, each in enumerate(items) if isinstance(each, ChannelReset)]
    assert len(told) == 1
    assert items[told[0]] == ChannelReset(*CHAT, epoch, floor, reason, 4)
    before, after = ids_of(items[: told[0]]), ids_of(items[told[0] :])
    # What waits and is pushed again after REWOUND is handled in its new place.
    again = [floor + 1] if reason == ResetReason.REWOUND else []
    assert before == [each for each in (2, 3, 4) if each not in again]
    assert after == [floor + 1]
    assert store.point(CHAT) == m.SyncPoint(*CHAT, epoch, floor + 1, floor + 1)


def test_resets_without_news_between_become_one() -> None:
    store = opened()
    store.apply([push(0, 1, 2, 3)], EPOCH)
    for n in range(50):
        store.reset(reset_to(2, ResetReason.RESTORED, EPOCH + 1 + n))
    assert store.inbox_count == 4
    assert handle_all(store)[3] == ChannelReset(*CHAT, EPOCH + 50, 2, ResetReason.RESTORED, 3)


def test_a_reset_that_is_being_told_is_not_merged_away() -> None:
    store = opened()
    store.reset(reset_to(5, ResetReason.TRIMMED))
    assert store.take(CHAT) is not None
    store.reset(reset_to(9, ResetReason.TRIMMED))
    assert [each.floor for each in handle_all(store)] == [5, 9]


# Handling.


def test_attempts_are_counted_whatever_ends_them() -> None:
    sql = database()
    store = opened(sql)
    store.apply([push(0, 1)], EPOCH)
    for attempt in (1, 2, 3):
        row = opened(sql).take(CHAT)
        assert row is not None
        assert isinstance(row.item, ReceivedOplog)
        assert row.item.attempt == attempt


def test_calls_that_died_with_the_app_count_as_failed_and_park_in_the_end() -> None:
    sql = database()
    store = opened(sql)
    store.apply([push(0, 1, 2)], EPOCH)
    for death in (1, 2, 3):
        store = opened(sql)
        parked = store.recover(2, 99)
        row = store.take(CHAT)
        assert row is not None
        assert isinstance(row.item, ReceivedOplog)
        if death == 3:
            assert [each.oplog.id for each in parked] == [1]
            assert parked == store.parked(ALICE)
            assert parked[0].parked_at_ms == 99
            assert row.item.id == 2
        else:
            assert (parked, row.item.id) == ([], 1)
    assert store.point(CHAT).processed == 1


def test_calls_cut_off_in_good_order_do_not_count() -> None:
    sql = database()
    opened(sql).apply([push(0, 1)], EPOCH)
    for _ in range(5):
        store = opened(sql)
        assert store.recover(1, 99) == []
        assert store.take(CHAT) is not None
        store.release()


def test_parked_oplogs_let_the_channel_go_on_and_come_back() -> None:
    store = opened()
    store.apply([push(0, 1, 2, 3)], EPOCH)
    row = store.take(CHAT)
    assert row is not None
    store.fail(row.key, "ValueError: no", None)
    assert store.parked(ALICE) == []
    row = store.take(CHAT)
    assert row is not None
    assert row.failures == 1
    store.fail(row.key, "ValueError: no", 55)
    (parked,) = store.parked(ALICE)
    assert (parked.key, parked.error, parked.parked_at_ms) == (row.key, "ValueError: no", 55)
    assert store.parked(["everyone"]) == []
    assert store.parked_count() == 1
    assert store.point(CHAT).processed == 1
    assert ids_of(handle_all(store)) == [2, 3]
    store.retry([parked.key])
    assert store.parked(ALICE) == []
    # Being retried, it does not take back what was said.
    assert store.point(CHAT).processed == 3
    row = store.take(CHAT)
    assert row is not None
    assert row.failures == 0
    store.fail(row.key, "again", 66)
    store.discard([row.key, 12345])
    assert (store.parked_count(), store.inbox_count) == (0, 0)


def test_a_failure_is_known_until_the_oplog_is_out_of_the_way() -> None:
    store = opened()
    store.apply([push(0, 1, 2)], EPOCH)
    assert not store.has_failed(CHAT)
    row = store.take(CHAT)
    assert row is not None
    store.fail(row.key, "ValueError: no", None)
    assert store.has_failed(CHAT)
    # Also while it runs again, and until it is parked.
    assert store.take(CHAT) is not None
    assert store.has_failed(CHAT)
    assert not store.drop_withdrawn(row.key)
    store.fail(row.key, "ValueError: no", 55)
    assert not store.has_failed(CHAT)
    assert handle_all(store)
    assert not store.has_failed(CHAT)


def test_a_call_that_is_withdrawn_goes_with_its_failure() -> None:
    store = opened()
    store.apply([push(0, 1)], EPOCH)
    row = store.take(CHAT)
    assert row is not None
    store.apply([withdrawal(1, 2, (1, 1))], EPOCH)
    assert store.inbox_count == 2
    assert store.drop_withdrawn(row.key)
    assert store.inbox_count == 1
    assert handle_all(store) == [WithdrawnOplogs(*CHAT, EPOCH, ((1, 1),), 1)]


def test_only_parked_ones_are_discarded_or_retried() -> None:
    store = opened()
    store.apply([push(0, 1)], EPOCH)
    store.discard([1])
    store.retry([1])
    assert store.inbox_count == 1


def test_a_channel_that_is_not_there_has_nothing_to_take() -> None:
    assert opened().take(("NONE", "everyone")) is None


def test_users_are_kept_apart_and_can_be_forgotten() -> None:
    store = opened()
    store.apply([push(0, 1), push(0, 1, target="user:bob"), push(0, 1, biz="PAY")], EPOCH)
    assert [each.target for each in store.points(["user:bob"])] == ["user:bob"]
    store.forget("user:alice")
    assert [each.target for each in store.points([*ALICE, "user:bob"])] == ["user:bob"]
    assert (store.inbox_count, store.waiting()) == (1, [("CHAT", "user:bob")])
    store.apply([push(0, 1, 2)], EPOCH)
    assert ids_of(handle_all(store)) == [1, 2]


def test_a_full_disk_loses_nothing_and_passes(tmp_path: Path) -> None:
    sql = sqlite3.connect(tmp_path / "store.sqlite")
    store = opened(sql)
    store.apply([push(0, 1)], EPOCH)
    pages = sql.execute("PRAGMA page_count").fetchone()[0]
    sql.execute(f"PRAGMA max_page_count = {pages}")
    big = m.Push(*CHAT, 1, 2, [m.PushedOplog(2, 0, b"x" * 500_000)])
    with pytest.raises(StoreUnavailable):
        store.apply([big], EPOCH)
    assert store.point(CHAT).received == 1
    sql.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    store.apply([big], EPOCH)
    assert ids_of(handle_all(store)) == [1, 2]
    sql.close()


@settings(max_examples=30, stateful_step_count=30)
class StoreMachine(RuleBasedStateMachine):
    """One channel against a model, with the process dying between any two steps."""

    @initialize()
    def begin(self) -> None:
        self.sql = database()
        self.store = opened(self.sql)
        self.epoch, self.received = EPOCH, 0
        self.waiting: list[tuple[int, int] | str] = []
        """What is to be handled: (epoch, id), a reset, or a withdrawal."""
        self.counting: dict[tuple[int, int], bool] = {}
        self.called: set[tuple[int, int]] = set()

    @rule(gaps=st.lists(st.integers(1, 3), max_size=4), more=st.integers(0, 2))
    def push(self, gaps: list[int], more: int) -> None:
        ids: list[int] = []
        for gap in gaps:
            ids.append((ids[-1] if ids else self.received) + gap)
        upto = (ids[-1] if ids else self.received) + more
        self.store.apply([push(self.received, *ids, upto=upto)], self.epoch)
        self.received = upto
        for each in ids:
            self.waiting.append((self.epoch, each))
            self.counting[self.epoch, each] = True

    @rule(wrong=st.integers(1, 5))
    def push_elsewhere(self, wrong: int) -> None:
        with pytest.raises(PushRefused):
            self.store.apply([push(self.received + wrong, self.received + 9)], self.epoch)

    @rule(back=st.integers(0, 6))
    def restore(self, back: int) -> None:
        floor = max(0, self.received - back)
        self.epoch += 1
        self.store.reset(reset_to(floor, ResetReason.RESTORED, self.epoch))
        self.received = floor
        for key in self.counting:
            self.counting[key] = self.counting[key] and key[1] <= floor
        if self.waiting and self.waiting[-1] == "reset":
            self.waiting.pop()
        self.waiting.append("reset")

    @rule(finish=st.booleans())
    def handle(self, finish: bool) -> None:
        row = self.store.take(CHAT)
        assert (row is None) == (not self.waiting)
        if row is None:
            return
        first = self.waiting[0]
        if isinstance(row.item, ReceivedOplog):
            assert (row.item.epoch, row.item.id) == first
            self.called.add((row.item.epoch, row.item.id))
        elif isinstance(row.item, ChannelReset):
            assert first == "reset"
        else:
            assert str(first).startswith("withdrawn by ")
        if not finish:
            self.store.release()
            return
        self.store.finish([row.key])
        self.waiting.pop(0)
        if not isinstance(first, str):
            del self.counting[first]
        elif first != "reset":
            _, _, by, _, epoch = first.split()
            del self.counting[int(epoch), int(by)]

    @rule(data=st.data(), more=st.integers(0, 2))
    def withdraw(self, data: st.DataObject, more: int) -> None:
        by = self.received + 1 + more
        first = data.draw(st.integers(1, by))
        last = data.draw(st.integers(first, by + 2))
        self.store.apply([withdrawal(self.received, by, (first, last))], self.epoch)
        self.received = by
        unseen: set[int] = set()
        for key in [each for each in self.waiting if not isinstance(each, str)]:
            if first <= key[1] <= min(last, by - 1) and self.counting[key]:
                self.waiting.remove(key)
                del self.counting[key]
                if key not in self.called:
                    unseen.add(key[1])
        if set(range(first, min(last, by - 1) + 1)) - unseen:
            self.waiting.append(f"withdrawn by {by} in {self.epoch}")
            self.counting[self.epoch, by] = True

    @rule()
    def die(self) -> None:
        self.store = opened(self.sql)
        self.store.recover(10_000, 0)

    @invariant()
    def agree(self) -> None:
        assert self.store.inbox_count == len(self.waiting)
        pending = [id_ for (_, id_), counts in self.counting.items() if counts]
        processed = min([self.received, *(each - 1 for each in pending)])
        for point in self.store.points(ALICE):
            assert point == m.SyncPoint(*CHAT, self.epoch, self.received, processed)


TestStore = StoreMachine.TestCase

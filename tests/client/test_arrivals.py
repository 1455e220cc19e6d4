"""Oplogs, withdrawals and Resets become rows, in the order of the channel."""

import json
from typing import Any

import pytest

from mobilesync.client.events import ChannelReset, ReceivedOplog, WithdrawnOplogs
from mobilesync.client.inbox import Item
from mobilesync.client.local_store import LocalStore
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import ResetReason
from mobilesync.protocol.limits import RANGES_MAX
from tests.client.scripted import EPOCH, database, push, withdrawal

CHAT = ("CHAT", "user:alice")
ALICE = ("user:alice", "device:d1", "everyone")


class Device:
    """A store, and what its app is handed."""

    def __init__(self) -> None:
        self.sql = database()
        self.store = LocalStore(self.sql, app="demo", device="d1")

    def save(self, *pushes: m.Push) -> None:
        self.store.apply(pushes, EPOCH)

    def handle(self, count: int = 1000) -> list[Item]:
        """Hand out up to `count` rows of CHAT, all with success."""
        items: list[Item] = []
        while len(items) < count and (row := self.store.take(CHAT)):
            self.store.finish([row.key])
            items.append(row.item)
        return items

    def begin(self) -> int:
        """Begin a call; its row."""
        row = self.store.take(CHAT)
        assert row is not None
        return row.key

    def park(self) -> None:
        self.store.fail(self.begin(), "ValueError: no", 55)

    @property
    def processed(self) -> int:
        return self.store.point(CHAT).processed

    def ids(self) -> list[int]:
        """What waits or is parked."""
        select = "SELECT id FROM mobilesync_inbox WHERE kind = 0 ORDER BY arrival"
        return [each for (each,) in self.sql.execute(select)]


def told(*ranges: tuple[int, int], reason: int = 1, epoch: int = EPOCH) -> WithdrawnOplogs:
    return WithdrawnOplogs(*CHAT, epoch, ranges, reason)


def ids_of(items: list[Any]) -> list[Any]:
    return [each.id if isinstance(each, ReceivedOplog) else each for each in items]


def test_keys_and_origins_are_kept() -> None:
    device = Device()
    oplogs = [
        m.PushedOplog(1, 5, b"x", "m1", "switch/7"),
        m.PushedOplog(2, 5, b"y", "m2", origin=m.Origin("everyone", 40)),
        m.PushedOplog(3, 5, b"z"),
    ]
    device.save(m.Push(*CHAT, 0, 3, oplogs))
    assert device.handle() == [
        ReceivedOplog(*CHAT, 1, b"x", "m1", 5, epoch=EPOCH, key="switch/7"),
        ReceivedOplog(*CHAT, 2, b"y", "m2", 5, epoch=EPOCH, origin=("everyone", 40)),
        ReceivedOplog(*CHAT, 3, b"z", "", 5, epoch=EPOCH),
    ]


def test_what_waits_is_taken_out_without_a_word() -> None:
    device = Device()
    device.save(push(0, 1, 2, 3, 4), withdrawal(4, 5, (2, 3)))
    assert (device.store.inbox_count, device.store.inbox_bytes) == (2, 2)
    assert device.store.point(CHAT) == m.SyncPoint(*CHAT, EPOCH, 5, 0)
    assert ids_of(device.handle()) == [1, 4]
    assert device.processed == 5


def test_what_was_handed_out_is_told_in_its_place() -> None:
    device = Device()
    device.save(push(0, 1, 2))
    device.handle()
    device.save(push(2, 3), withdrawal(3, 4, (1, 2), reason=2), push(4, 5))
    assert device.processed == 2
    assert ids_of(device.handle(1)) == [3]
    # The withdrawal counts like an oplog until it is told.
    assert device.processed == 3
    assert ids_of(device.handle()) == [told((1, 2), reason=2), 5]
    assert device.processed == 5


def test_only_what_the_app_may_know_is_told() -> None:
    device = Device()
    device.save(push(0, *range(1, 10)))
    device.handle(2)
    device.park()
    key = device.begin()
    device.store.fail(key, "ValueError: not yet", None)
    # 1 and 2 are handled, 3 is parked, 4 has failed once, 5 to 9 are new.
    device.save(withdrawal(9, 10, (2, 5), (7, 7), (9, 9)))
    assert device.ids() == [6, 8]
    assert device.store.parked(ALICE) == []
    assert ids_of(device.handle()) == [6, 8, told((2, 4))]


def test_a_call_that_runs_is_left_to_it_and_its_row_goes_with_it() -> None:
    device = Device()
    device.save(push(0, 1, 2))
    key = device.begin()
    device.save(withdrawal(2, 3, (1, 2)))
    assert device.ids() == [1]
    device.store.finish([key])
    assert ids_of(device.handle()) == [told((1, 1))]
    assert (device.store.inbox_count, device.store.inbox_bytes, device.processed) == (0, 0, 3)


@pytest.mark.parametrize("end", ["fails", "is cut off", "is cut off in good order", "is left"])
def test_a_withdrawn_call_that_does_not_finish_is_never_made_again(end: str) -> None:
    device = Device()
    device.save(push(0, 1))
    key = device.begin()
    device.save(withdrawal(1, 2, (1, 1)), push(2, 3))
    match end:
        case "fails":
            assert device.store.drop_withdrawn(key)
            assert not device.store.drop_withdrawn(key)
        case "is cut off":
            device.store = LocalStore(device.sql, app="demo", device="d1")
            assert device.store.recover(1, 99) == []
        case "is cut off in good order":
            device.store.release()
    assert ids_of(device.handle()) == [told((1, 1)), 3]
    assert device.store.inbox_count == 0


def test_one_push_may_bring_and_withdraw() -> None:
    device = Device()
    withdraws = m.Withdrawal([m.IdRange(1, 2)], 1)
    oplogs = [m.PushedOplog(n, 5, b"x") for n in (1, 2, 4)]
    oplogs.insert(2, m.PushedOplog(3, 5, b"", withdraws=withdraws))
    device.save(m.Push(*CHAT, 0, 4, oplogs))
    assert ids_of(device.handle()) == [4]
    assert device.processed == 4


def test_its_own_id_and_those_to_come_mean_nothing() -> None:
    device = Device()
    device.save(push(0, 1, 2))
    device.handle()
    device.save(withdrawal(2, 3, (2, 9), (20, 30)), push(3, 4))
    assert ids_of(device.handle()) == [told((2, 2)), 4]
    device.save(withdrawal(4, 5, (5, 9)))
    assert device.handle() == []
    assert device.processed == 5


def test_other_channels_are_not_touched() -> None:
    device = Device()
    device.save(push(0, 1, biz="PAY"), push(0, 1, target="everyone"), push(0, 1))
    device.save(withdrawal(1, 2, (1, 1)))
    assert device.store.inbox_count == 2


def test_an_older_oplog_under_the_same_id_is_not_meant() -> None:
    device = Device()
    device.save(push(0, 1, 2, 3))
    device.store.reset(m.Reset(*CHAT, EPOCH + 1, 1, ResetReason.RESTORED))
    device.store.apply([push(1, 2, 3), withdrawal(3, 4, (1, 2))], EPOCH + 1)
    items = device.handle()
    assert ids_of(items)[:2] == [2, 3]
    assert isinstance(items[2], ChannelReset)
    assert [(each.epoch, each.id) for each in items if isinstance(each, ReceivedOplog)] == [
        (EPOCH, 2),
        (EPOCH, 3),
        (EPOCH + 1, 3),
    ]


def test_what_comes_again_after_a_rewind_is_told_once() -> None:
    device = Device()
    device.save(push(0, 1, 2))
    device.handle()
    device.save(withdrawal(2, 3, (1, 1)))
    device.store.reset(m.Reset(*CHAT, EPOCH, 1, ResetReason.REWOUND))
    device.save(push(1, 2), withdrawal(2, 3, (1, 1)))
    items = device.handle()
    assert isinstance(items[0], ChannelReset)
    assert ids_of(items[1:]) == [2, told((1, 1))]
    assert device.processed == 3


def test_as_many_ranges_as_there_may_be() -> None:
    device = Device()
    last = 4 * RANGES_MAX
    device.save(push(0, *range(1, last + 1)))
    device.handle(last // 2)
    ranges = [(4 * n + 1, 4 * n + 3) for n in range(RANGES_MAX)]
    device.save(withdrawal(last, last + 1, *ranges))
    assert device.store.inbox_count == last // 2 - 3 * (RANGES_MAX // 2) + 1
    assert device.handle()[-1] == told(*ranges[: RANGES_MAX // 2])


def test_resets_without_news_between_are_one_row() -> None:
    device = Device()
    device.save(push(0, 1, 2, 3))
    for floor in (2, 1):
        device.store.reset(m.Reset(*CHAT, EPOCH, floor, ResetReason.FUTURE))
    payloads = device.sql.execute("SELECT payload FROM mobilesync_inbox WHERE kind = 1").fetchall()
    assert [json.loads(each) for (each,) in payloads] == [[1, ResetReason.FUTURE, 3]]


def test_a_foreign_store_means_none_of_what_waits() -> None:
    device = Device()
    device.save(push(0, 1))
    device.store.reset(m.Reset(*CHAT, EPOCH + 1, 0, ResetReason.FOREIGN))
    device.store.apply([push(0, 1, upto=1), withdrawal(1, 2, (1, 1))], EPOCH + 1)
    assert device.ids() == [1]
    # A Reset that is being told is not merged with the next one.
    device.handle(1)
    assert device.store.take(CHAT) is not None
    device.store.reset(m.Reset(*CHAT, EPOCH + 2, 0, ResetReason.FOREIGN))
    kinds = device.sql.execute("SELECT kind FROM mobilesync_inbox ORDER BY arrival").fetchall()
    assert kinds == [(1,), (1,)]

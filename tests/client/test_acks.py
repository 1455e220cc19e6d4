"""Acks: merged, never twice, only of what is durable."""

import asyncio

import pytest

from mobilesync.client.acks import URGENT_COUNT, Acks
from mobilesync.client.inbox import Channel
from mobilesync.client.local_store import LocalStore
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import ResetReason, Waits
from mobilesync.protocol.limits import POINTS_MAX
from tests.client.scripted import EPOCH, Pipe, eventually, push

CHAT = ("CHAT", "user:alice")


class Server:
    """Hears acks."""

    def __init__(self, delay_s: float = 0.005) -> None:
        self.store = LocalStore(":memory:", app="demo", device="d1")
        self.heard: list[m.Ack] = []
        self.deaf_to: set[Channel] = set()
        self.unhandled: set[str] = set()
        self.acks = Acks(
            self.store,
            delay_s,
            self.heard.append,
            lambda each: each not in self.deaf_to,
            lambda biz: biz not in self.unhandled,
        )
        self.stream = Pipe()
        self.running = asyncio.ensure_future(self.acks.run(self.stream))

    def save(self, *pushes: m.Push) -> None:
        self.store.apply(pushes, EPOCH)
        self.acks.moved([(each.biz, each.target) for each in pushes], len(pushes[0].oplogs))


async def test_channels_travel_together_and_only_the_newest_counts() -> None:
    server = Server()
    server.save(push(0, 1), push(0, 1, biz="PAY"))
    server.save(push(1, 2))
    await eventually(lambda: bool(server.heard))
    assert server.heard == [
        m.Ack([m.Acked(*CHAT, 2, 0), m.Acked("PAY", "user:alice", 1, 0)]),
    ]
    assert server.acks.sent == 1


async def test_no_news_no_bytes() -> None:
    server = Server()
    server.save(push(0, 1))
    server.acks.flush()
    server.acks.moved([CHAT])
    server.acks.flush()
    server.acks.said([m.SyncPoint(*CHAT, EPOCH, 2, 0)])
    server.save(push(1, 2))
    server.acks.flush()
    assert len(server.heard) == 1


async def test_who_is_back_after_a_reset_says_so() -> None:
    server = Server()
    server.save(push(0, 1, 2))
    server.acks.said(server.store.points({CHAT[1]}))
    server.acks.flush()
    server.store.reset(m.Reset(*CHAT, EPOCH, 1, int(ResetReason.REWOUND)))
    server.acks.was_reset(CHAT)
    server.save(push(1, 2))
    server.acks.flush()
    assert server.heard == [m.Ack([m.Acked(*CHAT, 2, 0)])]


async def test_a_catch_up_is_acked_without_delay() -> None:
    server = Server(delay_s=1_000)
    server.save(push(0, *range(1, URGENT_COUNT)))
    await asyncio.sleep(0.002)
    assert server.heard == []
    server.save(push(URGENT_COUNT - 1, URGENT_COUNT))
    await eventually(lambda: bool(server.heard))


async def test_what_may_not_be_said_is_said_later() -> None:
    server = Server()
    server.deaf_to = {CHAT}
    server.save(push(0, 1), push(0, 1, biz="PAY"))
    server.acks.flush()
    assert [each.biz for each in server.heard[0].acked] == ["PAY"]
    server.deaf_to = set()
    server.acks.flush()
    assert [each.biz for each in server.heard[1].acked] == ["CHAT"]


async def test_what_was_forgotten_meanwhile_is_not_said() -> None:
    server = Server()
    server.save(push(0, 1), push(0, 1, target="everyone"))
    server.store.forget("user:alice")
    server.acks.flush()
    assert [each.target for each in server.heard[0].acked] == ["everyone"]


# Why something waits.


async def test_why_it_waits_travels_with_the_point() -> None:
    server = Server()
    server.unhandled = {"CHAT"}
    server.save(push(0, 1), push(0, 1, biz="PAY"))
    server.acks.flush()
    assert server.heard == [
        m.Ack([m.Acked(*CHAT, 1, 0, Waits.NO_HANDLER), m.Acked("PAY", "user:alice", 1, 0)])
    ]


async def test_a_failure_is_told_once_and_its_end_with_the_next_move() -> None:
    server = Server()
    server.save(push(0, 1, 2))
    server.acks.flush()
    for _ in range(3):
        row = server.store.take(CHAT)
        assert row is not None
        server.store.fail(row.key, "ValueError: no", None)
        server.acks.moved([CHAT])
        server.acks.flush()
    assert [each.acked for each in server.heard] == [
        [m.Acked(*CHAT, 2, 0)],
        [m.Acked(*CHAT, 2, 0, Waits.HANDLER_FAILED)],
    ]
    row = server.store.take(CHAT)
    assert row is not None
    server.store.finish([row.key])
    server.acks.moved([CHAT])
    server.acks.flush()
    assert server.heard[2:] == [m.Ack([m.Acked(*CHAT, 2, 1)])]


async def test_that_it_waits_no_longer_is_worth_no_bytes() -> None:
    server = Server()
    server.unhandled = {"CHAT"}
    server.save(push(0, 1))
    server.acks.flush()
    server.unhandled = set()
    server.acks.moved([CHAT])
    server.acks.flush()
    assert len(server.heard) == 1
    # And then that it waits again neither: the server still believes so.
    server.unhandled = {"CHAT"}
    server.acks.reconsider("CHAT")
    server.acks.flush()
    assert len(server.heard) == 1


async def test_a_handler_that_goes_is_told_for_what_waits() -> None:
    server = Server()
    server.save(push(0, 1), push(0, 1, biz="PAY"), push(0, upto=4, target="everyone"))
    server.acks.flush()
    server.unhandled = {"CHAT"}
    server.acks.reconsider("CHAT")
    await eventually(lambda: len(server.heard) == 2)
    assert server.heard[1] == m.Ack([m.Acked(*CHAT, 1, 0, Waits.NO_HANDLER)])


async def test_after_a_hello_it_is_told_again_why_something_waits() -> None:
    server = Server()
    server.unhandled = {"CHAT"}
    server.store.apply([push(0, 1), push(0, 1, biz="PAY"), push(0, upto=3, biz="NEW")], EPOCH)
    server.acks.said(server.store.points(["user:alice"]))
    server.acks.moved(())
    server.acks.flush()
    assert server.heard == [m.Ack([m.Acked(*CHAT, 1, 0, Waits.NO_HANDLER)])]


async def test_a_stuck_link_gets_no_more_acks() -> None:
    server = Server()
    server.stream.stuck.clear()
    for n in range(20):
        server.save(push(n, n + 1))
        await asyncio.sleep(0.001)
    await eventually(lambda: bool(server.heard))
    sent = len(server.heard)
    for n in range(20, 40):
        server.save(push(n, n + 1))
        await asyncio.sleep(0.001)
    assert len(server.heard) == sent
    server.stream.stuck.set()
    await eventually(lambda: server.heard[-1].acked[0].received == 40)


async def test_a_lost_link_ends_it() -> None:
    server = Server()
    server.stream.lost = True
    server.save(push(0, 1))
    with pytest.raises(ConnectionResetError):
        await server.running


async def test_an_ack_holds_no_more_than_the_protocol_allows() -> None:
    server = Server()
    server.store.apply([push(0, 1, biz=f"B{n}") for n in range(POINTS_MAX + 1)], EPOCH)
    server.acks.moved([(f"B{n}", "user:alice") for n in range(POINTS_MAX + 1)])
    server.acks.flush()
    assert [len(each.acked) for each in server.heard] == [POINTS_MAX, 1]

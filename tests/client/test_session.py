"""One conversation: what the SDK says and keeps, whatever the server does."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilesync.client import Connected, Paused, Waiting
from mobilesync.client.events import ChannelReset, ReceivedNotice, ReceivedOplog
from mobilesync.client.options import ClientOptions
from mobilesync.client.transaction import Transaction
from mobilesync.protocol import messages as m
from mobilesync.protocol.codec import encode
from mobilesync.protocol.codes import CloseCode, ResetReason
from tests.client.scripted import (
    EPOCH,
    Script,
    Seen,
    States,
    Talk,
    client_of,
    database,
    eventually,
    push,
    welcome_for,
)

CHAT = ("CHAT", "user:alice")


async def acked_until(talk: Talk, received: int, processed: int) -> list[m.Acked]:
    """Acks up to the one that says this."""
    acked: list[m.Acked] = []
    while not acked or (acked[-1].received, acked[-1].processed) != (received, processed):
        acked += (await talk.hear(m.Ack)).acked
    return acked


async def test_hello_says_who_and_what_is_held() -> None:
    script, kept = Script(), database()
    attributes = {"channel": "beta"}
    arguments: dict[str, Any] = {"os": "ios", "app_version": "1.2", "attributes": attributes}
    async with client_of(script, kept, **arguments) as client:
        client.background()
        hello = await (await script.accept()).welcome(push(0, 1), push(0, 4, target="everyone"))
        assert (hello.os, hello.app_version, hello.attributes) == ("ios", "1.2", attributes)
        assert hello.sdk.startswith("python/")
        assert hello.features == [m.WITHDRAWALS]
        await eventually(lambda: client.stats().received == 2)
    async with client_of(script, kept, user="bob") as client:
        client.on("CHAT")(Seen())
        hello = await (await script.accept()).welcome()
        assert hello.points == [m.SyncPoint("CHAT", "everyone", EPOCH, 4, 3)]


async def test_a_biz_without_handler_is_received_but_not_processed() -> None:
    script, seen = Script(), Seen()
    async with client_of(script) as client:
        talk = await script.accept()
        await talk.welcome(push(0, 3, 4, upto=9))
        await acked_until(talk, 9, 2)
        client.on("CHAT")(seen)
        await acked_until(talk, 9, 9)
        assert seen.ids == [3, 4]


@pytest.mark.parametrize(
    "wrong",
    [
        push(1, 2),
        push(4, 5),
        push(0, 1),
        push(2, 3, target="user:bob"),
        push(2, 3, target="device:d2"),
        welcome_for("alice"),
        m.Reset(*CHAT, EPOCH + 1, 5, ResetReason.REWOUND),
        m.Reset("CHAT", "user:bob", EPOCH, 5, ResetReason.REWOUND),
        m.Notice("CHAT", "device:d2", 0, b""),
    ],
)
async def test_what_does_not_fit_ends_the_session_and_hello_puts_it_right(
    wrong: m.Message,
) -> None:
    script, seen = Script(), Seen()
    async with client_of(script) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        await talk.welcome(push(0, 1, 2))
        await acked_until(talk, 2, 2)
        talk.say(wrong)
        heard = await talk.ended()
        assert isinstance(heard[-1], m.Close)
        hello = await (await script.accept()).welcome(push(2, 3))
        assert hello.points == [m.SyncPoint(*CHAT, EPOCH, 2, 2)]
        assert await seen.until(3) == [1, 2, 3]


@pytest.mark.parametrize(
    "welcome",
    [
        welcome_for("bob"),
        m.Welcome(2, EPOCH, "s1", "alice", 0, 60, 540),
        m.Welcome(
            1,
            EPOCH,
            "s",
            "alice",
            0,
            60,
            540,
            [m.Reset("CHAT", "user:bob", EPOCH, 0, ResetReason.TRIMMED)],
        ),
    ],
)
async def test_a_welcome_that_cannot_be_is_not_accepted(welcome: m.Welcome) -> None:
    script = Script()
    async with client_of(script) as client:
        talk = await script.accept()
        await talk.hear(m.Hello)
        talk.say(welcome)
        heard = await talk.ended()
        assert isinstance(heard[-1], m.Close)
        await (await script.accept()).welcome()
        await client.connected(5)
        assert client.stats().connects == 1


async def test_a_reset_inside_welcome_comes_before_any_ack() -> None:
    script, seen, kept = Script(), Seen(), database()
    resets: list[ChannelReset] = []
    async with client_of(script, kept) as client:
        await (await script.accept()).welcome(push(0, 1, 2, 3))
        await eventually(lambda: client.stats().received == 3)
    async with client_of(script, kept) as client:
        client.on_reset(resets.append)
        client.on("CHAT")(seen)
        talk = await script.accept()
        hello = await talk.hear(m.Hello)
        epoch = EPOCH + 1
        reset = m.Reset(*CHAT, epoch, 2, ResetReason.RESTORED)
        talk.say(
            m.Welcome(1, epoch, "s2", "alice", 0, 60, 540, [reset]),
            push(2, 3),
        )
        acked = await acked_until(talk, 3, 3)
        assert hello.points == [m.SyncPoint(*CHAT, EPOCH, 3, 0)]
        assert all(each.received <= 3 for each in acked)
        assert resets == [ChannelReset(*CHAT, epoch, 2, ResetReason.RESTORED, 3)]
        assert [(each.epoch, each.id) for each in seen.oplogs] == [
            (EPOCH, 1),
            (EPOCH, 2),
            (EPOCH, 3),
            (epoch, 3),
        ]


async def test_a_rewound_channel_comes_again() -> None:
    script, seen = Script(), Seen()
    async with client_of(script) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        await talk.welcome(push(0, 1, 2, 3))
        await acked_until(talk, 3, 3)
        talk.say(m.Reset(*CHAT, EPOCH, 1, ResetReason.REWOUND), push(1, 2, 3))
        assert await seen.until(5) == [1, 2, 3, 2, 3]


# Users.


async def test_a_login_on_a_living_connection() -> None:
    script, seen = Script(), Seen()
    async with client_of(script) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        await talk.welcome(push(0, 1), push(0, 1, target="everyone"))
        await seen.until(2)
        await client.login("bob", "t-bob")
        assert await talk.skip_to(m.Bind) == m.Bind("t-bob", "bob", [])
        # Still under way for Alice, and already for Bob: dropped, neither saved nor acked.
        talk.say(
            push(1, 2),
            push(0, 1, target="user:bob"),
            push(1, 2, target="everyone"),
            m.Reset(*CHAT, EPOCH, 0, ResetReason.REWOUND),
            m.Notice("CHAT", "user:alice", 0, b""),
        )
        ack = await talk.hear(m.Ack)
        assert {each.target for each in ack.acked} == {"everyone"}
        talk.say(welcome_for("bob"), push(0, 1, 2, target="user:bob"))
        await client.connected(5)
        await seen.until(5)
        assert [(each.target, each.id) for each in seen.oplogs] == [
            ("user:alice", 1),
            ("everyone", 1),
            ("everyone", 2),
            ("user:bob", 1),
            ("user:bob", 2),
        ]
        await client.login("alice", "t2")
        assert await talk.skip_to(m.Bind) == m.Bind(
            "t2", "alice", [m.SyncPoint(*CHAT, EPOCH, 1, 1)]
        )
        talk.say(welcome_for("alice"), push(1, 2))
        await seen.until(6)
        assert seen.oplogs[-1].id == 2


async def test_the_last_of_many_logins_wins_and_one_is_in_flight() -> None:
    script, states = Script(), States()
    async with client_of(script) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.welcome()
        await client.connected(5)
        for user in ("bob", "carol", "dave"):
            await client.login(user, f"t-{user}")
        await client.logout()
        assert (await talk.hear(m.Bind)).user == "bob"
        talk.say(welcome_for("bob"))
        await talk.hear(m.Unbind)
        talk.say(welcome_for(""))
        await client.connected(5)
        assert client.stats().user == ""
        assert [(await states.until(Connected)).user for _ in range(2)] == ["alice", ""]


async def test_a_login_before_welcome_follows_it() -> None:
    script = Script()
    async with client_of(script) as client:
        talk = await script.accept()
        await talk.hear(m.Hello)
        await client.login("bob", "t-bob")
        talk.say(welcome_for("alice"), push(0, 1))
        assert (await talk.hear(m.Bind)).user == "bob"
        talk.say(welcome_for("bob"))
        await client.connected(5)
        assert client.stats().received == 0


async def test_the_same_user_may_bring_a_new_token() -> None:
    script, seen = Script(), Seen()
    async with client_of(script) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await acked_until(talk, 1, 1)
        await client.login("alice", "t2")
        bind = await talk.hear(m.Bind)
        assert bind.points == [m.SyncPoint(*CHAT, EPOCH, 1, 1)]
        talk.say(push(1, 2), welcome_for("alice"), push(1, 2))
        assert await seen.until(2) == [1, 2]


async def test_saved_oplogs_of_another_user_wait_for_that_user() -> None:
    script, seen = Script(), Seen()
    async with client_of(script) as client:
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await eventually(lambda: client.stats().received == 1)
        await client.login("bob", "t-bob")
        client.on("CHAT")(seen)
        await asyncio.sleep(0.01)
        assert seen.ids == []
        await client.login("alice", "t1")
        assert await seen.until(1) == [1]


# Life signs.


async def test_foreground_and_background_are_told() -> None:
    script = Script()
    async with client_of(script) as client:
        talk = await script.accept()
        hello = await talk.welcome()
        assert hello.foreground
        await client.connected(5)
        client.background()
        client.background()
        state = await talk.hear(m.State)
        assert not state.foreground
        assert state.next_beat_s > 60
        client.foreground()
        assert (await talk.hear(m.State)).foreground
        ping = await talk.hear(m.Ping)
        assert ping.next_beat_s > 60
        talk.say(m.Pong(1))


async def test_a_half_open_link_is_noticed() -> None:
    options = ClientOptions(pong_timeout_s=0.02, reconnect_s=0.001, reconnect_max_s=0.002)
    script, states = Script(), States()
    async with client_of(script, options=options) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.welcome()
        await client.connected(5)
        client.foreground()
        waiting = await states.until(Waiting)
        assert "Ping" in waiting.why
        await (await script.accept()).welcome()
        await client.connected(5)


async def test_a_long_transaction_is_no_half_open_link() -> None:
    options = ClientOptions(pong_timeout_s=0.01, ack_delay_s=0.001)
    script, started, release = Script(), asyncio.Event(), asyncio.Event()
    async with client_of(script, options=options) as client:

        @client.on("PAY", transactional=True)
        async def pay(_: ReceivedOplog, tx: Transaction) -> None:
            tx.execute("SELECT 1")
            started.set()
            await release.wait()

        talk = await script.accept()
        await talk.welcome(push(0, 1, biz="PAY"))
        await started.wait()
        talk.say(push(0, 1))
        await asyncio.sleep(0.005)
        client.foreground()
        await asyncio.sleep(0.03)
        release.set()
        await eventually(lambda: client.stats().received == 2)
        assert script.connects == 1


async def test_a_server_that_says_nothing_is_left() -> None:
    options = ClientOptions(connect_timeout_s=0.01, reconnect_s=0.001, reconnect_max_s=0.002)
    script, states = Script(), States()
    async with client_of(script, options=options) as client:
        client.on_state(states)
        await (await script.accept()).hear(m.Hello)
        assert "Welcome" in (await states.until(Waiting)).why
        await (await script.accept()).welcome()
        await client.connected(5)


async def test_notices_reach_their_handler() -> None:
    script = Script()
    seen: list[ReceivedNotice] = []
    async with client_of(script) as client:
        client.on_notice("TYPING")(seen.append)
        notice = m.Notice("TYPING", "user:alice", 5, b"hi")
        await (await script.accept()).welcome(notice)
        await eventually(lambda: bool(seen))
        assert seen == [ReceivedNotice("TYPING", "user:alice", b"hi", 5)]


# Bounds.


@pytest.mark.parametrize(
    "bound", [{"inbox_count_max": 3}, {"inbox_bytes_max": 3}, {"inbox_count_max": 1}]
)
async def test_a_full_inbox_stops_reading_until_there_is_room(bound: dict[str, Any]) -> None:
    script, seen, states = Script(), Seen(), States()
    options = ClientOptions(ack_delay_s=0.002, pong_timeout_s=0.01, **bound)
    async with client_of(script, options=options) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.welcome(push(0, 1, 2, 3))
        await states.until(Paused)
        for n in range(3, 30):
            talk.say(push(n, n + 1))
        # A Ping without Pong: silence proves nothing now.
        client.foreground()
        await asyncio.sleep(0.03)
        assert client.stats().inbox_count == 3
        assert client.stats().connects == 1
        client.on("CHAT")(seen)
        assert await seen.until(30) == list(range(1, 31))
        await states.until(Connected)


async def test_a_full_inbox_is_no_reason_to_connect() -> None:
    script, states, kept = Script(), States(), database()
    options = ClientOptions(inbox_count_max=1)
    async with client_of(script, kept, options=options) as client:
        client.on_state(states)
        await (await script.accept()).welcome(push(0, 1))
        await states.until(Paused)
    async with client_of(script, kept, options=options) as client:
        client.on_state(states)
        waiting = await states.until(Waiting)
        assert (waiting.until_ms, waiting.why) == (None, "the inbox is full")
        assert script.connects == 1
        client.on("CHAT")(Seen())
        await (await script.accept()).welcome()
        await client.connected(5)


# Garbage and cuts.


@settings(max_examples=60)
@given(garbage=st.binary(min_size=1, max_size=200))
async def test_garbage_is_answered_and_left_behind(garbage: bytes) -> None:
    script, seen, kept = Script(), Seen(), database()
    async with client_of(script, kept) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await seen.until(1)
        talk.end.write(garbage)
        talk.end.close()
        hello = await (await script.accept()).welcome(push(1, 2))
        assert hello.points[0].received == 1
        assert await seen.until(2) == [1, 2]


@settings(max_examples=60)
@given(data=st.data(), sizes=st.lists(st.integers(1, 60), max_size=40), lost=st.booleans())
async def test_a_link_cut_anywhere_loses_and_repeats_nothing(
    data: st.DataObject, sizes: list[int], lost: bool
) -> None:
    """A whole conversation in pieces of any size, cut at any byte; then another one heals it."""
    script, seen, kept = Script(), Seen(), database()
    frames = [
        encode(each)
        for each in (
            welcome_for("alice"),
            push(0, 1, 2),
            push(0, 1, target="everyone"),
            push(2, 4, upto=5),
            m.Pong(1),
            push(5, 6, 7),
        )
    ]
    whole = b"".join(frames)
    cut = data.draw(st.integers(0, len(whole)))
    async with client_of(script, kept) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        await talk.hear(m.Hello)
        begin = 0
        for size in [*sizes, len(whole)]:
            talk.end.write(whole[begin : min(cut, begin + size)])
            begin = min(cut, begin + size)
            await asyncio.sleep(0)
        if lost:
            talk.end.cut()
        else:
            talk.end.close()
        talk = await script.accept()
        hello = await talk.hear(m.Hello)
        held = {each.target: each.received for each in hello.points}
        talk.say(welcome_for("alice"))
        for after, ids, upto in ((0, (1, 2), 2), (2, (4,), 5), (5, (6, 7), 7)):
            if held.get("user:alice", 0) <= after:
                talk.say(push(after, *ids, upto=upto))
        if "everyone" not in held:
            talk.say(push(0, 1, target="everyone"))
        await seen.until(6)
        chat = [each.id for each in seen.oplogs if each.target == "user:alice"]
        assert chat == [1, 2, 4, 6, 7]


async def test_what_the_sdk_may_not_say_stops_it() -> None:
    script = Script()
    options = ClientOptions(reconnect_s=0.001, reconnect_max_s=0.002)
    async with client_of(script, user="\ud800", options=options) as client:
        await eventually(lambda: "Stopped" in repr(client.stats().state))
        assert script.connects == 1


async def test_a_polite_end_says_what_is_left_to_say() -> None:
    script, seen = Script(), Seen()
    slow = ClientOptions(ack_delay_s=0.1)
    async with client_of(script, options=slow) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await seen.until(1)
        await eventually(lambda: client.stats().inbox_count == 0)
    heard = await talk.ended()
    assert heard == [m.Ack([m.Acked(*CHAT, 1, 1)]), m.Close(CloseCode.NORMAL)]

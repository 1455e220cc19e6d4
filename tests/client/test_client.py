"""The SDK's face, from an app's point of view."""

import asyncio
import inspect
from typing import Any

import pytest

import mobilesync.client
from mobilesync.client import (
    ChannelReset,
    Client,
    ClientError,
    ClientOptions,
    Connected,
    HandlerExists,
    InvalidOption,
    NotConnected,
    Parked,
    ReceivedNotice,
    ReceivedOplog,
    Stopped,
    Superseded,
    TokenFailed,
    WithdrawnOplogs,
)
from mobilesync.client.transaction import Transaction
from mobilesync.protocol import messages as m
from tests.client.scripted import (
    EPOCH,
    Script,
    Seen,
    States,
    client_of,
    database,
    eventually,
    push,
    welcome_for,
    withdrawal,
)


async def test_an_oplog_is_saved_acked_and_handled() -> None:
    script, seen = Script(), Seen()
    async with client_of(script) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        hello = await talk.welcome(push(0, 1, 2))
        assert (hello.user, hello.token, hello.device, hello.points) == ("alice", "t1", "d1", [])
        await client.connected(5)
        assert await seen.until(2) == [1, 2]
        assert seen.oplogs[0] == ReceivedOplog(
            "CHAT", "user:alice", 1, b"1", "m1", 1001, attempt=1, epoch=7
        )
        acked: list[m.Acked] = []
        while not acked or acked[-1].processed < 2:
            acked += (await talk.hear(m.Ack)).acked
        assert acked[-1] == m.Acked("CHAT", "user:alice", 2, 2)


async def test_what_was_handled_is_never_handed_out_again() -> None:
    script, seen, kept = Script(), Seen(), database()
    async with client_of(script, kept) as client:
        client.on("CHAT")(seen)
        await (await script.accept()).welcome(push(0, 1, 2))
        await seen.until(2)
    async with client_of(script, kept) as client:
        client.on("CHAT")(seen)
        hello = await (await script.accept()).welcome(push(2, 3))
        assert hello.points == [m.SyncPoint("CHAT", "user:alice", EPOCH, 2, 2)]
        assert await seen.until(3) == [1, 2, 3]


async def test_functions_are_registered_by_decorators() -> None:
    script, told = Script(), []
    async with client_of(script) as client:

        @client.on("CHAT")
        def chat(oplog: ReceivedOplog) -> None:
            told.append(oplog.text)

        @client.on("PAY", transactional=True)
        def pay(oplog: ReceivedOplog, tx: Transaction) -> None:
            tx.execute("CREATE TABLE IF NOT EXISTS paid (id INTEGER)")
            told.append(f"paid {oplog.text}")

        @client.on_notice("TYPING")
        def typing(notice: ReceivedNotice) -> None:
            told.append(notice.text)

        @client.on_reset
        def reset(what: ChannelReset) -> None:
            told.append(f"reset to {what.floor}")

        @client.on_state
        def state(event: object) -> None:
            if isinstance(event, Connected):
                told.append("connected")

        @client.on_withdrawn("CHAT")
        def withdrawn(what: WithdrawnOplogs) -> None:
            told.append(f"withdrawn {what.ranges}")

        assert all(callable(each) for each in (chat, pay, typing, reset, state, withdrawn))
        with pytest.raises(HandlerExists):
            client.on("CHAT")(chat)
        talk = await script.accept()
        await talk.welcome(
            push(0, 1),
            push(0, 1, biz="PAY"),
            m.Notice("TYPING", "everyone", 0, b"typing"),
            m.Reset("CHAT", "user:alice", EPOCH, 7, 1),
        )
        await eventually(lambda: len(told) == 5)
        assert sorted(told) == ["1", "connected", "paid 1", "reset to 7", "typing"]
        talk.say(withdrawal(7, 8, (1, 1)))
        await eventually(lambda: told[5:] == ["withdrawn ((1, 1),)"])


async def test_an_unregistered_biz_is_kept() -> None:
    script, seen = Script(), Seen()
    async with client_of(script) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await seen.until(1)
        client.off("CHAT")
        talk.say(push(1, 2))
        await eventually(lambda: client.stats().received == 2)
        client.on("CHAT")(seen)
        assert await seen.until(2) == [1, 2]


async def test_parked_oplogs_are_seen_retried_and_discarded() -> None:
    script, states, healthy = Script(), States(), False
    async with client_of(script) as client:
        client.on_state(states)
        seen = Seen(lambda _: None if healthy else ValueError("sick"))
        client.on("CHAT")(seen)
        await (await script.accept()).welcome(push(0, 1, 2, 3))
        for id_ in (1, 2, 3):
            assert (await states.until(Parked)).parked.oplog.id == id_
        parked = client.parked()
        assert [each.oplog.id for each in parked] == [1, 2, 3]
        assert "sick" in parked[0].error
        assert client.stats().parked_count == 3
        assert await client.discard_parked(parked[0].key) == 1
        healthy = True
        assert await client.retry_parked(parked[1].key) == 1
        assert await seen.until(1) == [2]
        assert await client.retry_parked() == 1
        assert await seen.until(2) == [2, 3]
        assert client.parked() == []
        assert await client.retry_parked() == await client.discard_parked() == 0


async def test_parked_oplogs_of_another_user_are_not_shown() -> None:
    script, states = Script(), States()
    async with client_of(script) as client:
        client.on_state(states)
        client.on("CHAT")(Seen(lambda _: ValueError("sick")))
        await (await script.accept()).welcome(push(0, 1))
        await states.until(Parked)
        await client.login("bob", "t2")
        assert client.parked() == []
        assert await client.discard_parked() == 0
        await client.login("alice", "t1")
        assert len(client.parked()) == 1


async def test_a_user_who_is_gone_can_be_forgotten() -> None:
    script = Script()
    async with client_of(script) as client:
        talk = await script.accept()
        await talk.welcome(push(0, 1, 2))
        await eventually(lambda: client.stats().inbox_count == 2)
        with pytest.raises(InvalidOption, match="logged in"):
            await client.forget("alice")
        await client.logout()
        await client.forget("alice")
        assert client.stats().inbox_count == 0
        await talk.skip_to(m.Unbind)
        talk.say(welcome_for(""))
        await client.login("alice", "t1")
        assert (await talk.hear(m.Bind)).points == []


async def test_login_works_without_a_connection_and_without_a_start() -> None:
    script = Script()
    client = client_of(script, user="", token="t-device")
    await client.login("alice", "t1")
    async with client:
        hello = await (await script.accept()).welcome()
        assert (hello.user, hello.token) == ("alice", "t1")


async def test_a_login_that_gets_no_token_changes_nothing() -> None:
    def fails() -> str:
        raise RuntimeError

    async with client_of(Script()) as client:
        with pytest.raises(TokenFailed):
            await client.login("bob", fails)
        with pytest.raises(InvalidOption):
            await client.login("", "t1")
        assert client.stats().user == "alice"


async def test_a_login_that_is_overtaken_says_so() -> None:
    go = asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "t-bob"

    async with client_of(Script()) as client:
        late = asyncio.ensure_future(client.login("bob", slow))
        await asyncio.sleep(0)
        await client.login("carol", "t-carol")
        go.set()
        with pytest.raises(Superseded):
            await late
        assert client.stats().user == "carol"


async def test_attributes_before_a_start_are_those_of_the_start() -> None:
    script = Script()
    client = client_of(script, attributes={"a": "1"})
    client.set_attributes({"b": "2"})
    with pytest.raises(InvalidOption):
        client.set_attributes({"c": "x" * 257})
    client.off("CHAT")
    async with client:
        hello = await (await script.accept()).welcome()
        assert hello.attributes == {"b": "2"}


async def test_a_biz_that_loses_its_handler_says_so() -> None:
    script, started = Script(), asyncio.Event()
    async with client_of(script) as client:

        @client.on("CHAT")
        async def handle(_: ReceivedOplog) -> None:
            started.set()
            await asyncio.Event().wait()

        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await started.wait()
        assert (await talk.hear(m.Ack)).acked == [m.Acked("CHAT", "user:alice", 1, 0)]
        client.off("CHAT")
        assert (await talk.hear(m.Ack)).acked == [m.Acked("CHAT", "user:alice", 1, 0, 1)]


async def test_a_handler_that_fails_says_so() -> None:
    script, go = Script(), asyncio.Event()
    slow = ClientOptions(handler_backoff_s=60, ack_delay_s=0.005)
    async with client_of(script, options=slow) as client:

        @client.on("CHAT")
        async def handle(_: ReceivedOplog) -> None:
            await go.wait()
            raise ValueError("no")

        talk = await script.accept()
        await talk.welcome(push(0, 1))
        assert (await talk.hear(m.Ack)).acked == [m.Acked("CHAT", "user:alice", 1, 0)]
        go.set()
        assert (await talk.hear(m.Ack)).acked == [m.Acked("CHAT", "user:alice", 1, 0, 2)]


async def test_not_connected_in_time_says_why() -> None:
    script = Script()
    script.refuse = ConnectionRefusedError("nobody there")
    async with client_of(script) as client:
        with pytest.raises(NotConnected, match="nobody there"):
            await client.connected(0.05)


async def test_what_does_not_run_says_so_and_can_be_closed() -> None:
    client = client_of(Script())
    for use in (client.parked, client.stats):
        with pytest.raises(InvalidOption, match="does not run"):
            use()
    client.foreground()
    client.background()
    client.resume()
    await client.close()
    client.abort()


async def test_it_starts_once_at_a_time_and_again_after_its_end() -> None:
    script, kept = Script(), database()
    client = client_of(script, kept)
    async with client:
        with pytest.raises(InvalidOption, match="already"):
            await client.start()
    async with client:
        await asyncio.sleep(0)
        await client.close()


async def test_a_handler_cannot_close_its_client_but_may_let_it_be_closed() -> None:
    script, errors, closing = Script(), [], []
    client = client_of(script)

    @client.on("CHAT")
    async def handle(_: ReceivedOplog) -> None:
        try:
            await client.close()
        except ClientError as error:
            errors.append(error)
        closing.append(asyncio.ensure_future(client.close()))

    await client.start()
    await (await script.accept()).welcome(push(0, 1))
    await eventually(lambda: bool(closing))
    await closing[0]
    assert len(errors) == 1


async def test_the_end_is_told_with_everything_else() -> None:
    script, states = Script(), States()
    async with client_of(script) as client:
        client.on_state(states)
    assert (await states.until(Stopped)).reason == "closed by the app"


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": ""},
        {"device": "d" * 129},
        {"user": "u" * 129},
        {"token": ""},
        {"os": "x" * 65},
        {"app_version": "x" * 65},
        {"attributes": {"x" * 65: ""}},
        {"attributes": {"x": "y" * 257}},
        {"attributes": {str(n): "" for n in range(33)}},
        {"connect": None},
        {"connect": None, "host": "localhost"},
        {"connect": None, "host": "localhost", "port": 65536},
        {"connect": None, "host": "localhost", "port": 1, "fingerprint": "no"},
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_opened(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        client_of(Script(), **wrong)


def test_what_is_exported_is_documented() -> None:
    for name in mobilesync.client.__all__:
        thing = getattr(mobilesync.client, name)
        assert not inspect.isclass(thing) or thing.__doc__, name
    for name, member in inspect.getmembers(Client, inspect.isfunction):
        assert name.startswith("_") or member.__doc__, name

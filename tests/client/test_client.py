"""The whole SDK against a scripted server."""

import asyncio

import pytest

from mobilesync.client import (
    ClientStopped,
    Connected,
    InvalidOption,
    NotConnected,
    ReceivedOplog,
    Stopped,
)
from mobilesync.client.transaction import Transaction
from mobilesync.protocol import messages as m
from tests.client.scripted import Script, Seen, States, client_of, database, eventually, push


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
        talk = await script.accept()
        await talk.welcome(push(0, 1, 2))
        await seen.until(2)
    async with client_of(script, kept) as client:
        client.on("CHAT")(seen)
        hello = await (await script.accept()).welcome(push(2, 3))
        assert hello.points == [m.SyncPoint("CHAT", "user:alice", 7, 2, 2)]
        assert await seen.until(3) == [1, 2, 3]


async def test_a_transactional_handler_takes_effect_exactly_once() -> None:
    script, kept = Script(), database()
    kept.execute("CREATE TABLE paid (id INTEGER)")
    calls = 0
    async with client_of(script, kept) as client:

        @client.on("PAY", transactional=True)
        async def pay(oplog: ReceivedOplog, tx: Transaction) -> None:
            nonlocal calls
            calls += 1
            tx.execute("INSERT INTO paid VALUES (?)", (oplog.id,))
            await asyncio.sleep(0)
            if calls == 1:
                raise ValueError("not yet")

        talk = await script.accept()
        await talk.welcome(push(0, 1, 2, biz="PAY"))
        await eventually(lambda: client.stats().handled == 2)
    assert calls == 3
    assert kept.execute("SELECT id FROM paid").fetchall() == [(1,), (2,)]


async def test_states_are_told_and_stop_codes_stop() -> None:
    script, states = Script(), States()
    async with client_of(script) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.welcome(m.Close(3004, "no such app"))
        assert (await states.until(Connected)).user == "alice"
        assert (await states.until(Stopped)).code == 3004
        with pytest.raises(ClientStopped, match="no such app"):
            await client.connected(5)
        assert script.connects == 1
        client.resume()
        await (await script.accept()).welcome()
        await client.connected(5)


async def test_not_connected_in_time_says_why() -> None:
    script = Script()
    script.refuse = ConnectionRefusedError("nobody there")
    async with client_of(script) as client:
        with pytest.raises(NotConnected, match="nobody there"):
            await client.connected(0.05)


async def test_what_does_not_run_says_so() -> None:
    client = client_of(Script())
    with pytest.raises(InvalidOption):
        client.parked()
    await client.close()
    client.abort()

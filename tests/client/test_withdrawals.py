"""What is withdrawn never comes; an app that may have shown it is told until it has listened."""

import asyncio

import pytest

from mobilesync.client import (
    Client,
    ClientOptions,
    ListenerFailed,
    Parked,
    ReceivedOplog,
    Transaction,
    WithdrawnOplogs,
)
from mobilesync.protocol import messages as m
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
    withdrawal,
)

CHAT = ("CHAT", "user:alice")


def told(*ranges: tuple[int, int], reason: int = 1) -> WithdrawnOplogs:
    return WithdrawnOplogs(*CHAT, EPOCH, ranges, reason)


class Diary:
    """An app that writes down what it is handed and told, in order."""

    def __init__(self, client: Client) -> None:
        self.lines: list[object] = []
        client.on("CHAT")(self.handle)
        client.on_withdrawn("CHAT")(self.listen)

    async def handle(self, oplog: ReceivedOplog) -> None:
        self.lines.append(oplog.id)

    async def listen(self, withdrawn: WithdrawnOplogs) -> None:
        self.lines.append(withdrawn)


async def processed(talk: Talk, upto: int) -> None:
    """Wait until the server knows."""
    while all(each.processed < upto for each in (await talk.hear(m.Ack)).acked):
        pass


async def test_the_app_is_told_between_what_came_before_and_after() -> None:
    script = Script()
    async with client_of(script) as client:
        diary = Diary(client)
        talk = await script.accept()
        hello = await talk.welcome(push(0, 1, 2, 3))
        assert hello.features == ["withdrawals"]
        await eventually(lambda: diary.lines == [1, 2, 3])
        talk.say(push(3, 4), withdrawal(4, 5, (1, 2), (9, 9), reason=2), push(5, 6))
        await processed(talk, 6)
        assert diary.lines == [1, 2, 3, 4, told((1, 2), reason=2), 6]
        assert client.stats().inbox_count == 0


async def test_what_was_not_handed_out_never_comes() -> None:
    script = Script()
    async with client_of(script) as client:
        talk = await script.accept()
        await talk.welcome(push(0, 1, 2, 3), withdrawal(3, 4, (1, 2)))
        await eventually(lambda: client.stats().inbox_count == 1)
        diary = Diary(client)
        await processed(talk, 4)
        assert diary.lines == [3]


async def test_an_app_that_does_not_listen_gets_on_without_it() -> None:
    script, seen = Script(), Seen()
    async with client_of(script) as client:
        client.on("CHAT")(seen)
        client.on_withdrawn("PAY")(lambda _: seen.oplogs.clear())
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await seen.until(1)
        talk.say(withdrawal(1, 2, (1, 1)), push(2, 3))
        await processed(talk, 3)
        assert seen.ids == [1, 3]


async def test_a_listener_is_called_until_it_has_listened() -> None:
    script, calls = Script(), 0
    async with client_of(script) as client:
        diary = Diary(client)
        client.off("CHAT")
        client.on("CHAT")(diary.handle)

        @client.on_withdrawn("CHAT")
        async def listen(withdrawn: WithdrawnOplogs) -> None:
            nonlocal calls
            calls += 1
            if calls < 3:
                raise ValueError("not now")
            await diary.listen(withdrawn)

        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await processed(talk, 1)
        talk.say(withdrawal(1, 2, (1, 1)), push(2, 3))
        await processed(talk, 3)
        assert diary.lines == [1, told((1, 1)), 3]


async def test_a_listener_that_never_listens_is_given_up_visibly() -> None:
    script, seen, states = Script(), Seen(), States()
    async with client_of(script) as client:
        client.on_state(states)
        client.on("CHAT")(seen)

        @client.on_withdrawn("CHAT")
        def listen(_: WithdrawnOplogs) -> None:
            raise ValueError("never")

        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await seen.until(1)
        talk.say(withdrawal(1, 2, (1, 1)), push(2, 3))
        failed = await states.until(ListenerFailed)
        assert failed.what == told((1, 1))
        assert "never" in failed.error
        await processed(talk, 3)


async def test_it_is_told_in_the_next_life_if_need_be() -> None:
    script, kept = Script(), database()
    async with client_of(script, kept) as client:
        Diary(client)
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await processed(talk, 1)
        started = asyncio.Event()
        client.off("CHAT")
        client.on("CHAT")(Seen())

        @client.on_withdrawn("CHAT")
        async def hang(_: WithdrawnOplogs) -> None:
            started.set()
            await asyncio.Event().wait()

        talk.say(withdrawal(1, 2, (1, 1)))
        await started.wait()
    async with client_of(script, kept) as client:
        diary = Diary(client)
        hello = await (await script.accept()).welcome()
        assert hello.points == [m.SyncPoint(*CHAT, EPOCH, 2, 1)]
        await eventually(lambda: diary.lines == [told((1, 1))])


@pytest.mark.parametrize("fails", [True, False])
async def test_a_call_that_runs_meanwhile_ends_in_peace_and_is_not_made_again(fails: bool) -> None:
    script, states, release = Script(), States(), asyncio.Event()
    # The first failure would be the last one: it would be parked.
    options = ClientOptions(attempts_max=1, ack_delay_s=0.005)
    async with client_of(script, options=options) as client:
        diary = Diary(client)
        client.off("CHAT")
        client.on_withdrawn("CHAT")(diary.listen)
        client.on_state(states)

        @client.on("CHAT")
        async def handle(oplog: ReceivedOplog) -> None:
            await diary.handle(oplog)
            if oplog.id == 1:
                await release.wait()
                if fails:
                    raise ValueError("gone")

        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await eventually(lambda: diary.lines == [1])
        talk.say(withdrawal(1, 2, (1, 1)), push(2, 3))
        await eventually(lambda: client.stats().received == 3)
        release.set()
        await processed(talk, 3)
        assert diary.lines == [1, told((1, 1)), 3]
        assert client.parked() == []
        assert not any(isinstance(each, Parked) for each in states.events)
        assert client.stats().inbox_count == 0


async def test_a_transactional_call_is_over_before_its_oplog_is_withdrawn() -> None:
    script, kept, started, release = Script(), database(), asyncio.Event(), asyncio.Event()
    kept.execute("CREATE TABLE mine (id)")
    async with client_of(script, kept) as client:
        diary = Diary(client)
        client.off("CHAT")
        client.on_withdrawn("CHAT")(diary.listen)

        @client.on("CHAT", transactional=True)
        async def handle(oplog: ReceivedOplog, tx: Transaction) -> None:
            tx.execute("INSERT INTO mine VALUES (?)", (oplog.id,))
            started.set()
            await release.wait()

        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await started.wait()
        talk.say(withdrawal(1, 2, (1, 1)))
        await asyncio.sleep(0.005)
        release.set()
        await processed(talk, 2)
        assert diary.lines == [told((1, 1))]
    assert kept.execute("SELECT id FROM mine").fetchall() == [(1,)]


async def test_a_parked_oplog_that_is_withdrawn_is_gone() -> None:
    script, states = Script(), States()
    async with client_of(script) as client:
        client.on_state(states)
        diary = Diary(client)
        client.off("CHAT")
        client.on_withdrawn("CHAT")(diary.listen)
        client.on("CHAT")(Seen(lambda _: ValueError("sick")))
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await states.until(Parked)
        talk.say(withdrawal(1, 2, (1, 1)))
        await processed(talk, 2)
        assert client.parked() == []
        assert diary.lines == [told((1, 1))]


async def test_a_withdrawal_of_another_users_waits_for_that_user() -> None:
    script = Script()
    async with client_of(script) as client:
        diary = Diary(client)
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await processed(talk, 1)
        talk.say(withdrawal(1, 2, (1, 1)))
        await client.login("bob", "t-bob")
        await asyncio.sleep(0.005)
        await client.login("alice", "t1")
        await talk.skip_to(m.Bind)
        talk.say(m.Welcome(1, EPOCH, "s", "bob", 0, 60, 540))
        bind = await talk.skip_to(m.Bind)
        received = bind.points[0].received
        talk.say(m.Welcome(1, EPOCH, "s", "alice", 0, 60, 540))
        if received == 1:
            talk.say(withdrawal(1, 2, (1, 1)))
        await eventually(lambda: diary.lines == [1, told((1, 1))])

"""An ack is the proof: what it covers, when that left, and what was passed over on the way."""

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Sent, Skip
from mobilesync.engine.acks import Progress, given_ids
from mobilesync.engine.session import Session
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode
from tests.engine.world import APP, World, passes, settle, simulated

CHAT = Channel(APP, "CHAT", "user:u1")


@simulated
async def test_the_journal_tells_when_each_push_left_and_when_it_was_saved() -> None:
    async with World() as world:
        phone = await world.online()
        phone.acking = phone.processing = False
        begin_ms = world.clock.wall_ms()
        for payload in (b"1", b"2"):
            await world.publish("user:u1", payload)
            await passes(5)
        phone.ack()
        await settle()
        await world.store.put_documents([])
        [step] = await world.store.journal(CHAT, "d1", 0, 10)
        assert (step.before, step.received, step.processed) == (0, 2, 0)
        assert [sent.upto for sent in step.sends] == [1, 2]
        first, second = (sent.at_ms - begin_ms for sent in step.sends)
        assert first < 1_000 < 5_000 <= second < 6_000
        assert step.at_ms - begin_ms >= 10_000


@simulated
async def test_what_was_passed_over_is_in_the_step_that_covers_it() -> None:
    async with World() as world:
        phone = await world.online()
        phone.acking = False
        await world.publish("user:u1", b"ios", b"ios", os=("ios",))
        await world.publish("user:u1", b"all")
        await world.publish("user:u1", b"ios", os=("ios",))
        await settle()
        phone.ack()
        await settle()
        await world.store.put_documents([])
        [step] = await world.store.journal(CHAT, "d1", 0, 10)
        assert step.skips == (Skip(1, 2, int(Reason.OS)),)
        phone.ping()
        await settle()
        phone.ack()
        await world.store.put_documents([])
        [_, step] = await world.store.journal(CHAT, "d1", 0, 10)
        assert (step.before, step.received, step.skips) == (3, 4, (Skip(4, 4, int(Reason.OS)),))


@simulated
async def test_what_was_sent_and_never_acked_is_told_when_the_session_ends() -> None:
    async with World() as world:
        phone = await world.online()
        phone.acking = False
        await world.publish("user:u1", b"1")
        await settle()
        phone.hang_up()
        await world.store.put_documents([])
        [step] = await world.store.journal(CHAT, "d1", 0, 10)
        assert (step.received, step.sent) == (0, 1)
        [sent] = step.sends
        assert isinstance(sent, Sent)
        assert sent.upto == 1


@simulated
async def test_also_when_the_user_leaves_the_session() -> None:
    async with World() as world:
        phone = await world.online()
        phone.acking = False
        await world.publish("user:u1", b"1")
        await settle()
        phone.bind("u2")
        await settle()
        await world.store.put_documents([])
        [step] = await world.store.journal(CHAT, "d1", 0, 10)
        assert step.sent == 1


@simulated
async def test_why_something_waits_is_kept_with_the_point() -> None:
    async with World() as world:
        phone = await world.online()
        phone.acking = phone.processing = False
        await world.publish("user:u1", b"1")
        await settle()
        phone.say(m.Ack([m.Acked("CHAT", "user:u1", 1, 0, 1)]))
        await settle()
        assert (await world.store.points(APP, "d1"))[CHAT].waits == 1
        phone.hang_up()
        phone.connect()
        await settle()
        assert (await world.store.points(APP, "d1"))[CHAT].waits == 1, "Hello does not say"
        phone.say(m.Ack([m.Acked("CHAT", "user:u1", 1, 1)]))
        await settle()
        assert (await world.store.points(APP, "d1"))[CHAT].waits == 0


@simulated
async def test_whoever_wants_to_know_is_told_what_moved() -> None:
    async with World() as world:
        told: list[Progress] = []

        def note(session: Session, progress: Progress) -> None:
            assert session.device == "d1"
            told.append(progress)

        world.sessions.on_progress.append(note)
        phone = await world.online()
        phone.processing = False
        await world.publish("user:u1", b"ios", os=("ios",))
        await world.publish("user:u1", b"2")
        await settle()
        phone.processing = True
        await world.publish("user:u1", b"3")
        await settle()
        skip = (Skip(1, 1, int(Reason.OS)),)
        assert told == [
            Progress(CHAT, 0, 2, 0, 0, skip),
            Progress(CHAT, 2, 3, 0, 3, (), skip),
        ]


@pytest.mark.parametrize("received", [2, 9])
def test_an_ack_of_what_was_never_pushed_ends_the_session(received: int) -> None:
    @simulated
    async def run() -> None:
        async with World() as world:
            phone = await world.online()
            await world.publish("user:u1", b"1")
            await settle()
            phone.say(m.Ack([m.Acked("CHAT", "user:u1", received, 1)]))
            await settle()
            assert phone.close_code() is CloseCode.INVALID_FIELD

    run()


@pytest.mark.parametrize(
    "skips, given",
    [
        ((), [(3, 8)]),
        ((Skip(1, 2, 1), Skip(3, 3, 1)), [(4, 8)]),
        ((Skip(4, 5, 1), Skip(7, 7, 2)), [(3, 3), (6, 6), (8, 8)]),
        ((Skip(8, 9, 1), Skip(11, 12, 1)), [(3, 7)]),
        ((Skip(1, 20, 1),), []),
    ],
)
def test_what_was_given_is_what_was_not_passed_over(
    skips: tuple[Skip, ...], given: list[tuple[int, int]]
) -> None:
    assert given_ids(2, 8, skips) == given

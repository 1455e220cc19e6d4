"""Evidence: what is read, as the pump would see it, and nothing that is not there."""

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Oplog
from mobilesync.domain.rules import Viewer
from mobilesync.engine.evidence import Evidence
from tests.engine.world import APP, World, settle, simulated

ALL = Channel(APP, "CHAT", "everyone")
ADA = Channel(APP, "CHAT", "user:u1")
ONE = {"target_kind": "user", "scope": "appointed", "multi_device": False}


def evidence_of(world: World) -> Evidence:
    service = world.service
    return Evidence(world.store, world.configs, service.devices, world.sessions, service.offers)


async def _oplog(world: World, channel: Channel, oplog_id: int) -> Oplog:
    subject = await evidence_of(world).subject(channel, oplog_id)
    assert subject.oplog is not None
    return subject.oplog


@simulated
async def test_a_subject_is_an_oplog_that_is_there_or_not() -> None:
    async with World() as world:
        await world.publish("everyone", b"1", b"2")
        evidence = evidence_of(world)
        for oplog_id, is_there in ((0, False), (1, True), (2, True), (3, False)):
            subject = await evidence.subject(ALL, oplog_id)
            assert (subject.oplog is not None) is is_there
            assert subject.head.last == 2
        nowhere = await evidence.subject(Channel(APP, "NONE", "everyone"), 1)
        assert (nowhere.config, nowhere.oplog, nowhere.head.last) == (None, None, 0)
        assert not nowhere.is_of_notices
        await world.config("CHAT", persistent=False)
        assert (await evidence.subject(ALL, 3)).is_of_notices


@simulated
async def test_a_device_is_seen_as_it_is_or_was() -> None:
    async with World() as world:
        phone = world.device()
        phone.os = "ios"
        phone.connect()
        await settle()
        await world.publish("everyone", b"1")
        await settle()
        evidence = evidence_of(world)
        await evidence.settle()
        subject = await evidence.subject(ALL, 1)
        living = await evidence.case(subject, "d1")
        assert living.viewer is living.session.viewer if living.session else False
        assert living.cursor is not None
        phone.hang_up()
        gone = await evidence.case(subject, "d1")
        assert (gone.session, gone.cursor) == (None, None)
        assert (gone.viewer.user, gone.viewer.attributes.os) == ("u1", "ios")
        assert gone.proof.processed_at_ms
        stranger = await evidence.case(subject, "stranger")
        assert (stranger.known, stranger.point, stranger.viewer) == (None, None, Viewer("stranger"))


@simulated
async def test_newer_values_of_an_offer_are_those_of_its_origin() -> None:
    async with World() as world:
        await world.online()
        await world.publish("everyone", b"1", b"2", key="volume")
        evidence = evidence_of(world)
        newer = await evidence.newer(ALL, await _oplog(world, ALL, 1))
        assert [each.id for each in newer] == [2]
        assert await evidence.newer(ALL, await _oplog(world, ALL, 2)) == []
        offered = await world.service.interventions.offer_again(ALL, 1, "d1")
        own = Channel(APP, "CHAT", offered.target)
        newer = await evidence.newer(own, await _oplog(world, own, offered.id))
        assert [each.id for each in newer] == [2]
        await world.publish("everyone", b"3")
        assert await evidence.newer(ALL, await _oplog(world, ALL, 3)) == []


@simulated
async def test_a_point_of_the_user_counts_only_where_there_is_one() -> None:
    async with World() as world:
        await world.config("CHAT", **ONE)
        await world.online("d1")
        await world.online("d2")
        await world.publish("user:u1", b"1")
        await settle()
        evidence = evidence_of(world)
        subject = await evidence.subject(ADA, 1)
        assert subject.has_user_point
        assert await evidence.user_has_passed(subject)
        await evidence.settle()
        assert await evidence.holders(subject) == ["d2"]
        await world.publish("user:u1", b"2")
        assert not await evidence.user_has_passed(await evidence.subject(ADA, 2))
        await world.config("CHAT")
        assert not await evidence.user_has_passed(await evidence.subject(ADA, 1))

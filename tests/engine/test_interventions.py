"""Recall, replay, offer again: checked whole, durable, and carried out by the ordinary path."""

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import InvalidRequest, NotFound
from mobilesync.domain.oplog import WithdrawalReason
from mobilesync.protocol.codes import CloseCode, ResetReason
from mobilesync.protocol.messages import IdRange, Welcome, Withdrawal
from tests.engine.device import Device
from tests.engine.world import APP, World, passes, settle, simulated

ALL = Channel(APP, "CHAT", "everyone")
ADA = Channel(APP, "CHAT", "user:u1")


class TestRecall:
    @simulated
    async def test_who_has_not_got_it_never_does(self) -> None:
        async with World() as world:
            await world.publish("everyone", b"1", b"oops", b"3")
            answer = await world.service.interventions.recall(ALL, 2)
            assert (answer.id, answer.by_id, answer.duplicate) == (2, 4, False)
            phone = await world.online()
            assert phone.got("CHAT", "everyone") == [b"1", b"3"]
            [page] = [await world.store.read(ALL, 1, 1, 1)]
            assert page.oplogs[0].payload == b""

    @simulated
    async def test_also_out_of_what_was_just_read(self) -> None:
        async with World() as world:
            phone = await world.online()
            phone.hang_up()
            await world.publish("everyone", b"oops")
            held = world.store.hold("read")
            phone.connect()
            await settle()
            assert held.waiting == 1
            await world.service.interventions.recall(ALL, 1)
            held.open()
            await settle()
            assert phone.got("CHAT", "everyone") == []

    @simulated
    async def test_what_was_made_but_not_written_leaves_before_the_answer(self) -> None:
        async with World() as world:
            phone = await world.online()
            phone.hang_up()
            await world.publish("everyone", b"oops")
            await world.publish("device:d1", b"slow")
            # The first page's frame waits for the second page, to leave in one write with it.
            held = world.store.hold("read", spare=1)
            phone.connect()
            await settle()
            assert held.waiting == 1
            await world.service.interventions.recall(ALL, 1)
            await settle()
            assert phone.got("CHAT", "everyone") == [b"oops"]
            held.open()
            await settle()
            assert phone.got("CHAT", "everyone") == [b"oops"]
            assert phone.got("CHAT", "device:d1") == [b"slow"]

    @simulated
    async def test_who_has_it_is_told_if_it_asks(self) -> None:
        async with World() as world:
            asks, does_not = world.device("asks", "u1"), world.device("plain", "u2")
            asks.features = ["withdrawals"]
            for device in (asks, does_not):
                device.connect()
            await settle()
            await world.publish("everyone", b"oops")
            await settle()
            await world.service.interventions.recall(ALL, 1)
            await settle()
            [_, told] = asks.saved["CHAT", "everyone"]
            assert told.withdraws == Withdrawal([IdRange(1, 1)], 1)
            assert told.payload == b""
            assert len(does_not.saved["CHAT", "everyone"]) == 1

    @simulated
    async def test_twice_is_once(self) -> None:
        async with World() as world:
            await world.publish("everyone", b"oops")
            first = await world.service.interventions.recall(ALL, 1)
            again = await world.service.interventions.recall(ALL, 1)
            assert (again.by_id, again.duplicate) == (first.by_id, True)

    @simulated
    async def test_what_is_not_there_cannot_be_recalled(self) -> None:
        async with World() as world:
            await world.publish("everyone", b"x")
            recall = world.service.interventions.recall
            for wrong in (0, 2):
                with pytest.raises(NotFound):
                    await recall(ALL, wrong)
            await recall(ALL, 1)
            with pytest.raises(InvalidRequest, match="cannot be recalled"):
                await recall(ALL, 2)


class TestReplay:
    @simulated
    async def test_the_device_gets_it_all_again_and_once(self) -> None:
        async with World() as world:
            phone = await world.online()
            await world.publish("everyone", b"1", b"2", b"3")
            await settle()
            answer = await world.service.interventions.replay(ALL, "d1", 1)
            assert (answer.floor, answer.received_before, answer.online) == (1, 3, True)
            await settle()
            assert phone.close_code() is CloseCode.RESUME
            phone.connect()
            await settle()
            [welcome] = phone.all(Welcome)
            assert isinstance(welcome, Welcome)
            [reset] = welcome.resets
            assert (reset.floor, reset.reason) == (1, ResetReason.REWOUND)
            assert phone.got("CHAT", "everyone") == [b"1", b"2", b"3"]
            assert [len(push.oplogs) for push in phone.pushes()] == [2]
            phone.hang_up()
            phone.connect()
            await settle()
            assert phone.pushes() == []
            assert phone.received("CHAT", "everyone") == 3

    @simulated
    async def test_a_device_that_died_before_it_followed_is_told_again(self) -> None:
        async with World() as world:
            phone = await world.online()
            await world.publish("everyone", b"1", b"2")
            await settle()
            phone.hang_up()
            answer = await world.service.interventions.replay(ALL, "d1", 0)
            assert not answer.online
            points = dict(phone.points)
            phone.acking = False
            phone.connect()
            await settle()
            phone.hang_up()
            # It died with Welcome in its buffer.
            phone.points, phone.acking = points, True
            phone.connect()
            await settle()
            assert len(phone.pushes()) == 1
            await passes(0.2)
            steps = await world.store.journal(ALL, "d1", 0, 10)
            laps = [(step.lap, step.received, step.sent) for step in steps]
            assert laps == [(0, 2, 0), (1, 0, 2), (2, 2, 0)]

    @simulated
    async def test_it_survives_a_restart(self) -> None:
        async with World() as world:
            phone = await world.online()
            await world.publish("everyone", b"1")
            await settle()
            phone.hang_up()
            await world.service.interventions.replay(ALL, "d1", 0)
            disk = world.disk
        async with World(disk=disk) as again:
            phone.sessions = again.sessions
            phone.connect()
            await settle()
            assert len(phone.pushes()) == 1

    @simulated
    async def test_one_point_for_the_user_is_put_back_too(self) -> None:
        async with World() as world:
            rules = {"target_kind": "user", "scope": "appointed", "multi_device": False}
            await world.config("CHAT", **rules)
            phone = await world.online()
            await world.publish("user:u1", b"1", b"2")
            await settle()
            await world.service.interventions.replay(ADA, "d1", 1)
            phone.connect()
            await settle()
            assert [len(push.oplogs) for push in phone.pushes()] == [1]

    @simulated
    async def test_only_back_and_only_where_it_was(self) -> None:
        async with World() as world:
            await world.online()
            await world.publish("everyone", b"1")
            await settle()
            replay = world.service.interventions.replay
            for wrong in (-1, 1, 2):
                with pytest.raises(InvalidRequest, match="nothing to replay"):
                    await replay(ALL, "d1", wrong)
            with pytest.raises(NotFound):
                await replay(ALL, "stranger", 0)

    @simulated
    async def test_not_to_where_retention_has_left_nothing(self) -> None:
        async with World() as world:
            await world.config("CHAT", retention_s=10)
            await world.online()
            await world.publish("everyone", b"1")
            await settle()
            await passes(60)
            await world.service.trim()
            with pytest.raises(InvalidRequest, match="nothing to replay"):
                await world.service.interventions.replay(ALL, "d1", 0)
            assert len(world.service.replays) == 0


class TestOfferAgain:
    @simulated
    async def test_the_device_gets_it_although_it_has_it(self) -> None:
        async with World() as world:
            phone, other = await world.online(), await world.online("d2", "u2")
            await world.publish("everyone", b"1")
            await settle()
            for _ in range(2):
                offered = await world.service.interventions.offer_again(ALL, 1, "d1")
                assert offered.target == "device:d1"
            await settle()
            assert phone.got("CHAT", "device:d1") == [b"1", b"1"]
            assert other.got("CHAT", "device:d2") == []

    @simulated
    async def test_a_users_oplog_is_offered_in_the_users_channel(self) -> None:
        async with World() as world:
            phone, other = await world.online(), await world.online("d2")
            await world.publish("user:u1", b"1")
            await settle()
            offered = await world.service.interventions.offer_again(ADA, 1, "d1")
            assert (offered.target, offered.id) == ("user:u1", 2)
            await settle()
            assert phone.got("CHAT", "user:u1") == [b"1", b"1"]
            assert other.got("CHAT", "user:u1") == [b"1"]

    @simulated
    async def test_not_to_strangers_nor_what_was_recalled(self) -> None:
        async with World() as world:
            await world.online()
            await world.publish("user:u2", b"1")
            await world.publish("everyone", b"1")
            offer = world.service.interventions.offer_again
            with pytest.raises(NotFound):
                await offer(ALL, 1, "stranger")
            with pytest.raises(InvalidRequest, match="another device"):
                await offer(Channel(APP, "CHAT", "user:u2"), 1, "d1")
            await world.publish("device:d9", b"1")
            with pytest.raises(InvalidRequest, match="another device"):
                await offer(Channel(APP, "CHAT", "device:d9"), 1, "d1")
            await world.service.interventions.recall(ALL, 1)
            for wrong in (1, 2):
                with pytest.raises(InvalidRequest, match="withdrawn"):
                    await offer(ALL, wrong, "d1")


@simulated
async def test_a_recalled_oplog_says_how() -> None:
    async with World() as world:
        await world.publish("everyone", b"x")
        await world.service.interventions.recall(ALL, 1)
        page = await world.store.read(ALL, 0, 2, 100)
        withdrawn = page.oplogs[0].withdrawn
        assert withdrawn is not None
        assert (withdrawn.by_id, withdrawn.reason) == (2, WithdrawalReason.RECALLED)
        assert page.oplogs[1].details is not None
        assert page.oplogs[1].details.withdraws is not None
        assert isinstance(await world.online(), Device)

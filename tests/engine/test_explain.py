"""Explain: every reason there is comes out of a real run of the service, with what it is about."""

from dataclasses import replace

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import NotFound
from mobilesync.domain.reasons import Reason
from tests.engine.scenes import ADA, ALL, ONE, OWN, SCENES, explain, phone_of, told
from tests.engine.world import APP, World, options, passes, settle, simulated


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_every_reason_comes_out_of_a_run(reason: Reason) -> None:
    @simulated
    async def run() -> None:
        small = replace(options(window_count=8, push_count=8), trim_interval_s=1e6)
        async with World(small) as world:
            explanation, words = await SCENES[reason](world)
            assert explanation.reason is reason, explanation
            assert words in explanation.sentence

    run()


# Beyond the first answer --------------------------------------------------------------------


@simulated
async def test_what_was_offered_again_is_named() -> None:
    async with World() as world:
        await world.publish("everyone", b"x", app_version_min="2.0")
        phone = await phone_of(world, app_version="1.8")
        before = await explain(world)
        assert before.details["app_version"] == "1.8"
        phone.hang_up()
        phone.app_version = "2.0"
        phone.connect()
        await told(phone)
        after = await explain(world)
        assert after.reason is Reason.VERSION
        assert after.sentence.endswith(
            "range: the device has changed since; offered again as #1 of device:d1"
        )
        assert (await explain(world, OWN)).reason is Reason.PROCESSED


@simulated
async def test_a_replay_leaves_the_proof_of_before_and_says_so() -> None:
    async with World() as world:
        phone = await phone_of(world)
        await world.publish("everyone", b"1", b"2")
        first = await explain(world, oplog_id=2)
        await world.service.interventions.replay(ALL, "d1", 1)
        await settle()
        phone.acking = False
        phone.connect()
        again = await explain(world, oplog_id=2)
        assert again.reason is Reason.SENT
        assert again.processed_at_ms == first.processed_at_ms
        assert again.sentence.endswith("had it before, and its sync point was put back")
        assert (await explain(world, oplog_id=1)).reason is Reason.PROCESSED
        await passes(1)
        phone.ack()
        last = await explain(world, oplog_id=2)
        assert last.reason is Reason.PROCESSED
        assert last.processed_at_ms > first.processed_at_ms
        assert last.details == {}


@simulated
async def test_what_was_trimmed_before_a_device_came_was_not_received_by_it() -> None:
    async with World() as world:
        await world.config("CHAT", retention_s=10)
        await world.publish("everyone", b"gone")
        await passes(11)
        await world.service.trim()
        await phone_of(world)
        await world.publish("everyone", b"kept")
        assert (await explain(world, oplog_id=2)).reason is Reason.PROCESSED
        # The step to 2 covers 1, too.
        gone = await explain(world)
        assert (gone.reason, gone.received_at_ms) == (Reason.TRIMMED, 0)


@simulated
async def test_an_offline_device_never_gets_what_its_user_has_elsewhere() -> None:
    async with World() as world:
        await world.config("CHAT", **ONE)
        (await phone_of(world)).hang_up()
        await phone_of(world, "d2")
        await world.publish("user:u1", b"x")
        explanation = await explain(world, ADA)
        assert explanation.reason is Reason.ELSEWHERE
        assert explanation.details == {"devices": ["d2"]}


@simulated
async def test_a_newer_value_that_is_not_for_the_device_has_superseded_nothing() -> None:
    async with World() as world:
        await phone_of(world, os="ios")
        (await phone_of(world, "d2", os="android")).hang_up()
        await world.publish("everyone", b"1", b"2", key="volume")
        await world.publish("everyone", b"3", key="volume", os=("ios",))
        explanation = await explain(world, device="d2")
        assert explanation.details == {"superseded_by": 2}
        assert (await explain(world, oplog_id=2, device="d2")).reason is Reason.OFFLINE


@simulated
async def test_what_is_passed_over_but_not_told_yet_has_its_reason_already() -> None:
    async with World() as world:
        phone = world.device()
        phone.os = "harmony"
        phone.connect()
        await world.publish("everyone", b"x", os=("ios",))
        assert (await explain(world)).reason is Reason.OS
        # Passed over, told, and not acked.
        phone.acking = False
        phone.ping()
        assert (await explain(world)).reason is Reason.OS


@simulated
async def test_a_device_of_which_the_server_died_says_when_it_connected() -> None:
    async with World() as world:
        await world.publish("everyone", b"x")
        await world.config("OTHER")
        phone = await phone_of(world)
        phone.acking = False
        await passes(1)
        world.store.kill()
        disk = world.disk
    async with World(disk=disk) as again:
        await again.publish("everyone", b"y", biz="OTHER")
        explanation = await explain(again, Channel(APP, "OTHER", "everyone"))
        assert explanation.reason is Reason.OFFLINE
        assert "it connected last at 20" in explanation.sentence


@simulated
async def test_a_store_that_takes_no_writes_still_tells() -> None:
    async with World() as world:
        await phone_of(world)
        await world.publish("everyone", b"x")
        await passes(0.2)
        await world.store.close()
        assert (await explain(world)).reason is Reason.PROCESSED


class TestMessages:
    @simulated
    async def test_an_oplog_is_found_by_its_message_id(self) -> None:
        async with World() as world:
            await phone_of(world)
            await world.publish("everyone", b"1")
            await world.publish("everyone", b"2", message_id="order-7")
            await settle()
            explainer = world.service.explainer
            oplog_id, explanation = await explainer.explain_message(ALL, "order-7", "d1")
            assert (oplog_id, explanation.reason) == (2, Reason.PROCESSED)
            assert await explainer.find(ALL, "order-7") == 2

    @simulated
    async def test_one_that_is_nowhere_is_an_error(self) -> None:
        async with World() as world:
            explainer = world.service.explainer
            with pytest.raises(NotFound) as caught:
                await explainer.explain_message(ALL, "none", "d1")
            assert "never published" in caught.value.hint
            from_ms = world.clock.wall_ms() + 60_000
            await world.publish("everyone", b"x", message_id="later", valid_from_ms=from_ms)
            with pytest.raises(NotFound) as caught:
                await explainer.find(ALL, "later")
            assert "not due yet" in caught.value.hint


class TestReceipts:
    @simulated
    async def test_of_everyone_by_page(self) -> None:
        async with World() as world:
            for n in range(25):
                phone = await phone_of(world, f"d{n:02}", f"u{n}")
                if n % 2:
                    phone.hang_up()
            await world.publish("everyone", b"x")
            await settle()
            found: list[tuple[str, str, bool, Reason]] = []
            after = ""
            while page := await world.service.explainer.receipts(ALL, 1, after, 10):
                assert len(page) <= 10
                found += [(e.device, e.user, e.online, e.explanation.reason) for e in page]
                after = page[-1].device
            assert found == [
                (f"d{n:02}", f"u{n}", not n % 2, Reason.OFFLINE if n % 2 else Reason.PROCESSED)
                for n in range(25)
            ]

    @simulated
    async def test_of_a_user_and_of_a_device(self) -> None:
        async with World() as world:
            for name in ("a", "b", "c"):
                await phone_of(world, name)
            other = await phone_of(world, "d")
            other.bind("u2")
            await settle()
            await world.publish("user:u1", b"x")
            await world.publish("device:b", b"x")
            await world.publish("device:stranger", b"x")
            await settle()
            receipts = world.service.explainer.receipts
            found = {each.device: each for each in await receipts(ADA, 1, "", 10)}
            assert [*found] == ["a", "b", "c", "d"]
            assert found["d"].explanation.reason is Reason.WRONG_USER
            assert found["d"].user == "u2"
            assert [each.device for each in await receipts(ADA, 1, "b", 1)] == ["c"]
            own = Channel(APP, "CHAT", "device:b")
            assert [each.device for each in await receipts(own, 1, "", 10)] == ["b"]
            assert await receipts(own, 1, "b", 10) == []
            nobody = Channel(APP, "CHAT", "device:stranger")
            assert await receipts(nobody, 1, "", 10) == []

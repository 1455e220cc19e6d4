"""G5: what was refused is offered once when the device has changed, and never to anybody else."""

from typing import Any

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.oplog import Details, Oplog, Origin
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Advance, Head, Skip, user_owner
from mobilesync.engine import offers
from mobilesync.engine.offers import CANDIDATES_MAX, offer_of
from mobilesync.protocol.messages import PushedOplog
from tests.engine.device import Device
from tests.engine.world import APP, EPOCH, World, passes, settle, simulated

ALL = ("CHAT", "everyone")
OWN = ("CHAT", "device:d1")
ADA = ("CHAT", "user:u1")


async def _old_phone(world: World, **attributes: Any) -> Device:
    """A device of version 1.8 that has been told of everything there is."""
    phone = world.device()
    phone.os, phone.app_version = "android", "1.8"
    for name, value in attributes.items():
        setattr(phone, name, value)
    return await _again(phone)


async def _again(phone: Device) -> Device:
    if phone.session is not None and not phone.closed:
        phone.hang_up()
    phone.connect()
    await settle()
    await passes(0.2)
    assert phone.welcomed
    phone.ping()
    await settle()
    phone.ack()
    await settle()
    return phone


async def _upgrade(phone: Device, version: str = "2.0") -> Device:
    phone.app_version = version
    return await _again(phone)


@pytest.mark.parametrize("target", ["everyone", "user:u1", "device:d1"])
def test_an_upgrade_brings_what_was_refused_exactly_once(target: str) -> None:
    @simulated
    async def run() -> None:
        async with World() as world:
            await world.publish(target, b"for 2.0", app_version_min="2.0")
            await world.publish(target, b"for all")
            phone = await _old_phone(world)
            assert _payloads(phone) == [b"for all"]
            await _upgrade(phone)
            assert sorted(_payloads(phone)) == [b"for 2.0", b"for all"]
            [offer] = [each for each in _oplogs(phone) if each.origin is not None]
            assert offer.origin is not None
            assert (offer.origin.target, offer.origin.id) == (target, 1)
            await _upgrade(phone, "2.1")
            await _upgrade(phone, "1.8")
            await _upgrade(phone, "2.0")
            assert sorted(_payloads(phone)) == [b"for 2.0", b"for all"]

    run()


@simulated
async def test_an_offer_in_a_users_channel_is_for_one_device_alone() -> None:
    async with World() as world:
        await world.publish("user:u1", b"for 2.0", app_version_min="2.0")
        phone = await _old_phone(world)
        other = world.device("d2")
        other.app_version = "2.0"
        await _again(other)
        await _upgrade(phone)
        await settle()
        assert phone.got(*ADA) == [b"for 2.0"]
        assert other.got(*ADA) == [b"for 2.0"], "once, at its origin"


@simulated
async def test_nobody_else_on_the_device_gets_what_was_for_its_former_user() -> None:
    async with World() as world:
        await world.publish("user:u1", b"adas", app_version_min="2.0")
        phone = await _old_phone(world)
        phone.user = "bob"
        await _upgrade(phone)
        assert _payloads(phone) == []
        phone.user = "u1"
        await _again(phone)
        assert phone.got(*ADA) == [b"adas"]


@simulated
async def test_what_has_ended_or_was_recalled_or_replaced_is_not_offered() -> None:
    async with World() as world:
        soon_ms = world.clock.wall_ms() + 5_000
        await world.publish("everyone", b"ends", app_version_min="2.0", valid_until_ms=soon_ms)
        await world.publish("everyone", b"recalled", app_version_min="2.0")
        await world.publish("everyone", b"old", app_version_min="2.0", key="k")
        await world.publish("everyone", b"new", key="k")
        phone = await _old_phone(world)
        await world.service.interventions.recall(Channel(APP, *ALL), 2)
        await passes(10)
        await _upgrade(phone)
        assert _payloads(phone) == [b"new"]


@simulated
async def test_an_offer_is_passed_over_once_a_newer_value_has_come() -> None:
    async with World() as world:
        await world.publish("everyone", b"old", app_version_min="2.0", key="k")
        phone = await _old_phone(world)
        phone.acking = False
        phone.hang_up()
        phone.app_version = "2.0"
        held = world.store.hold("read", count=10)
        phone.connect()
        await settle()
        await world.publish("everyone", b"new", key="k")
        held.open()
        phone.acking = True
        await _again(phone)
        assert _payloads(phone) == [b"new"]


@simulated
async def test_whoever_installs_anew_gets_it_once_at_its_origin() -> None:
    async with World() as world:
        await world.publish("everyone", b"for 2.0", app_version_min="2.0")
        phone = await _old_phone(world)
        await _upgrade(phone)
        assert phone.got(*OWN) == [b"for 2.0"]
        phone.lose_store()
        await _again(phone)
        assert _payloads(phone) == [b"for 2.0"]
        await _upgrade(phone, "2.1")
        assert _payloads(phone) == [b"for 2.0"]


@simulated
async def test_a_custom_attribute_and_an_audience_can_change_too() -> None:
    async with World() as world:
        await world.publish("everyone", b"gold", attributes={"plan": ["gold"]})
        await world.publish("everyone", b"ada", users=("u1",))
        phone = await _old_phone(world, user="")
        assert _payloads(phone) == []
        phone.attributes = {"plan": "gold"}
        await _again(phone)
        assert _payloads(phone) == [b"gold"]
        phone.bind("u1")
        await settle()
        assert sorted(_payloads(phone)) == [b"ada", b"gold"]
        assert phone.got(*ADA) == [b"ada"], "in the user's channel: the next user must not get it"


@simulated
async def test_evidence_that_a_crash_took_is_found_again() -> None:
    async with World() as world:
        await world.publish("everyone", b"for 2.0", app_version_min="2.0")
        await world.publish("everyone", b"for all")
        phone = await _old_phone(world)
        # What the last ack said is gone, but not what is known of the device.
        world.disk.points.clear()
        world.disk.journal.clear()
        world.store.kill()
        again = World(disk=world.disk)
        async with again:
            phone.sessions = again.sessions
            await _upgrade(phone)
            assert sorted(_payloads(phone)) == [b"for 2.0", b"for all"]


@simulated
async def test_a_shared_point_offers_to_whichever_device_may_see_it() -> None:
    async with World() as world:
        await world.config("PAY", target_kind="user", scope="appointed", multi_device=False)
        await world.publish("user:u1", b"for ios", biz="PAY", os=("ios",))
        phone = await _old_phone(world)
        assert phone.got("PAY", "user:u1") == []
        phone.hang_up()
        tablet = world.device("d2")
        tablet.os = "ios"
        await _again(tablet)
        assert tablet.got("PAY", "user:u1") == [b"for ios"]


@simulated
async def test_a_shared_point_offers_once_although_the_device_was_refused_too() -> None:
    async with World() as world:
        await world.config("PAY", target_kind="user", scope="appointed", multi_device=False)
        await world.publish("user:u1", b"for 2.0", biz="PAY", app_version_min="2.0")
        phone = await _old_phone(world)
        await _upgrade(phone)
        assert phone.got("PAY", "user:u1") == [b"for 2.0"]
        page = await world.store.read(Channel(APP, "PAY", "user:u1"), 0, 9, 99)
        [_, offer] = page.oplogs
        assert offer.conditions == Conditions(app_version_min="2.0"), "for any device of the user"


@simulated
async def test_what_another_device_was_refused_in_a_new_lap_is_not_offered_to_who_has_it() -> None:
    async with World() as world:
        place = Channel(APP, "PAY", "user:u1")
        await world.config("PAY", target_kind="user", scope="appointed", multi_device=False)
        tablet = world.device("d2")
        tablet.os = "ios"
        await _again(tablet)
        await world.publish("user:u1", b"for ios", biz="PAY", os=("ios",))
        await settle()
        assert tablet.got("PAY", "user:u1") == [b"for ios"]
        # The user's point is put back, and a device that must not see it passes it next.
        phone = await _old_phone(world)
        back = Advance(place, user_owner("u1"), EPOCH, 0, 0, 1, restarts=True)
        world.store.advance([back])
        skips = (Skip(1, 1, int(Reason.OS)),)
        world.store.advance([Advance(place, user_owner("u1"), EPOCH, 1, 1, 2, skips=skips)])
        phone.hang_up()
        await _again(tablet)
        await passes(1)
        await _upgrade(tablet)
        assert tablet.got("PAY", "user:u1") == [b"for ios"]


@simulated
async def test_what_was_refused_at_its_origin_and_as_an_operators_offer_is_offered_once() -> None:
    async with World() as world:
        await world.publish("everyone", b"for 2.0", app_version_min="2.0")
        phone = await _old_phone(world)
        await world.service.interventions.offer_again(Channel(APP, *ALL), 1, "d1")
        await _again(phone)
        assert _payloads(phone) == []
        await _upgrade(phone)
        assert _payloads(phone) == [b"for 2.0"]
        await _upgrade(phone, "2.1")
        assert _payloads(phone) == [b"for 2.0"]


@simulated
async def test_the_last_word_of_the_journal_counts() -> None:
    async with World() as world:
        place = Channel(APP, *ALL)
        await world.publish("everyone", *[b"x"] * 5)
        skip = (Skip(2, 4, int(Reason.OS)),)
        store, made = world.store, world.service.offers
        store.advance([Advance(place, "d1", EPOCH, 5, 5, 1, skips=skip)])
        await store.put_documents([])
        head = Head(5, EPOCH)
        assert await made.refused_ids(place, "d1", head, 5) == [2, 3, 4]
        assert await made.refused_ids(place, "d1", head, 3) == [2, 3], "what lies ahead is judged"
        # A new lap covers some of them.
        store.advance([Advance(place, "d1", EPOCH, 0, 0, 2, restarts=True)])
        store.advance([Advance(place, "d1", EPOCH, 3, 3, 3)])
        await store.put_documents([])
        assert await made.refused_ids(place, "d1", head, 5) == [4]
        assert await made.refused_ids(place, "d1", Head(5, EPOCH, trimmed=4), 5) == []


@simulated
async def test_a_long_journal_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "STEPS_MAX", 3)
    async with World() as world:
        place = Channel(APP, *ALL)
        steps = [
            Advance(place, "d1", EPOCH, n, n, n, skips=(Skip(n, n, int(Reason.VERSION)),))
            for n in range(1, 11)
        ]
        world.store.advance(steps)
        await world.store.put_documents([])
        found = await world.service.offers.refused_ids(place, "d1", Head(10, EPOCH), 10)
        assert found == list(range(1, 11))


@simulated
async def test_only_so_many_are_offered_at_one_login() -> None:
    async with World() as world:
        place = Channel(APP, *ALL)
        many = CANDIDATES_MAX + 10
        skips = (Skip(1, many, int(Reason.VERSION)),)
        world.store.advance([Advance(place, "d1", EPOCH, many, many, 1, skips=skips)])
        await world.store.put_documents([])
        found = await world.service.offers.refused_ids(place, "d1", Head(many, EPOCH), many)
        assert found == list(range(11, many + 1)), "the newest"


class TestOfferOf:
    OPLOG = Oplog(7, b"x", "m", 1, 2, conditions=Conditions(("ios",)))

    def test_an_offer_of_an_offer_keeps_the_first_origin(self) -> None:
        place = Channel(APP, "CHAT", "device:d1")
        first = Oplog(3, b"x", "m", 1, 2, details=Details("k", origin=Origin("everyone", 7)))
        made = offer_of(place, first, "", "d1")
        assert made.details == Details("k", "", Origin("everyone", 7))
        assert made.conditions is None

    def test_what_names_users_goes_to_the_users_channel(self) -> None:
        place = Channel(APP, "CHAT", "everyone")
        named = Oplog(3, b"x", "m", 1, 2, conditions=Conditions(users=("ada",)))
        made = offer_of(place, named, "ada", "d1")
        assert made.channel.target == "user:ada"
        assert made.conditions == Conditions(users=("ada",), device="d1")

    def test_message_ids_tell_offers_apart_and_fit(self) -> None:
        long = Channel(APP, "CHAT", "user:" + "é" * 64)
        ids = {
            offer_of(place, self.OPLOG, "", device, by_operator=name).message_id
            for place in (long, Channel(APP, "CHAT", "everyone"))
            for device in ("d1", "d2")
            for name in ("", "a", "b")
        }
        assert len(ids) == 12
        assert all(len(each) <= 128 for each in ids)


def _oplogs(phone: Device) -> list[PushedOplog]:
    return [oplog for saved in phone.saved.values() for oplog in saved]


def _payloads(phone: Device) -> list[bytes]:
    return [oplog.payload for oplog in _oplogs(phone)]

"""The service as a whole: start, drain, stop, and the housekeeping in between."""

from dataclasses import replace
from typing import Any

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import StoreUnavailable
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.options import AuditOptions
from mobilesync.engine.service import TRIM_STEPS_MAX
from mobilesync.engine.webhooks import Webhook
from mobilesync.protocol.codes import CloseCode
from mobilesync.storage.contract import TrimReport
from mobilesync.storage.memory import MemoryStore
from tests.engine.receivers import HANG, SECRET, Receivers
from tests.engine.world import APP, World, failing, options, passes, settle, simulated

CHAT = ("CHAT", "user:u1")


@simulated
async def test_from_publish_to_ack() -> None:
    async with World() as world:
        device = await world.online()
        published = await world.publish("user:u1", b"hello")
        await settle()
        assert device.got(*CHAT) == [b"hello"]
        points = await world.store.points(APP, "d1")
        assert points[Channel(APP, *CHAT)].processed == published[0].id
        figures = {family.name: family.samples for family in world.metrics.families()}
        assert figures["mobilesync_sessions"] == [("mobilesync_sessions", {}, 1.0)]
        assert figures["mobilesync_oplogs_pushed_total"][0][2] == 1
        assert figures["mobilesync_store_failed"][0][2] == 0


@simulated
async def test_a_restart_continues_where_it_stopped() -> None:
    async with World() as world:
        device = await world.online()
        await world.publish("user:u1", b"1")
        await settle()
    assert device.close_code() is CloseCode.DRAINING
    async with World(disk=world.disk) as again:
        await again.publish("user:u1", b"2")
        device.sessions = again.sessions
        device.connect()
        await settle()
        assert device.got(*CHAT) == [b"1", b"2"]
        assert again.configs.get(APP, "CHAT").biz == "CHAT"


@simulated
async def test_the_sweep_heals_lost_wakes_in_one_round() -> None:
    chosen = replace(options(), sweep_interval_s=5.0, sweep_slices=4)
    async with World(chosen) as world:
        devices = [await world.online(f"d{number}") for number in range(10)]
        world.waker.deaf = True
        await world.publish("everyone", b"x")
        await passes(21.0)
        assert all(device.received("CHAT", "everyone") == 1 for device in devices)
        assert world.metrics.sweeps == 10


@simulated
async def test_drain_sends_everybody_away_spread_over_the_time() -> None:
    async with World() as world:
        devices = [await world.online(f"d{number}") for number in range(50)]
        began_s = world.clock.monotonic_s()
        await world.service.drain(5.0)
        took_s = world.clock.monotonic_s() - began_s
        await settle()
        assert 2.0 <= took_s <= 6.0
        for device in devices:
            close = device.close()
            assert close is not None
            assert (close.code, close.retry_spread_ms) == (CloseCode.DRAINING, 5000)
        assert await world.publish("user:u1", b"still taken")


@simulated
async def test_drain_at_once_and_with_nobody() -> None:
    async with World() as world:
        device = await world.online()
        await world.service.drain(0.0)
        await settle()
        assert device.close_code() is CloseCode.DRAINING
        began_s = world.clock.monotonic_s()
        await world.service.drain(60.0)
        assert world.clock.monotonic_s() == began_s


@simulated
async def test_stop_may_come_before_start_and_twice() -> None:
    world = World()
    await world.service.stop()
    async with World() as world:
        await world.online()
        await world.service.stop()
        await world.service.stop()
        assert world.forgotten()


@simulated
async def test_retention_runs_by_itself() -> None:
    async with World(replace(options(), trim_interval_s=60.0, trim_channels=3)) as world:
        await world.config("CHAT", retention_s=30)
        for number in range(10):
            await world.publish(f"user:u{number}", b"x", b"y")
        await passes(130.0)
        assert world.metrics.oplogs_trimmed == 20
        assert world.disk.oplogs == {}


class EndlessStore(MemoryStore):
    trims = 0

    async def trim(self, now_ms: int, channels_max: int) -> TrimReport:
        self.trims += 1
        return TrimReport(0, channels_max, False)


@simulated
async def test_retention_has_a_bound_in_one_tick() -> None:
    async with World() as world:
        store = EndlessStore(world.disk)
        world.service.store = store
        await world.service.trim()
        assert store.trims == TRIM_STEPS_MAX


@simulated
async def test_retention_that_is_refused_is_tried_again() -> None:
    class RefusingStore(EndlessStore):
        async def trim(self, now_ms: int, channels_max: int) -> TrimReport:
            await super().trim(now_ms, channels_max)
            raise StoreUnavailable("the disk is full")

    async with World(replace(options(), trim_interval_s=10.0)) as world:
        store = RefusingStore(world.disk)
        world.service.store = store
        await passes(35.0)
        assert store.trims == 3


@failing("tick_failed")
async def test_a_bug_in_housekeeping_does_not_end_it() -> None:
    async with World(replace(options(), trim_interval_s=10.0)) as world:
        world.service.store = None  # type: ignore[assignment]  # the bug
        await passes(15.0)
        world.service.store = store = EndlessStore(world.disk)
        await passes(10.0)
        assert store.trims > 0


@pytest.mark.parametrize(
    "change, woken",
    [({"status": "online"}, True), ({"status": "offline"}, False), (None, True)],
)
def test_who_goes_online_is_pushed(change: dict[str, str] | None, woken: bool) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            await world.online()
            if woken:
                await world.config("CHAT", status="offline")
                await settle()
            before = world.metrics.pump_turns
            if change is None:
                await world.configs.remove(APP, "CHAT")
            else:
                await world.config("CHAT", **change)
            await settle()
            assert (world.metrics.pump_turns > before) is woken

    scenario()


ONE_USER = {"scope": "appointed", "target_kind": "user"}


@pytest.mark.parametrize(
    "before, after, user, target",
    [
        ({"target_kind": "user", "user_check": True}, {"target_kind": "user"}, "u1", "user:u1"),
        ({"target_kind": "user"}, {}, "", "everyone"),
        ({**ONE_USER, "multi_device": False}, ONE_USER, "u1", "user:u1"),
        ({"target_kind": "user", "user_check": True}, None, "u1", "user:u1"),
    ],
)
def test_new_rules_hold_for_devices_that_are_connected(
    before: dict[str, Any], after: dict[str, Any] | None, user: str, target: str
) -> None:
    @simulated
    async def scenario() -> None:
        async with World() as world:
            device = await world.online("d1", user)
            await world.online("d2", user)
            await world.config("CHAT", **before)
            await world.publish(target, b"1")
            await settle()
            assert device.received("CHAT", target) == 0
            if after is None:
                await world.configs.remove(APP, "CHAT")
            else:
                await world.config("CHAT", **after)
            await settle()
            assert device.got("CHAT", target) == [b"1"]
            await world.config("CHAT", **before)
            await world.publish(target, b"2")
            await settle()
            assert device.got("CHAT", target) == [b"1"]

    scenario()


@simulated
async def test_many_changes_of_one_commit_wake_an_app_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with World() as world:
        device = await world.online()
        bizzes = [f"B{number}" for number in range(20)]
        await world.configs.apply(APP, [SyncConfig(biz=biz) for biz in bizzes])
        await settle()
        world.waker.deaf = True
        for biz in bizzes:
            await world.publish("user:u1", b"x", biz=biz)
        world.waker.deaf = False
        await world.configs.apply(APP, [SyncConfig(biz=biz, status="offline") for biz in bizzes])
        world.waker.wake(APP, "user:u1")
        await settle()
        assert device.pushes() == []
        woken: list[str] = []
        wake_app = world.sessions.wake_app

        def counting(app: str) -> None:
            woken.append(app)
            wake_app(app)

        monkeypatch.setattr(world.sessions, "wake_app", counting)
        await world.configs.apply(APP, [SyncConfig(biz=biz) for biz in bizzes])
        await settle()
        assert woken == [APP]
        assert all(device.got(biz, "user:u1") == [b"x"] for biz in bizzes)


@simulated
async def test_the_audit_is_pruned_by_itself() -> None:
    chosen = replace(options(), audit=AuditOptions(age_s=100, prune_interval_s=60.0))
    async with World(chosen) as world:
        assert [entry.action for entry in await world.service.audit.read(APP)] == ["biz_created"]
        await passes(90.0)
        assert len(await world.service.audit.read(APP)) == 1
        await passes(60.0)
        assert await world.service.audit.read(APP) == []


HOOK = Webhook(
    name="hook",
    url="https://shop.example/in",
    kinds=("oplog.processed", "device.online", "device.offline"),
    secret=SECRET,
)


@simulated
async def test_what_is_proven_is_told_and_what_was_proven_at_the_end_by_the_next_life() -> None:
    receivers = Receivers()
    async with World(courier=receivers) as world:
        await world.service.webhooks.put(APP, HOOK)
        device = await world.online()
        await world.publish("user:u1", b"1", callback="hook")
        await settle()
        told = [(event["type"], event["data"].get("ids")) for event in receivers.got()]
        assert told == [
            ("device.online", None),
            ("oplog.processed", [[1, 1]]),
            ("oplog.outcome", None),
        ]
        assert receivers.got()[2]["data"]["outcome"] == "processed"
        receivers.answers[HOOK.url] = [HANG]
        await world.publish("user:u1", b"2")
        await settle()
    assert not receivers.posts[-1].accepted
    async with World(disk=world.disk, courier=receivers) as again:
        await settle()
        accepted = [event for post in receivers.posts if post.accepted for event in post.events]
        assert [event["type"] for event in accepted][3:] == ["oplog.processed", "device.offline"]
        assert accepted[3]["id"] in receivers.posts[-2].ids
        point = (await again.store.points(APP, "d1"))[Channel(APP, *CHAT)]
        assert point.processed == 2
    assert device.closed


@simulated
async def test_without_a_courier_events_wait() -> None:
    async with World() as world:
        await world.service.webhooks.put(APP, HOOK)
        world.service.outbox.test(APP, "hook")
        await passes(60)
        assert (await world.service.outbox.report(APP, "hook")).queued == 1


@simulated
async def test_the_lag_of_the_loop_is_measured() -> None:
    async with World() as world:
        await passes(5.2)
        assert sum(world.metrics.loop_lag_s.counts) == 10
        assert world.metrics.loop_lag_s.total == pytest.approx(0, abs=1e-6)

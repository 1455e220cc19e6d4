"""Forecasts: exactly whom a publish then reaches, at no cost to anybody else."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from mobilesync.domain.errors import (
    BizOffline,
    InvalidRequest,
    Overloaded,
    UnknownApp,
    WrongTarget,
)
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine import forecast as forecasts
from mobilesync.engine.apps import App, Apps, SecretKey
from mobilesync.engine.clock import SystemClock
from mobilesync.engine.devices import KnownDevice
from mobilesync.engine.forecast import Forecast, Sample
from mobilesync.engine.publication import Publication
from mobilesync.engine.service import Service
from mobilesync.storage.embedded.opening import open_embedded
from tests.engine.device import Device
from tests.engine.world import APP, PlainTokens, World, settle, simulated
from tests.measurement import unmeasured


async def forecast(world: World, target: str = "everyone", **more: Any) -> Forecast:
    item = Publication(**({"biz": "CHAT", "target": target, "payload": b"x"} | more))
    before = (dict(world.disk.oplogs), dict(world.disk.heads), dict(world.disk.documents))
    made = await world.service.forecasts.of(APP, item)
    await settle()
    assert (world.disk.oplogs, world.disk.heads, world.disk.documents) == before
    total = made.online + made.offline + sum(made.refused.values())
    assert made.devices == total
    return made


async def phone_of(world: World, name: str, user: str, *, version: str, os: str = "ios") -> Device:
    phone = world.device(name, user)
    phone.os, phone.app_version = os, version
    phone.connect()
    await settle()
    return phone


async def _crowd(world: World) -> dict[str, Device]:
    """Ten devices of five users, every other one away."""
    found: dict[str, Device] = {}
    for n in range(10):
        os = "ios" if n < 7 else "android"
        phone = await phone_of(world, f"d{n}", f"u{n % 5}", version=f"1.{n}", os=os)
        found[phone.device] = phone
        if n % 2:
            phone.hang_up()
    await settle()
    return found


@simulated
async def test_it_says_who_gets_it_and_why_others_do_not() -> None:
    async with World() as world:
        phones = await _crowd(world)
        made = await forecast(world, app_version_min="1.3", os=("ios",))
        assert (made.devices, made.online, made.offline) == (10, 2, 2)
        assert made.refused == {Reason.OS: 3, Reason.VERSION: 3}
        assert made.samples == [
            Sample("d3", "u3", online=False),
            Sample("d4", "u4", online=True),
            Sample("d5", "u0", online=False),
            Sample("d6", "u1", online=True),
        ]
        assert made.is_complete
        # And so it comes.
        await world.publish("everyone", b"x", app_version_min="1.3", os=("ios",))
        await settle()
        for name in ("d1", "d3", "d5", "d7", "d9"):
            phones[name].connect()
        await settle()
        got = {name for name, phone in phones.items() if phone.got("CHAT", "everyone")}
        assert got == {sample.device for sample in made.samples}


@simulated
async def test_each_kind_of_target() -> None:
    async with World() as world:
        phones = await _crowd(world)
        made = await forecast(world, "user:u0")
        assert (made.devices, made.online, made.offline) == (2, 1, 1)
        phones["d0"].bind("u9")
        await settle()
        made = await forecast(world, "user:u0")
        assert (made.offline, made.refused) == (1, {Reason.WRONG_USER: 1})
        made = await forecast(world, "device:d1")
        assert (made.devices, made.offline) == (1, 1)
        assert (await forecast(world, "device:none")).devices == 0
        made = await forecast(world, users=("u1", "u2"))
        assert (made.online, made.offline) == (2, 2)


@simulated
async def test_what_withholds_it_is_told_apart_from_what_refuses_it() -> None:
    async with World() as world:
        await world.config("CHAT", target_kind="user", user_check=True)
        await world.online("d1")
        (await world.online("d2")).hang_up()
        await world.online("d3", "")
        made = await forecast(world)
        assert (made.online, made.offline, made.refused) == (2, 1, {})
        assert made.withheld == {Reason.USER_CHECK: 1, Reason.NO_USER: 1}


@simulated
async def test_where_the_user_has_one_point_the_newest_device_gets_it() -> None:
    async with World() as world:
        rules = {"target_kind": "user", "scope": "appointed", "multi_device": False}
        await world.config("CHAT", **rules)
        for name in ("d1", "d2"):
            await world.online(name)
        made = await forecast(world, "user:u1")
        assert (made.online, made.withheld) == (2, {Reason.NOT_NEWEST: 1})


@simulated
async def test_a_notice_is_only_for_who_is_there() -> None:
    async with World() as world:
        await world.config("CHAT", persistent=False, target_kind="user")
        await world.online("d1")
        await world.online("d2", "")
        (await world.online("d3")).hang_up()
        made = await forecast(world)
        assert made.online == 1
        assert made.refused == {Reason.NOT_KEPT: 1, Reason.NO_USER: 1}
        assert made.withheld == {}


@simulated
async def test_a_message_id_that_is_known_is_told() -> None:
    async with World() as world:
        from_ms = world.clock.wall_ms() + 60_000
        await world.publish("everyone", b"x", message_id="m1")
        await world.publish("everyone", b"x", message_id="m2", valid_from_ms=from_ms)
        assert (await forecast(world, message_id="m1")).duplicate_of == 1
        made = await forecast(world, message_id="m2", valid_from_ms=from_ms)
        assert (made.is_scheduled_already, made.due_ms) == (True, from_ms)
        made = await forecast(world, message_id="m3")
        assert (made.duplicate_of, made.is_scheduled_already, made.due_ms) == (0, False, 0)


@simulated
async def test_what_a_publish_refuses_it_refuses() -> None:
    async with World() as world:
        await world.config("FLAGS", scope="global")
        await world.config("CLOSED", status="offline")
        of = world.service.forecasts.of
        for error, members in (
            (WrongTarget, {"biz": "FLAGS", "target": "user:u1"}),
            (BizOffline, {"biz": "CLOSED"}),
            (InvalidRequest, {"app_version_min": "new"}),
            (InvalidRequest, {"rollout_percent": 101.0}),
        ):
            item = Publication(**({"biz": "CHAT", "target": "everyone", "payload": b""} | members))
            with pytest.raises(error):
                await of(APP, item)
        with pytest.raises(UnknownApp):
            await of("none", Publication(biz="CHAT", target="everyone", payload=b""))


@simulated
async def test_so_many_at_a_time_and_so_many_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World() as world:
        monkeypatch.setattr(forecasts, "PAGE", 2)
        monkeypatch.setattr(forecasts, "DEVICES_MAX", 4)
        await _crowd(world)
        made = await forecast(world)
        assert (made.devices, made.is_complete) == (4, False)
        assert len((await forecast(world, users=("u1",))).samples) == 1
        item = Publication(biz="CHAT", target="everyone", payload=b"")
        of = world.service.forecasts.of
        answers = await asyncio.gather(*[of(APP, item) for _ in range(3)], return_exceptions=True)
        assert [isinstance(answer, Overloaded) for answer in answers] == [False, False, True]
        assert (await of(APP, item)).devices == 4


async def test_a_hundred_thousand_devices_hold_up_nobody(tmp_path: Path) -> None:
    store = await open_embedded(tmp_path / "store", random=random.Random(1), create=True)
    apps = Apps([App(APP, (SecretKey(b"k" * 32),))])
    clock = SystemClock()
    service = Service(store, apps, PlainTokens(), clock=clock, entropy=random.Random(1))
    await service.configs.put(APP, SyncConfig(biz="CHAT"))
    with unmeasured():
        for n in range(100_000):
            known = KnownDevice(device=f"d{n:06}", os="ios", app_version=f"{n % 4}.0")
            service.devices.note(APP, known)
            if n % 5_000 == 4_999:
                await store.put_documents([])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    item = Publication(
        biz="CHAT", target="everyone", payload=b"", app_version_min="2", rollout_percent=10.0
    )
    made = await service.forecasts.of(APP, item)
    task.cancel()
    assert made.devices == 100_000
    assert made.refused[Reason.VERSION] == 50_000
    assert 4_500 < made.offline < 5_500
    assert len(made.samples) == 10
    assert turns >= 100_000 // forecasts.PAGE
    await store.close()

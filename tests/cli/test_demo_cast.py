"""Those who play in the demo write down the truth."""

import asyncio
from pathlib import Path

import pytest

from mobilesync.cli import demo_cast
from mobilesync.cli.demo_cast import Business, Device
from mobilesync.cli.timeline import Timeline
from mobilesync.client import ReceivedOplog
from mobilesync.publishing import AsyncPublisher
from mobilesync.testing import LocalServer

CHANNEL = ("CHAT", "user:alice")


def _device(tmp_path: Path, server: LocalServer, publisher: AsyncPublisher) -> Device:
    timeline = Timeline()
    return Device(
        "alice",
        "alice-phone",
        left=server.access,
        folder=tmp_path,
        business=Business(publisher, timeline, 0.0),
        timeline=timeline,
    )


async def test_what_is_missed_is_lacked_and_then_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with LocalServer() as server, server.publisher() as publisher:
        device = _device(tmp_path, server, publisher)
        business = device._business
        await device.go_online()
        await business.publish(*CHANNEL, "one")
        await device.has_all(business.published)
        await device.go_offline()
        await business.publish(*CHANNEL, "two")
        await business.publish_many(*CHANNEL, ["three", "four"])
        await business.publish("CHAT", "user:bob", "not hers")
        assert business.published[CHANNEL] == [1, 2, 3, 4]
        assert device.lacks(business.published) == 3
        await device.go_online()
        await device.has_all(business.published)
        assert device.handled == {CHANNEL: [1, 2, 3, 4]}
        assert len(device.latencies_ms) == 1
        await device.go_offline()
        await device.go_offline()
    out = capsys.readouterr().out
    assert "handles CHAT of user:alice #1: one" in out
    assert "missed" in out


async def test_waiting_in_vain_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_cast, "WAIT_S", 0.01)
    async with LocalServer() as server, server.publisher() as publisher:
        device = _device(tmp_path, server, publisher)
        with pytest.raises(TimeoutError):
            await device.has_all({CHANNEL: [1]})


async def test_quiet_devices_count_and_say_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with LocalServer() as server, server.publisher() as publisher:
        device = _device(tmp_path, server, publisher)
        device.quiet = True
        device._handle(ReceivedOplog("CHAT", "user:alice", 1, b"x"))
        await asyncio.sleep(0)
    assert device.handled == {CHANNEL: [1]}
    assert "alice-phone" not in capsys.readouterr().out

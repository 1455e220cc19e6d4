"""The server's disk fills up, or fails, while it serves.

Publishes are then refused with a sentence, devices go on reading, even one that was never seen
before; and once the disk is mended and the server started anew, everything that was acknowledged
is there, and stays there when the power fails after all.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mobilesync.domain.conditions import Attributes, Conditions
from tests.crash.campaign import NEWCOMERS, Campaign
from tests.crash.conftest import SEED, DiskMaker, Figures
from tests.crash.powercut import PowerCutDisk
from tests.crash.server_process import APP

_LOAD = 40
_READ_TIMEOUT_S = 20.0


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("harm", [PowerCutDisk.full, PowerCutDisk.ioerror])
async def test_a_broken_disk_refuses_publishes_serves_reads_and_loses_nothing(
    tmp_path: Path, make_disk: DiskMaker, figures: Figures, harm: Callable[[PowerCutDisk], None]
) -> None:
    disk = make_disk()
    async with Campaign(tmp_path, disk.path / "data", seed=SEED) as campaign:
        await campaign.business.until_acknowledged(_LOAD)
        harm(disk)
        await campaign.business.until_refused("STORE_UNAVAILABLE")
        await _check_refusal(campaign)
        await campaign.newcomers.start()
        await _until_read(campaign)
        disk.heal()
        # A failed sync says nothing about the disk: only a new start may try again.
        await _check_refusal(campaign)
        await campaign.kill_server("its disk failed")
        await campaign.start_server()
        await campaign.business.until_acknowledged(_LOAD)
        disk.cut("subset", SEED)
        await campaign.kill_server("power")
        disk.remount()
        await campaign.start_server()
        findings = await campaign.findings()
    figures.of(campaign, findings)
    assert findings == []


async def _check_refusal(campaign: Campaign) -> None:
    server = campaign.server
    headers = {"authorization": f"Bearer {server.api_key}"}
    async with httpx.AsyncClient(base_url=server.api_origin, headers=headers) as api:
        item = {"biz": "CHAT", "target": "everyone", "payload": "n"}
        answer = await api.post(f"/v1/apps/{APP}/oplogs", json=item)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        error = answer.json()["error"]
        assert error["code"] == "STORE_UNAVAILABLE"
        assert error["message"]
        ready = await api.get("/readyz")
        assert (ready.status_code, ready.json()["error"]["code"]) == (503, "NOT_READY")
        assert (await api.get("/healthz")).status_code == 200


async def _until_read(campaign: Campaign) -> None:
    """Until the newcomers have all that was acknowledged so far."""
    awaited = {
        (plan.name(APP), item.message_id)
        for plan in NEWCOMERS
        for item in campaign.business.published
        if item.target in plan.targets()
        and Conditions(os=tuple(item.os)).admits(Attributes(os=plan.os))
    }
    assert awaited
    async with asyncio.timeout(_READ_TIMEOUT_S):
        while not awaited <= campaign.newcomers.reached():
            await asyncio.sleep(0.05)

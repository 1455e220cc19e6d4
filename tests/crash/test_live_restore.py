"""A backup is taken under load, and later the server goes back to it.

Everything after the backup is gone from the store, by the operator's choice. Devices that hold
more than the backup does are told so by a Reset, keep what they have, and from then on get
everything that is published, although its ids were given before.
"""

import asyncio
from pathlib import Path

import pytest

from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from tests.crash.campaign import Campaign
from tests.crash.conftest import SEED, Figures

_LOAD = 40


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_devices_follow_a_server_that_goes_back_to_a_backup(
    tmp_path: Path, figures: Figures
) -> None:
    backup = tmp_path / "backup"
    async with Campaign(tmp_path, tmp_path / "data", seed=SEED) as campaign:
        await campaign.business.until_acknowledged(_LOAD)
        await campaign.server.command("backup", str(backup), "--data", str(campaign.server.data))
        await campaign.business.until_acknowledged(_LOAD)
        await campaign.kill_phones()
        await asyncio.sleep(campaign.chance.random())
        await campaign.kill_server("to be restored")
        await campaign.restore(backup, tmp_path / "restored")
        await campaign.start_server()
        await campaign.business.until_acknowledged(_LOAD)
        await campaign.kill_server("after the restore")
        await campaign.start_server()
        findings = await campaign.findings()
    figures.of(campaign, findings)
    assert findings == []
    resets = [fact for fact in campaign.history() if isinstance(fact, h.WasReset)]
    assert resets, "the devices held more than the backup"
    assert {reset.epoch for reset in resets} == {campaign.server.lineage()[-1]}
    assert ResetReason.FUTURE not in {reset.reason for reset in resets}

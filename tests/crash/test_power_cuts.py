"""The server on a disk whose power is cut under load.

What was acknowledged must be there when power returns, whatever else has survived; phones may hold
nothing that the server has forgotten. With syncing switched off, in the disk or in the server, the
very same run must lose what was acknowledged, and the checkers must say so: it can fail.
"""

import asyncio
from pathlib import Path
from typing import get_args

import pytest

from mobilesync.sim.checkers.finding import Finding
from tests.crash.campaign import Campaign
from tests.crash.conftest import ROUNDS, SEED, DiskMaker, Figures
from tests.crash.powercut import PowerCutDisk
from tests.crash.powercut.disk import Model
from tests.crash.powercut.survival import Survive
from tests.crash.server_process import ServerFailed, ServerProcess

SURVIVORS: tuple[Survive, ...] = ("subset", "none", "prefix")
FIRST_SYNCS = (1, 4, 8, 13)
"""After how many syncs of a first start the power fails; each start goes a little further."""
_LOAD = 20
_SYNCS_MAX = 25
_WAIT_S = 0.5


async def _cut_under_load(
    campaign: Campaign, disk: PowerCutDisk, survive: Survive, seed: int
) -> None:
    """One round: load, the power fails at a random sync or moment, and comes back."""
    await campaign.business.until_acknowledged(_LOAD)
    if seed % 2:
        await asyncio.sleep(campaign.chance.uniform(0, _WAIT_S))
        disk.cut(survive, seed)
    else:
        disk.arm(campaign.chance.randint(0, _SYNCS_MAX), survive, seed)
    await campaign.business.until_refused("STORE_UNAVAILABLE")
    await campaign.kill_server("power")
    disk.remount()
    await campaign.start_server()


async def _go_on_through(
    cuts: int, folder: Path, disk: PowerCutDisk, figures: Figures
) -> list[Finding]:
    async with Campaign(folder, disk.path / "data", seed=SEED) as campaign:
        for number in range(cuts):
            survive = SURVIVORS[number % len(SURVIVORS)]
            await _cut_under_load(campaign, disk, survive, SEED + number)
        findings = await campaign.findings()
    figures.of(campaign, findings)
    return findings


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("model", get_args(Model))
async def test_what_was_acknowledged_survives_power_cuts(
    tmp_path: Path, make_disk: DiskMaker, figures: Figures, model: Model
) -> None:
    assert await _go_on_through(3, tmp_path, make_disk(model=model), figures) == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("model", get_args(Model))
async def test_what_was_acknowledged_survives_many_power_cuts(
    tmp_path: Path, make_disk: DiskMaker, figures: Figures, model: Model
) -> None:
    assert await _go_on_through(ROUNDS // 2, tmp_path, make_disk(model=model), figures) == []


def _lost(findings: list[Finding]) -> list[Finding]:
    return [each for each in findings if each.guarantee == "G1" and "is gone" in each.sentence]


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_disk_that_ignores_syncs_is_caught(
    tmp_path: Path, make_disk: DiskMaker, figures: Figures
) -> None:
    disk = make_disk()
    async with Campaign(tmp_path, disk.path / "data", seed=SEED, converge_s=2) as campaign:
        await campaign.business.until_acknowledged(_LOAD)
        disk.nosync()
        await _cut_under_load(campaign, disk, "none", seed=1)
        findings = await campaign.findings()
    figures.of(campaign, findings)
    assert _lost(findings)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_server_that_does_not_sync_is_caught(
    tmp_path: Path, make_disk: DiskMaker, figures: Figures
) -> None:
    disk = make_disk()
    async with Campaign(tmp_path, disk.path / "data", seed=SEED, converge_s=2) as campaign:
        await campaign.stop_server()
        campaign.server.settings = ("--durability", "none")
        await campaign.start_server()
        await _cut_under_load(campaign, disk, "none", seed=1)
        findings = await campaign.findings()
    figures.of(campaign, findings)
    assert _lost(findings)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_first_start_that_is_cut_short_is_made_good_by_the_next(
    tmp_path: Path, make_disk: DiskMaker
) -> None:
    disk = make_disk(model="strict")
    server = ServerProcess(tmp_path / "server", disk.path / "data")
    try:
        for syncs in FIRST_SYNCS:
            disk.arm(syncs, "subset", SEED + syncs)
            with pytest.raises(ServerFailed):
                await server.start()
            disk.remount()
        await server.start()
    finally:
        await server.abandon()

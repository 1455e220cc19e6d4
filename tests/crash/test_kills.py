"""The server under load is killed with -9, again and again, and so are the phones.

Every acknowledged publish must still be there, in order, once; and every handler must be called as
promised. Some kills hit a server that is only just starting, some rounds end with SIGTERM.
"""

import asyncio
import itertools
from pathlib import Path
from typing import get_args

import pytest

from mobilesync.sim.checkers.finding import Finding
from tests.crash.campaign import Campaign
from tests.crash.conftest import ROUNDS, SEED, Figures
from tests.crash.recorded_store import Death, Seam, When

_LOAD = 15
"""Acknowledged items after which a round's load counts as load."""
_WAIT_S = 0.7
_START_S = 0.8
_DEATHS = [
    (seam, when)
    for seam, when in itertools.product(get_args(Seam), get_args(When))
    if (seam, when) != ("handler", "before")
]


async def _strike(campaign: Campaign, number: int) -> None:
    """One round: load, then a kill at a random moment, and everything goes on."""
    chance = campaign.chance
    await campaign.business.until_acknowledged(_LOAD)
    await asyncio.sleep(chance.uniform(0, _WAIT_S))
    if number % 3 == 1:
        seam, when = chance.choice(_DEATHS)
        await campaign.kill_phones(Death(seam, when, chance.randint(1, 10)))
    if number % 8 == 7:
        await campaign.stop_server()
    else:
        await campaign.kill_server(f"round {number}")
    if number % 4 == 2:
        await campaign.server.begin()
        await asyncio.sleep(chance.uniform(0, _START_S))
        await campaign.kill_server("while it starts")
    if number % 3 == 2:
        await campaign.kill_phones()
    await campaign.start_server()


async def _go_on_through(kills: int, folder: Path, figures: Figures) -> list[Finding]:
    async with Campaign(folder, folder / "data", seed=SEED) as campaign:
        for number in range(kills):
            await _strike(campaign, number)
        findings = await campaign.findings()
    figures.of(campaign, findings)
    return findings


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_nothing_acknowledged_is_lost_by_kills(tmp_path: Path, figures: Figures) -> None:
    assert await _go_on_through(8, tmp_path, figures) == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_nothing_acknowledged_is_lost_by_many_kills(tmp_path: Path, figures: Figures) -> None:
    assert await _go_on_through(ROUNDS, tmp_path, figures) == []

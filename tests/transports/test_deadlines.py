"""Deadlines in virtual time: each is told once, in the order of coming, under one timer."""

import asyncio

import pytest

from mobilesync.transports.deadlines import Deadlines
from tests.engine.world import simulated


@simulated
async def test_the_late_are_told_in_order_and_no_longer_held() -> None:
    late: list[str] = []
    deadlines = Deadlines[str](10.0, late.append)
    deadlines.add("a")
    await asyncio.sleep(4)
    deadlines.add("b")
    deadlines.add("c")
    await asyncio.sleep(5.9)
    assert late == []
    await asyncio.sleep(0.2)
    assert late == ["a"]
    assert list(deadlines) == ["b", "c"]
    await asyncio.sleep(4)
    assert late == ["a", "b", "c"]
    assert not deadlines


@simulated
async def test_who_ends_in_time_is_not_told() -> None:
    late: list[str] = []
    deadlines = Deadlines[str](10.0, late.append)
    deadlines.add("a")
    await asyncio.sleep(5)
    deadlines.add("b")
    deadlines.discard("a")
    deadlines.discard("a")
    await asyncio.sleep(9.9)
    assert late == []
    await asyncio.sleep(0.2)
    assert late == ["b"]
    deadlines.add("b")
    deadlines.discard("b")
    await asyncio.sleep(20)
    assert late == ["b"]


@simulated
async def test_one_that_adds_another_when_it_is_late() -> None:
    late: list[str] = []

    def again(item: str) -> None:
        late.append(item)
        if item == "a":
            deadlines.add("b")

    deadlines = Deadlines[str](1.0, again)
    deadlines.add("a")
    await asyncio.sleep(1.5)
    assert late == ["a"]
    await asyncio.sleep(1.0)
    assert late == ["a", "b"]


@simulated
async def test_the_oldest_is_known() -> None:
    deadlines = Deadlines[str](10.0, lambda item: None)
    assert deadlines.oldest() is None
    deadlines.add("a")
    await asyncio.sleep(3)
    deadlines.add("b")
    found = deadlines.oldest()
    assert found is not None
    assert found[0] == "a"
    assert asyncio.get_running_loop().time() - found[1] == pytest.approx(3)
    with pytest.raises(AssertionError):
        deadlines.add("a")


@simulated
async def test_those_who_began_by_a_time_are_known_oldest_first() -> None:
    deadlines = Deadlines[str](10.0, lambda item: None)
    now_s = asyncio.get_running_loop().time
    for item in "abc":
        deadlines.add(item)
        await asyncio.sleep(1)
    assert deadlines.begun_by(now_s(), 10) == ["a", "b", "c"]
    assert deadlines.begun_by(now_s() - 1.5, 10) == ["a", "b"]
    assert deadlines.begun_by(now_s(), 2) == ["a", "b"]
    assert deadlines.begun_by(now_s() - 5, 10) == []

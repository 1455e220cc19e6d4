"""Slices: everybody is served, and the loop turns in between."""

import asyncio

import pytest

from mobilesync.engine.slices import SLICE, in_slices
from tests.engine.world import settle, simulated


@pytest.mark.parametrize("count", [0, 1, SLICE])
def test_few_are_served_at_once_and_need_no_loop(count: int) -> None:
    served: list[int] = []
    in_slices(range(count), served.append)
    assert served == list(range(count))


@simulated
async def test_many_are_served_in_order_while_the_loop_turns() -> None:
    served: list[int] = []
    in_slices(range(SLICE * 3 + 1), served.append)
    lengths = []
    for _ in range(4):
        lengths.append(len(served))
        await asyncio.sleep(0)
    assert lengths == [SLICE, SLICE * 2, SLICE * 3, SLICE * 3 + 1]
    assert served == list(range(SLICE * 3 + 1))


@simulated
async def test_an_error_costs_one_slice() -> None:
    served: list[int] = []

    def act(number: int) -> None:
        if number == 10:
            raise ZeroDivisionError
        served.append(number)

    with pytest.raises(ZeroDivisionError):
        in_slices(range(SLICE * 2), act)
    await settle()
    assert served == [*range(10), *range(SLICE, SLICE * 2)]

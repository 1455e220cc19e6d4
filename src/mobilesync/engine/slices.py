"""Serve many without holding up the loop: some now, the next ones when others had their turn.

Not here: the pump's own rhythm (pump.py).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")

SLICE = 256
"""Sessions that are served in a row: at 2 to 10 us each, up to 3 ms."""


def in_slices(items: Sequence[_T], act: Callable[[_T], None], begin: int = 0) -> None:
    """Call `act` for each of `items` from `begin` on: a slice at once, the others from the loop.

    An error of `act` costs the rest of its slice, and no other.
    """
    end = begin + SLICE
    if end < len(items):
        asyncio.get_running_loop().call_soon(in_slices, items, act, end)
    for item in items[begin:end]:
        act(item)

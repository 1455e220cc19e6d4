"""Guard what one delivered oplog costs, on machines whose clocks cannot be trusted.

Strategy: count what is the same on every machine and at every load: calls of functions of the
server's own layers, while a fixed work is done in virtual time. A count says nothing about how long
a call takes; it says that somebody added a step to the path of each oplog, or took one away. It is
held to a budget, both ways: a budget far above the truth would hide the next step.

Comprehensions are not counted, since some versions of Python call a function for them and some
do not.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import mobilesync

LAYERS = ("protocol", "domain", "storage", "engine", "api")
TOLERANCE = 0.05
LARGEST = 8
"""So many functions are named when the budget is missed."""


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Counts calls in this thread by `file:function`, of the server's layers only."""
    root = Path(mobilesync.__file__).parent
    layers = tuple(f"{root / layer}/" for layer in LAYERS)
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            code = frame.f_code
            if code.co_filename.startswith(layers) and not code.co_name.startswith("<"):
                calls[f"{code.co_filename[len(str(root)) + 1 :]}:{code.co_name}"] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def judge(name: str, found: float, budget: float, calls: Counter[str]) -> str | None:
    """None if `found` is within the budget, else what to do about it."""
    if abs(found - budget) <= budget * TOLERANCE:
        return None
    largest = "\n".join(f"  {count:>8} {where}" for where, count in calls.most_common(LARGEST))
    change = "costs more" if found > budget else "costs less"
    return (
        f"{name} {change} than its budget: {found:.2f}, budget {budget:.2f}. If that is meant,"
        f" write the new figure into BUDGETS in tests/benchmarks/test_guard.py and say why in the"
        f" commit. Called most:\n{largest}"
    )

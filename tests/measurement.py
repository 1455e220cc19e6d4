"""Leaving out of coverage what would be slowed by it and shows nothing that other tests do not.

Measured code takes up to three times as long, and there is no way to measure it once: the
thousandth call costs what the first does. So what is repeated, or run by a process of its own to
see something else, goes unmeasured; one run of it stays measured where nothing else covers it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from coverage import Coverage

_PREFIXES = ("COVERAGE_", "COV_CORE_")


@contextmanager
def unmeasured() -> Iterator[None]:
    """Measure nothing in this process until the end of the block."""
    stopped = []
    # In a worker there are two: the plugin's, and below it that of the process.
    while (running := Coverage.current()) is not None:
        running.stop()
        stopped.append(running)
    try:
        yield
    finally:
        for each in reversed(stopped):
            each.start()


def unmeasured_environment() -> dict[str, str]:
    """This process's, for one that is not to be measured."""
    return {name: text for name, text in os.environ.items() if not name.startswith(_PREFIXES)}

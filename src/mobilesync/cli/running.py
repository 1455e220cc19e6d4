"""Running a command's coroutine: on uvloop where there is one, and ended by Ctrl-C cleanly."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def run_async(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` to its end. Ctrl-C cancels it, lets it clean up, and raises KeyboardInterrupt."""
    try:
        import uvloop
    except ModuleNotFoundError:  # not made for this platform: asyncio's own loop does
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)

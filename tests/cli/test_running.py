"""Running a coroutine as a command does."""

import asyncio
import sys

import pytest

from mobilesync.cli.running import run_async


async def _loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_it_runs_on_uvloop() -> None:
    assert run_async(_loop()) == "uvloop"


def test_or_on_asyncio_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run_async(_loop()).startswith("asyncio")

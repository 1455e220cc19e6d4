"""Letting the last bytes leave."""

import asyncio

import pytest

from mobilesync.client import stream as stream_module
from mobilesync.client.stream import linger
from tests.client.scripted import Pipe


class SlowPipe(Pipe):
    """A stream whose last bytes leave when `gone` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.gone = asyncio.Event()
        self.error = error
        self.aborted = False

    async def wait_closed(self) -> None:
        if self.error is not None:
            raise self.error
        await self.gone.wait()

    def abort(self) -> None:
        self.aborted = True


async def test_a_stream_without_delay_is_not_waited_for() -> None:
    await linger(Pipe())


async def test_the_last_bytes_are_waited_for() -> None:
    slow = SlowPipe()
    waiting = asyncio.ensure_future(linger(slow))
    await asyncio.sleep(0)
    assert not waiting.done()
    slow.gone.set()
    await waiting
    assert not slow.aborted


async def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowPipe()
    monkeypatch.setattr(stream_module, "LINGER_S", 0.01)
    await linger(slow)
    assert slow.aborted


async def test_a_lost_link_lets_nothing_leave() -> None:
    slow = SlowPipe(ConnectionResetError("gone"))
    await linger(slow)
    assert slow.aborted

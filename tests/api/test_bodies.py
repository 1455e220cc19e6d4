"""Bodies: bounded one by one, all together, and in time."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from mobilesync.api.bodies import Bodies, Disconnected, Receive
from mobilesync.api.errors import HttpError
from mobilesync.domain.errors import MobilesyncError, Overloaded, TooLarge


def receive(*parts: bytes, end: bool = True) -> Receive:
    """Hands out `parts`, and then hangs or ends."""
    messages: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    if end:
        messages[-1]["more_body"] = False

    async def next_message() -> MutableMapping[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    return next_message


def bodies(bytes_max: int = 10, total: int = 25, timeout_s: float = 60) -> Bodies:
    return Bodies(bytes_max=bytes_max, total_bytes_max=total, timeout_s=timeout_s)


async def test_parts_are_joined_and_held_until_released() -> None:
    all_bodies = bodies()
    assert await all_bodies.read([], receive(b"abc", b"", b"defghij")) == b"abcdefghij"
    assert all_bodies.held_bytes == 10
    all_bodies.release(10)
    assert all_bodies.held_bytes == 0


@pytest.mark.parametrize(
    "announced", [b"11", b"9" * 15, b"9" * 100_000, b"-1", b"1e9", b"\xb2", b""]
)
async def test_what_is_announced_is_judged_before_reading(announced: bytes) -> None:
    async def never() -> MutableMapping[str, Any]:
        raise AssertionError("must not read")

    with pytest.raises(TooLarge):
        await bodies().read([(b"content-length", announced)], never)


@pytest.mark.parametrize(
    "reader, error",
    [
        (receive(b"x" * 6, b"x" * 5), TooLarge),
        (receive(b"x" * 11), TooLarge),
        (receive(b"x", end=False), HttpError),
    ],
)
async def test_what_arrives_is_counted(reader: Receive, error: type[MobilesyncError]) -> None:
    all_bodies = bodies(timeout_s=0.01)
    with pytest.raises(error):
        await all_bodies.read([], reader)
    assert all_bodies.held_bytes == 0


async def test_all_bodies_together_are_bounded() -> None:
    all_bodies = bodies()
    for _ in range(2):
        await all_bodies.read([], receive(b"x" * 10))
    with pytest.raises(Overloaded):
        await all_bodies.read([], receive(b"x" * 6))
    assert all_bodies.held_bytes == 20
    all_bodies.release(10)
    await all_bodies.read([], receive(b"x" * 6))


async def test_a_caller_that_goes_away() -> None:
    messages: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": b"abc", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def leaving() -> MutableMapping[str, Any]:
        return messages.pop(0)

    all_bodies = bodies()
    with pytest.raises(Disconnected):
        await all_bodies.read([], leaving)
    assert all_bodies.held_bytes == 0


async def test_a_cancelled_request_gives_its_bytes_back() -> None:
    all_bodies = bodies()
    task = asyncio.ensure_future(all_bodies.read([], receive(b"abc", end=False)))
    await asyncio.sleep(0)
    assert all_bodies.held_bytes == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all_bodies.held_bytes == 0


async def test_slowness_is_not_taken_for_a_cancellation() -> None:
    """Whoever cancels the request must see it cancelled; whoever is late must get an answer."""

    async def answer() -> str:
        try:
            await bodies(timeout_s=0.01).read([], receive(b"abc", end=False))
        except HttpError as error:
            await asyncio.sleep(0)
            return error.code
        return ""

    assert await asyncio.create_task(answer()) == "BODY_TIMEOUT"
    cancelled = asyncio.create_task(answer())
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled

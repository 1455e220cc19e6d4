"""Bodies: bounded one by one, all together, and in time."""

import asyncio
from collections.abc import Callable

import pytest

from mobilesync.api.bodies import Bodies
from mobilesync.api.errors import HttpError
from mobilesync.api.incoming import Disconnected, Incoming
from mobilesync.domain.errors import MobilesyncError, Overloaded, TooLarge


def sent(*parts: bytes, end: bool = True) -> Incoming:
    """A body that came at once."""
    incoming = Incoming("POST", b"/", {})
    for part in parts:
        incoming.feed(part)
    if end:
        incoming.end()
    return incoming


def slow(*parts: bytes, end: bool = True) -> Incoming:
    """A body whose next part comes when it is waited for; then it hangs or ends."""
    incoming = Incoming("POST", b"/", {})
    left = list(parts)

    def go_on() -> None:
        if left:
            asyncio.get_running_loop().call_soon(incoming.feed, left.pop(0))
        elif end:
            asyncio.get_running_loop().call_soon(incoming.end)

    incoming.on_wait = go_on
    return incoming


def bodies(bytes_max: int = 10, total: int = 25, timeout_s: float = 60) -> Bodies:
    return Bodies(bytes_max=bytes_max, total_bytes_max=total, timeout_s=timeout_s)


async def test_parts_are_joined_and_held_until_released() -> None:
    all_bodies = bodies()
    assert await all_bodies.read(slow(b"abc", b"", b"defghij")) == b"abcdefghij"
    assert all_bodies.held_bytes == 10
    all_bodies.release(10)
    assert all_bodies.held_bytes == 0
    assert await all_bodies.read(sent(b"abc", b"de")) == b"abcde"
    assert all_bodies.held_bytes == 5


async def test_a_body_that_is_there_takes_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", refuse)
    assert await bodies().read(sent(b"abc")) == b"abc"
    assert await bodies().read(sent()) == b""


@pytest.mark.parametrize(
    "announced", [b"11", b"9" * 15, b"9" * 100_000, b"-1", b"1e9", b"\xb2", b""]
)
async def test_what_is_announced_is_judged_before_reading(announced: bytes) -> None:
    incoming = Incoming("POST", b"/", {b"content-length": announced})

    def never() -> None:
        raise AssertionError("must not read")

    incoming.on_wait = incoming.on_taken = never
    with pytest.raises(TooLarge):
        await bodies().read(incoming)


@pytest.mark.parametrize(
    "make, parts, end, error",
    [
        (slow, (b"x" * 6, b"x" * 5), True, TooLarge),
        (slow, (b"x" * 11,), True, TooLarge),
        (sent, (b"x" * 6, b"x" * 5), True, TooLarge),
        (slow, (b"x",), False, HttpError),
    ],
)
async def test_what_arrives_is_counted(
    make: Callable[..., Incoming], parts: tuple[bytes, ...], end: bool, error: type[MobilesyncError]
) -> None:
    all_bodies = bodies(timeout_s=0.01)
    with pytest.raises(error):
        await all_bodies.read(make(*parts, end=end))
    assert all_bodies.held_bytes == 0


async def test_all_bodies_together_are_bounded() -> None:
    all_bodies = bodies()
    for _ in range(2):
        await all_bodies.read(sent(b"x" * 10))
    with pytest.raises(Overloaded):
        await all_bodies.read(sent(b"x" * 6))
    with pytest.raises(Overloaded):
        await all_bodies.read(slow(b"x" * 3, b"x" * 3))
    assert all_bodies.held_bytes == 20
    all_bodies.release(10)
    await all_bodies.read(sent(b"x" * 6))


async def test_a_caller_that_goes_away() -> None:
    incoming = sent(b"abc", end=False)
    incoming.on_wait = incoming.lose
    all_bodies = bodies()
    with pytest.raises(Disconnected):
        await all_bodies.read(incoming)
    assert all_bodies.held_bytes == 0
    gone = sent(b"abc")
    gone.lose()
    with pytest.raises(Disconnected):
        await all_bodies.read(gone)


async def test_a_cancelled_request_gives_its_bytes_back() -> None:
    all_bodies = bodies()
    task = asyncio.ensure_future(all_bodies.read(sent(b"abc", end=False)))
    await asyncio.sleep(0)
    assert all_bodies.held_bytes == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all_bodies.held_bytes == 0


async def test_slowness_is_not_taken_for_a_cancellation() -> None:
    """Whoever cancels the request must see it cancelled; whoever is late must get an answer."""

    async def answer() -> str:
        try:
            await bodies(timeout_s=0.01).read(sent(b"abc", end=False))
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

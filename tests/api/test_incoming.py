"""A request as it arrives: what is kept, what is dropped, and who is told."""

import asyncio
from collections.abc import Callable

import pytest

from mobilesync.api.incoming import Disconnected, Incoming


def incoming(**headers: bytes) -> Incoming:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Incoming("POST", b"/", named)


async def test_what_is_there_is_taken_at_once() -> None:
    request = incoming()
    request.feed(b"ab")
    request.feed(b"c")
    assert request.held_bytes == 3
    request.end()
    await request.wait()
    assert (request.take(), request.take()) == (b"abc", b"")
    assert (request.held_bytes, request.received_bytes) == (0, 3)


async def test_who_waits_is_woken_by_a_part_by_the_end_and_by_a_loss() -> None:
    request = incoming()
    told: list[str] = []
    request.on_wait = lambda: told.append("wait")
    request.on_taken = lambda: told.append("taken")
    wakes: list[Callable[[], None]] = [lambda: request.feed(b"x"), request.end, request.lose]
    for wake in wakes:
        waiting = asyncio.create_task(request.wait())
        await asyncio.sleep(0)
        wake()
        await waiting
        if not request.gone:
            request.take()
    assert told == ["wait", "taken", "wait"], "nobody is told once the body is complete"
    with pytest.raises(Disconnected):
        request.take()


async def test_a_loss_wakes_and_is_told_by_take() -> None:
    request = incoming()
    waiting = asyncio.create_task(request.wait())
    await asyncio.sleep(0)
    request.lose()
    await waiting
    with pytest.raises(Disconnected):
        request.take()


async def test_a_part_of_nothing_wakes_nobody_for_ever() -> None:
    request = incoming()
    waiting = asyncio.create_task(request.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    request.feed(b"x")
    await request.wait()
    assert request.take() == b"x"


def test_what_comes_after_the_answer_is_dropped() -> None:
    request = incoming(content_length=b"5")
    request.feed(b"ab")
    assert request.missing_bytes == 3
    request.discard()
    request.feed(b"cd")
    assert (request.held_bytes, request.missing_bytes) == (0, 1)
    assert request.take() == b""


def test_how_much_of_a_chunked_body_is_missing_is_not_known() -> None:
    request = incoming(transfer_encoding=b"chunked")
    request.feed(b"ab")
    assert request.missing_bytes <= 0

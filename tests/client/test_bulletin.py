"""Listeners hear in order, and a bad one harms nobody."""

import asyncio
import logging

import pytest

from mobilesync.client.bulletin import Bulletin
from mobilesync.client.events import ClientEvent, Connecting, ReceivedNotice
from mobilesync.client.handlers import Handlers
from tests.client.scripted import eventually


def notice(n: int) -> ReceivedNotice:
    return ReceivedNotice("TYPING", "everyone", str(n).encode())


async def test_notices_and_states_go_to_who_listens() -> None:
    handlers = Handlers()
    seen: list[object] = []
    handlers.register_notice("TYPING", lambda each: seen.append(each.text))
    handlers.state_listeners.append(seen.append)
    bulletin = Bulletin(handlers, 10, 1)
    running = asyncio.ensure_future(bulletin.run())
    bulletin.post(notice(1))
    bulletin.post(Connecting(1))
    bulletin.post(ReceivedNotice("OTHER", "everyone", b""))
    await eventually(lambda: len(seen) == 2)
    assert seen == ["1", Connecting(1)]
    running.cancel()


async def test_at_the_bound_the_oldest_goes_and_is_counted() -> None:
    handlers, seen = Handlers(), []
    handlers.register_notice("TYPING", lambda each: seen.append(each.text))
    bulletin = Bulletin(handlers, 3, 1)
    for n in range(5):
        bulletin.post(notice(n))
    await bulletin.flush()
    assert (seen, bulletin.dropped) == (["2", "3", "4"], 2)


async def test_nobody_listening_nothing_is_kept() -> None:
    bulletin = Bulletin(Handlers(), 1, 1)
    for n in range(5):
        bulletin.post(notice(n))
    assert bulletin.dropped == 0


async def raises(_: ClientEvent) -> None:
    raise ValueError("payload: secret")


async def cancels_itself(_: ClientEvent) -> None:
    raise asyncio.CancelledError


async def hangs(_: ClientEvent) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("bad", [raises, cancels_itself, hangs])
async def test_a_bad_listener_is_logged_and_left_behind(
    bad: object, caplog: pytest.LogCaptureFixture
) -> None:
    handlers = Handlers()
    seen: list[ClientEvent] = []
    handlers.state_listeners.append(bad)  # type: ignore[arg-type]  # parametrized
    handlers.state_listeners.append(seen.append)
    bulletin = Bulletin(handlers, 10, 0.01)
    bulletin.post(Connecting(1))
    with caplog.at_level(logging.WARNING, "mobilesync.client"):
        await bulletin.flush()
    assert seen == [Connecting(1)]
    assert "Connecting" in caplog.text


async def test_it_ends_in_the_middle_of_a_listener() -> None:
    handlers = Handlers()
    handlers.state_listeners.append(hangs)
    bulletin = Bulletin(handlers, 10, 1_000)
    running = asyncio.ensure_future(bulletin.run())
    bulletin.post(Connecting(1))
    await asyncio.sleep(0.001)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

"""One descriptor for many: who is ready is told, on asyncio's own loop and on uvloop."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mobilesync.transports.certificates import CertificateFiles
from mobilesync.transports.poller import EVENTS_MAX, READABLE, WRITABLE, Poller
from tests.transports.door import on_both_loops, until


class Heard:
    """Takes a byte each time that it is told, and notes what it was told."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.events: list[int] = []
        self.takes = True

    def ready(self, events: int) -> None:
        self.events.append(events)
        if self.takes and events & READABLE:
            self.near.recv(1)

    def close(self) -> None:
        self.near.close()
        self.far.close()


@contextmanager
def polled(count: int = 1) -> Iterator[tuple[Poller, list[Heard]]]:
    poller = Poller()
    poller.start()
    sources = [Heard(poller) for _ in range(count)]
    for source in sources:
        poller.add(source.near.fileno(), source)
    try:
        yield poller, sources
    finally:
        for source in sources:
            if source.near.fileno() in poller._sources:
                poller.remove(source.near.fileno())
            source.close()
        poller.stop()


@on_both_loops
async def test_whoever_is_ready_is_told_until_it_has_taken_all(files: CertificateFiles) -> None:
    with polled(2) as (_poller, (first, second)):
        first.far.send(b"abc")
        await until(lambda: len(first.events) == 3)
        await asyncio.sleep(0.01)
        assert first.events == [READABLE] * 3
        assert not second.events


@on_both_loops
async def test_room_to_write_is_told_only_to_who_asks(files: CertificateFiles) -> None:
    with polled() as (poller, (source,)):
        poller.watch(source.near.fileno(), writable=True)
        await until(lambda: bool(source.events))
        assert source.events[0] == WRITABLE
        poller.watch(source.near.fileno(), writable=False)
        source.events.clear()
        await asyncio.sleep(0.01)
        assert not source.events


@on_both_loops
async def test_the_end_of_the_other_side_is_told(files: CertificateFiles) -> None:
    with polled() as (_poller, (source,)):
        source.takes = False
        source.far.close()
        await until(lambda: bool(source.events))
        assert source.events[0] & READABLE


@on_both_loops
async def test_who_was_removed_in_the_same_turn_is_not_told(files: CertificateFiles) -> None:
    with polled(2) as (poller, sources):

        def remove_the_other(events: int) -> None:
            [other] = [each for each in sources if not each.events and each is not told]
            poller.remove(other.near.fileno())

        for told in sources:
            told.far.send(b"a")
        told = sources[0]
        sources[0].ready = remove_the_other  # type: ignore[method-assign]  # it stands for a link
        sources[1].ready = remove_the_other  # type: ignore[method-assign]  # either may be first
        poller._turn()
        assert len(poller._sources) == 1


@on_both_loops
async def test_many_wait_for_their_turn_and_all_have_one(files: CertificateFiles) -> None:
    count = EVENTS_MAX + 10
    with polled(count) as (poller, sources):
        for source in sources:
            source.far.send(b"a")
        poller._turn()
        assert sum(len(each.events) for each in sources) == EVENTS_MAX
        await until(lambda: all(each.events for each in sources))


@on_both_loops
async def test_stop_needs_all_to_be_removed(files: CertificateFiles) -> None:
    with polled() as (poller, (source,)):
        with pytest.raises(AssertionError, match="removes it"):
            poller.stop()
        poller.remove(source.near.fileno())


def test_one_that_was_never_started_stops() -> None:
    Poller().stop()

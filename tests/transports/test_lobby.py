"""Who waits for a handshake: those who have spoken are taken in turn, the silent are watched."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mobilesync.transports.certificates import CertificateFiles
from mobilesync.transports.lobby import Guest, Lobby
from mobilesync.transports.poller import Poller
from tests.transports.door import on_both_loops, until


class House:
    """A lobby, and what it told."""

    def __init__(self, poller: Poller, guests_max: int, silence_s: float) -> None:
        self.left: list[str] = []
        self.spoken = 0
        self.lobby = Lobby(
            poller,
            guests_max=guests_max,
            silence_s=silence_s,
            spoken=self._spoken,
            left=self._left,
        )

    def _spoken(self) -> None:
        self.spoken += 1

    def _left(self, guest: Guest) -> None:
        self.left.append(guest.peer)

    def come(self, peer: str) -> socket.socket:
        near, far = socket.socketpair()
        self.lobby.add(near, peer)
        return far


@asynccontextmanager
async def house(guests_max: int = 10, silence_s: float = 60.0) -> AsyncIterator[House]:
    poller = Poller()
    poller.start()
    made = House(poller, guests_max, silence_s)
    try:
        yield made
    finally:
        made.lobby.close()
        assert len(made.lobby) == 0
        poller.stop()


@on_both_loops
async def test_who_has_spoken_is_taken_in_turn(files: CertificateFiles) -> None:
    async with house() as made:
        first, second, third = (made.come(name) for name in "abc")
        assert made.lobby.take() is None
        third.send(b"hello")
        await until(lambda: made.spoken == 1)
        first.send(b"hello")
        await until(lambda: made.spoken == 2)
        taken = [made.lobby.take(), made.lobby.take(), made.lobby.take()]
        assert [guest.peer if guest else None for guest in taken] == ["c", "a", None]
        assert len(made.lobby) == 1
        assert taken[0] is not None
        assert taken[0].socket.recv(10) == b"hello", "nothing was read of it"
        for guest in taken[:2]:
            assert guest is not None
            guest.socket.close()
        for far in (first, second, third):
            far.close()


@on_both_loops
async def test_who_is_gone_is_told_like_one_who_spoke(files: CertificateFiles) -> None:
    async with house() as made:
        made.come("a").close()
        await until(lambda: made.spoken == 1)
        gone = made.lobby.take()
        assert gone is not None
        assert gone.socket.recv(10) == b""
        gone.socket.close()


@on_both_loops
async def test_the_silent_are_closed_in_time_and_the_spoken_are_not(
    files: CertificateFiles,
) -> None:
    async with house(silence_s=0.1) as made:
        silent, spoken = made.come("silent"), made.come("spoken")
        spoken.send(b"hello")
        await until(lambda: made.left == ["silent"])
        assert silent.recv(10) == b""
        await asyncio.sleep(0.2)
        assert made.left == ["silent"]
        assert made.lobby.has_spoken
        silent.close()
        spoken.close()


@on_both_loops
async def test_the_longest_silent_are_given_up_after_their_time(files: CertificateFiles) -> None:
    async with house(guests_max=2) as made:
        fars = [made.come("a")]
        between_s = asyncio.get_running_loop().time()
        await asyncio.sleep(0.01)
        fars.append(made.come("b"))
        full = [made.lobby.is_full]
        assert made.lobby.give_up_silent(between_s)
        assert not made.lobby.give_up_silent(between_s)
        assert made.left == ["a"]
        full.append(made.lobby.is_full)
        assert full == [True, False]
        for far in fars:
            far.close()


@on_both_loops
async def test_closing_tells_nobody(files: CertificateFiles) -> None:
    async with house() as made:
        silent, spoken = made.come("silent"), made.come("spoken")
        spoken.send(b"hello")
        await until(lambda: made.spoken == 1)
        made.lobby.close()
        assert made.left == []
        assert silent.recv(10) == b""
        for far in (silent, spoken):
            far.close()

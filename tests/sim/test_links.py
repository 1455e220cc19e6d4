"""Wires: in order, late, in pieces, cut, deaf, and reordered."""

import random
from collections.abc import Coroutine
from typing import Any

import pytest

from mobilesync.sim.links import KERNEL_BYTES, Network, Wire
from mobilesync.sim.loop import Process, VirtualLoop, pause, virtual_loop


class NoTap:
    """Looks at nothing."""

    def from_device(self, wire: Wire, data: bytes) -> None:
        """Ignored."""

    def to_device(self, wire: Wire, data: bytes) -> None:
        """Ignored."""


class EndOfServer:
    """What a server hears on one wire."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.pieces = 0
        self.drains = 0
        self.losses = 0

    def received(self, data: bytes) -> None:
        self.heard += data
        self.pieces += 1

    def drained(self) -> None:
        self.drains += 1

    def lost(self) -> None:
        self.losses += 1


class Listener:
    """Accepts everything, in one process."""

    def __init__(self) -> None:
        self.process = Process("server")
        self.wires: list[Wire] = []
        self.ends: list[EndOfServer] = []
        self.is_up = True

    def accept(self, wire: Wire) -> bool:
        if self.is_up:
            end = EndOfServer()
            wire.attach(end, self.process)
            self.wires.append(wire)
            self.ends.append(end)
        return self.is_up


class Net:
    """A network with a listener and one device's process."""

    def __init__(self, seed: int = 0) -> None:
        self.loop: VirtualLoop = virtual_loop()
        self.network = Network(self.loop, random.Random(seed), NoTap())
        self.listener = Listener()
        self.network.acceptor = self.listener
        self.device = Process("device")

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            self.loop.run_until_complete(self.loop.spawn(self.device, coroutine))
            assert not self.loop.failures
        finally:
            self.loop.close()


@pytest.fixture
def net() -> Net:
    return Net()


def test_bytes_arrive_in_order_whatever_the_pieces(net: Net) -> None:
    net.network.weather.fragment_share = 1.0
    net.network.weather.jitter_s = 0.5

    async def main() -> None:
        stream = await net.network.connect("d", net.device)
        sent = b"".join(f"{number};".encode() for number in range(200))
        for begin in range(0, len(sent), 37):
            stream.write(sent[begin : begin + 37])
        await pause(60)
        assert bytes(net.listener.ends[0].heard) == sent
        assert net.listener.ends[0].pieces > len(sent) // 37
        heard = b""
        for begin in range(0, len(sent), 50):
            net.listener.wires[0].link.write(sent[begin : begin + 50])
        while len(heard) < len(sent):
            heard += await stream.read()
        assert heard == sent

    net.run(main())


def test_a_closed_link_delivers_what_was_written_then_the_end(net: Net) -> None:
    async def main() -> None:
        stream = await net.network.connect("d", net.device)
        link = net.listener.wires[0].link
        link.write(b"last words")
        link.close()
        link.write(b"too late")
        assert await stream.read() == b"last words"
        assert await stream.read() == b""
        await pause(1)
        assert net.listener.ends[0].losses == 1
        assert not net.network.wires

    net.run(main())


def test_a_stream_that_closes_tells_the_server(net: Net) -> None:
    async def main() -> None:
        stream = await net.network.connect("d", net.device)
        stream.write(b"bye")
        stream.close()
        await pause(1)
        assert bytes(net.listener.ends[0].heard) == b"bye"
        assert net.listener.ends[0].losses == 1

    net.run(main())


def test_a_cut_is_learned_by_both_ends_or_by_none(net: Net) -> None:
    async def main() -> None:
        told = await net.network.connect("d", net.device)
        net.listener.wires[0].cut()
        with pytest.raises(OSError, match="lost"):
            await told.read()
        untold = await net.network.connect("d", net.device)
        net.listener.wires[1].cut(server_learns=False, device_learns=False)
        untold.write(b"into nothing")
        await pause(1000)
        assert net.listener.ends[0].losses == 1
        assert net.listener.ends[1].losses == 0
        assert not net.listener.ends[1].heard

    net.run(main())


def test_half_open_bytes_vanish_in_one_direction(net: Net) -> None:
    async def main() -> None:
        stream = await net.network.connect("d", net.device)
        net.listener.wires[0].mute(to_server=True, to_device=False)
        stream.write(b"unheard")
        net.listener.wires[0].link.write(b"heard")
        assert await stream.read() == b"heard"
        await pause(100)
        assert not net.listener.ends[0].heard

    net.run(main())


def test_a_stall_delays_and_keeps_the_order(net: Net) -> None:
    async def main() -> None:
        stream = await net.network.connect("d", net.device)
        stream.write(b"before ")
        net.listener.wires[0].stall(30)
        stream.write(b"after")
        stream.close()
        await pause(20)
        assert not net.listener.ends[0].heard
        await pause(20)
        assert bytes(net.listener.ends[0].heard) == b"before after"
        assert net.listener.ends[0].losses == 1

    net.run(main())


def test_the_write_buffer_fills_and_drains(net: Net) -> None:
    async def main() -> None:
        stream = await net.network.connect("d", net.device)
        wire = net.listener.wires[0]
        wire.stall(10)
        wire.link.write(b"x" * (KERNEL_BYTES + 5))
        assert wire.link.buffered_bytes() == 5
        stream.write(b"y" * (KERNEL_BYTES + 5))
        await stream.drain()
        assert net.loop.time() >= 10
        await pause(1)
        assert wire.link.buffered_bytes() == 0
        assert net.listener.ends[0].drains == 1

    net.run(main())


def test_a_server_that_is_down_refuses(net: Net) -> None:
    net.listener.is_up = False

    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await net.network.connect("d", net.device)
        net.network.hang_share = 1.0
        with pytest.raises(TimeoutError):
            await net.network.connect("d", net.device)

    net.run(main())


def test_a_stray_arrives_after_the_connection_that_came_later(net: Net) -> None:
    async def main() -> None:
        stray = await net.network.connect("d", net.device, late_s=10)
        stray.write(b"old hello")
        stray.abort()
        fresh = await net.network.connect("d", net.device)
        fresh.write(b"new hello")
        await pause(5)
        assert bytes(net.listener.ends[1].heard) == b"new hello"
        assert not net.listener.ends[0].heard
        await pause(10)
        assert bytes(net.listener.ends[0].heard) == b"old hello"
        assert net.listener.ends[0].losses <= 1, "some strays never seem to end"

    net.run(main())


def test_nothing_reaches_or_leaves_a_dead_process(net: Net) -> None:
    async def main() -> None:
        stream = await net.network.connect("d", net.device)
        net.loop.kill(net.listener.process)
        stream.write(b"anybody there?")
        await pause(5)
        assert not net.listener.ends[0].heard
        net.network.cut_all(device_learns=True)
        with pytest.raises(OSError, match="lost"):
            await stream.read()

    net.run(main())

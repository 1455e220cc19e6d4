"""The simulated network: pairs of byte pipes that are slow, cut, deaf, or late.

Strategy: a `Wire` is one TCP+TLS connection. Bytes arrive in order, after a seeded latency and in
seeded pieces, or never. The server's end fits the engine's `Link`, the device's end fits the SDK's
`Stream`. Each end's callbacks run in the process that owns it, and a dead process's writes vanish.

What can go wrong with a wire: a cut (both ends learn, after a while), half-open (bytes vanish in
one direction or both, nobody learns), a stall (nothing moves for a while), and a server that is
down (connects are refused, or hang). A stray's bytes reach the server late, after the device has
given it up and has connected anew: so connects arrive reordered.

Not here: when it goes wrong (faults.py), what the bytes mean (tap.py).

Invariants:
- bytes of one direction never overtake each other, are never changed and never doubled;
- the send buffer is bounded by whoever writes: `buffered_bytes` says what the peer's kernel has not
  taken yet.
"""

import asyncio
import random
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol

from mobilesync.sim.loop import Process, VirtualLoop, current_process, pause

KERNEL_BYTES = 4 * 1024
"""What a direction holds before the writer's own buffer begins to fill."""
HANG_S = 300.0
"""After how long the network itself gives up a connect that is not answered."""
STRAY_END_SHARE = 0.3
"""How many strays the server sees ended; the others seem to live on, without a device."""
BREAK_DELAY_S = 0.05
"""How long an end may take to learn of a cut, at most."""


class ServerEnd(Protocol):
    """What the engine makes of a link (its Session)."""

    def received(self, data: bytes) -> None:
        """Bytes from the link."""

    def drained(self) -> None:
        """The link's write buffer is empty again."""

    def lost(self) -> None:
        """The link is gone."""


@dataclass(slots=True)
class Weather:
    """How the network behaves now; faults.py changes it."""

    latency_s: float = 0.002
    jitter_s: float = 0.004
    fragment_share: float = 0.0
    """How many writes arrive in pieces."""
    bytes_per_s: float = 4_000_000.0


class _Direction:
    """One direction of a wire: what was written, on its way to `deliver`."""

    __slots__ = (
        "arrived",
        "context",
        "deliver",
        "ended",
        "in_flight",
        "last_s",
        "loop",
        "muted",
        "on_drained",
        "rng",
        "stalled_until_s",
        "was_full",
        "weather",
    )

    def __init__(self, loop: VirtualLoop, rng: random.Random, weather: Weather) -> None:
        self.loop = loop
        self.rng = rng
        self.weather = weather
        self.deliver: Callable[[bytes], None] = _nowhere
        self.context: Context | None = None
        self.on_drained: Callable[[], None] | None = None
        self.in_flight = 0
        self.arrived = 0
        self.last_s = 0.0
        self.stalled_until_s = 0.0
        self.muted = False
        self.ended = False
        self.was_full = False

    def buffered_bytes(self) -> int:
        return max(0, self.in_flight - KERNEL_BYTES)

    def send(self, data: bytes) -> None:
        if self.ended or not data:
            return
        self.in_flight += len(data)
        self.was_full = self.was_full or self.in_flight > KERNEL_BYTES
        if self.muted:
            return  # retransmitted into nothing: stays in the buffer
        for piece in self._pieces(data):
            self._at(self._arrival_s(len(piece)), self._arrive, piece)

    def end(self) -> None:
        """Deliver what was written, then the end of the stream."""
        if not self.ended:
            self.ended = True
            if not self.muted:
                self._at(self._arrival_s(0), self._arrive, b"")

    def stall(self, until_s: float) -> None:
        """Nothing arrives before `until_s`."""
        self.stalled_until_s = max(self.stalled_until_s, until_s)
        # What is sent from now on arrives after what is on its way and must wait.
        self.last_s = max(self.last_s, until_s + 1e-6)

    def _pieces(self, data: bytes) -> list[bytes]:
        if len(data) < 2 or self.rng.random() >= self.weather.fragment_share:
            return [data]
        cuts = sorted({self.rng.randrange(1, len(data)) for _ in range(self.rng.randint(1, 3))})
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def _arrival_s(self, size: int) -> float:
        weather = self.weather
        latency = weather.latency_s + self.rng.random() * weather.jitter_s
        begin = max(self.loop.time() + latency, self.last_s, self.stalled_until_s)
        self.last_s = begin + size / weather.bytes_per_s
        return self.last_s

    def _at(self, when_s: float, callback: Callable[[bytes], None], data: bytes) -> None:
        self.loop.call_at(when_s, callback, data, context=self.context)

    def _arrive(self, data: bytes) -> None:
        if self.muted:
            return
        now = self.loop.time()
        if now < self.stalled_until_s:
            # Everything behind it was sent later and waits too, so the order is kept.
            self._at(self.stalled_until_s, self._arrive, data)
            return
        self.in_flight -= len(data)
        self.arrived += len(data)
        self.deliver(data)
        if self.was_full and not self.buffered_bytes():
            self.was_full = False
            if self.on_drained is not None:
                self.on_drained()


def _nowhere(data: bytes) -> None:
    """Before anybody listens."""


class Wire:
    """One connection between a device and the server."""

    def __init__(self, network: "Network", number: int, device: str) -> None:
        self.number = number
        self.device = device
        self.network = network
        self.to_server = _Direction(network.loop, network.rng, network.weather)
        self.to_device = _Direction(network.loop, network.rng, network.weather)
        self.stream = DeviceStream(self)
        self.link = ServerLink(self)
        self.server: ServerEnd | None = None
        self.server_process: Process | None = None
        self.broken = False
        self.is_stray = False

    def attach(self, server: ServerEnd, process: Process) -> None:
        """The server has accepted: from now on bytes flow."""
        loop = self.network.loop
        self.server = server
        self.server_process = process
        self.to_server.context = loop.context_of(process)
        self.to_server.deliver = self._deliver_to_server
        self.to_device.on_drained = self._drained

    def cut(self, *, server_learns: bool = True, device_learns: bool = True) -> None:
        """Break the wire: what is on its way is lost. Each end learns a little later, or never."""
        if self.broken:
            return
        self.broken = True
        self.network.wires.pop(self.number, None)
        self.to_server.muted = self.to_device.muted = True
        rng, loop = self.network.rng, self.network.loop
        device_delay_s, server_delay_s = rng.random() * BREAK_DELAY_S, rng.random() * BREAK_DELAY_S
        if device_learns:
            loop.call_later(device_delay_s, self.stream.fail, context=self.stream.context)
        if server_learns and self.server is not None:
            loop.call_later(server_delay_s, self._lost, context=self.to_server.context)

    def mute(self, *, to_server: bool, to_device: bool) -> None:
        """Half-open: bytes vanish without either end being told."""
        self.to_server.muted = self.to_server.muted or to_server
        self.to_device.muted = self.to_device.muted or to_device

    def stall(self, duration_s: float) -> None:
        """Nothing arrives for a while; nothing is lost."""
        until_s = self.network.loop.time() + duration_s
        for direction in (self.to_server, self.to_device):
            direction.stall(until_s)

    def _deliver_to_server(self, data: bytes) -> None:
        if self.broken or self.server is None:
            return
        if not data:
            self.cut()
            return
        self.network.tap.from_device(self, data)
        self.server.received(data)

    def _drained(self) -> None:
        if self.server is not None and not self.broken:
            loop = self.network.loop
            loop.call_soon(self.server.drained, context=self.to_server.context)

    def _lost(self) -> None:
        if self.server is not None:
            server, self.server = self.server, None
            server.lost()


class ServerLink:
    """The server's end: the engine's `Link`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.peer = f"wire-{wire.number}"
        self._closed = False

    def write(self, data: bytes) -> None:
        """Never blocks; vanishes once the wire is broken."""
        wire = self._wire
        process = current_process()
        if self._closed or wire.broken or (process is not None and not process.alive):
            return
        wire.network.tap.to_device(wire, data)
        wire.to_device.send(data)

    def buffered_bytes(self) -> int:
        """What the kernel has not taken yet."""
        return self._wire.to_device.buffered_bytes()

    def close(self) -> None:
        """After what was written: the device reads the end, then the server learns too."""
        wire = self._wire
        if not self._closed:
            self._closed = True
            wire.to_device.end()
            loop = wire.network.loop
            delay_s = max(0.0, wire.to_device.last_s - loop.time()) + 0.01
            loop.call_later(delay_s, wire.cut, context=wire.to_server.context)

    def abort(self) -> None:
        """Now."""
        self._closed = True
        self._wire.cut()


class DeviceStream:
    """The device's end: the SDK's `Stream`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._buffer = bytearray()
        self._ended = False
        self._failed = False
        self._waiter: asyncio.Future[None] | None = None
        self._drain_waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.context: Context | None = None

    def open(self, process: Process) -> None:
        """The device's process owns it from here on."""
        wire = self._wire
        self.context = wire.network.loop.context_of(process)
        wire.to_device.context = self.context
        wire.to_device.deliver = self._arrived
        wire.to_server.on_drained = self._drained

    async def read(self) -> bytes:
        """Some bytes; b"" at the end; OSError when the link is lost."""
        while True:
            if self._buffer:
                data = bytes(self._buffer)
                self._buffer.clear()
                return data
            if self._failed:
                raise ConnectionResetError("the link is lost")
            if self._ended or self._closed:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def write(self, data: bytes) -> None:
        """Never blocks; vanishes once the wire is broken."""
        process = current_process()
        if self._closed or self._failed or (process is not None and not process.alive):
            return
        self._wire.to_server.send(data)

    async def drain(self) -> None:
        """Returns when the write buffer is empty; OSError when the link is lost."""
        while self._wire.to_server.buffered_bytes() and not self._failed and not self._closed:
            self._drain_waiter = asyncio.get_running_loop().create_future()
            await self._drain_waiter
        if self._failed:
            raise ConnectionResetError("the link is lost")

    def close(self) -> None:
        """After what was written: the server reads the end."""
        if not self._closed:
            self._closed = True
            if self._wire.is_stray:
                self._leave_stray()
            else:
                self._wire.to_server.end()
            self._notify()

    def abort(self) -> None:
        """Now: the server learns unless the wire is half-open, a pending read ends."""
        self._closed = True
        self._buffer.clear()
        wire = self._wire
        if wire.is_stray:
            # Its bytes are still out there, and will reach the server before the end does.
            self._leave_stray()
        else:
            wire.cut(server_learns=not wire.to_server.muted, device_learns=False)
        self._notify()

    def _leave_stray(self) -> None:
        wire = self._wire
        wire.mute(to_server=False, to_device=True)
        if wire.network.rng.random() < STRAY_END_SHARE:
            wire.to_server.end()

    def fail(self) -> None:
        """The network says that the link is lost."""
        self._failed = True
        self._buffer.clear()
        self._notify()

    def _arrived(self, data: bytes) -> None:
        if self._wire.broken and not data:
            return
        if data:
            self._buffer += data
        else:
            self._ended = True
        self._notify()

    def _drained(self) -> None:
        self._wire.network.loop.call_soon(self._notify, context=self.context)

    def _notify(self) -> None:
        for waiter in (self._waiter, self._drain_waiter):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        self._waiter = self._drain_waiter = None


class Tap(Protocol):
    """Sees every byte that a server sends or gets."""

    def from_device(self, wire: Wire, data: bytes) -> None:
        """`data` has arrived at the server."""

    def to_device(self, wire: Wire, data: bytes) -> None:
        """The server has written `data`."""


class Acceptor(Protocol):
    """The server as the network sees it."""

    def accept(self, wire: Wire) -> bool:
        """Take a new connection (calls `wire.attach`); False when nobody listens."""


class Network:
    """Every wire there is, and the way to make one."""

    def __init__(self, loop: VirtualLoop, rng: random.Random, tap: Tap) -> None:
        self.loop = loop
        self.rng = rng
        self.tap = tap
        self.weather = Weather()
        self.acceptor: Acceptor | None = None
        self.wires: dict[int, Wire] = {}
        self.hang_share = 0.0
        """How many connects are never answered."""
        self._count = 0

    async def connect(self, device: str, process: Process, *, late_s: float = 0.0) -> DeviceStream:
        """A new connection for `device`. OSError when the server does not answer.

        With `late_s` it is a stray: the device's bytes reach the server late, even when the
        device has given the connection up and has connected anew.
        """
        self._count += 1
        wire = Wire(self, self._count, device)
        # A TLS handshake takes two round trips.
        await pause(4 * (self.weather.latency_s + self.rng.random() * self.weather.jitter_s))
        if self.rng.random() < self.hang_share:
            await pause(HANG_S)
            raise TimeoutError("the connect was never answered")
        wire.stream.open(process)
        if late_s:
            wire.is_stray = True
            wire.to_server.stall(self.loop.time() + late_s)
        if self.acceptor is None or not self.acceptor.accept(wire):
            raise ConnectionRefusedError("nobody listens")
        self.wires[wire.number] = wire
        return wire.stream

    def cut_all(self, *, device_learns: bool) -> None:
        """Every link breaks: the server's machine is gone."""
        for wire in list(self.wires.values()):
            wire.cut(server_learns=False, device_learns=device_learns)

"""The native door: devices over TLS on TCP (spec §2).

Strategy: connections are accepted as they come and wait in a lobby (lobby.py), where they cost
little, until they have spoken and there is room for their TLS handshake. Both are bounded, so that
a flood of slow or silent clients fills a number and not the memory; the rest waits in the kernel's
backlog. While there is no room, the oldest whose peer is silent is given up, once it had its fair
time: an honest one needs milliseconds, so the silent cannot keep it out. One that waits for us is
never given up for that: when ten thousand devices come back at once, it is we who are slow, and to
send some away would only have them come again. Links are driven by an epoll of our own (poller.py),
from the first byte of the handshake on (device_link.py).

What is not ours gets no answer (spec §2.3): garbage and plain HTTP fail in the handshake, a
client without the right ALPN is cut right after it.
"""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass

import structlog

from mobilesync.engine.metrics import Metrics
from mobilesync.engine.session import Session
from mobilesync.engine.sessions import Sessions
from mobilesync.protocol.limits import ALPN
from mobilesync.transports.deadlines import Deadlines
from mobilesync.transports.device_link import DeviceLink
from mobilesync.transports.lobby import Guest, Lobby
from mobilesync.transports.poller import Poller

log = structlog.get_logger(__name__)

BACKLOG = 4096
ACCEPT_PAUSE_S = 0.1
LOOK_AGAIN_S = 0.05
LOOKED_AT_MAX = 64
"""Handshakes that are looked at for one whose peer is silent."""
ACCEPTS_IN_A_ROW = 1024
"""Connections that are taken before the loop serves others again: at about 10 us each, 10 ms."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Bounds of the native door."""

    handshake_timeout_s: float = 10.0
    """From when it begins; and as long a peer may be silent before."""
    handshakes_max: int = 2_000
    guests_max: int = 20_000
    """Accepted connections that wait for their handshake, at less than 1 KB each."""
    handshake_fair_s: float = 2.0
    """What a silent peer is given even when others wait for its place."""
    user_timeout_s: int = 60
    """How long the kernel keeps trying to send to a peer that answers nothing."""
    write_high_bytes: int = 32 * 1024
    write_low_bytes: int = 8 * 1024

    def __post_init__(self) -> None:
        assert min(self.handshake_fair_s, self.handshake_timeout_s) > 0
        assert min(self.handshakes_max, self.guests_max) > 0
        assert 0 < self.write_low_bytes < self.write_high_bytes


class TlsGateway:
    """Listens for devices."""

    def __init__(
        self,
        sessions: Sessions,
        context: ssl.SSLContext,
        *,
        host: str,
        port: int,
        options: TlsOptions | None = None,
        metrics: Metrics,
    ) -> None:
        """`context` is a server's, with certificate, versions and ALPN set (certificates.py).
        Port 0 takes a free one, see `port`."""
        self.sessions = sessions
        self.metrics = metrics
        self.options = options or TlsOptions()
        # Else the engine could wait for a `drained` that is not said.
        assert self.options.write_high_bytes <= sessions.options.buffered_bytes_max
        self.poller = Poller()
        self.write_high_bytes = self.options.write_high_bytes
        self.write_low_bytes = self.options.write_low_bytes
        self.links: set[DeviceLink] = set()
        """All, until they have ended."""
        self.handshakes = Deadlines[DeviceLink](self.options.handshake_timeout_s, self._late)
        """Those under way."""
        self.lobby = Lobby(
            self.poller,
            guests_max=self.options.guests_max,
            silence_s=self.options.handshake_timeout_s,
            spoken=self._welcome,
            left=self._left,
        )
        self._goodbyes = Deadlines[DeviceLink](sessions.options.close_linger_s, DeviceLink.abort)
        self._context = context
        self._host = host
        self._port = port
        self._listener: socket.socket | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        """Until somebody who is silent may be given up."""
        self._reading = False
        self._closing = False
        self._empty = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._listener is not None
        return int(self._listener.getsockname()[1])

    def use(self, context: ssl.SSLContext) -> None:
        """Serve links that come from now on with `context`: a renewed certificate."""
        self._context = context

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        dual = self._host == "::" and socket.has_dualstack_ipv6()
        self._listener = socket.create_server(
            (self._host, self._port), family=family, backlog=BACKLOG, dualstack_ipv6=dual
        )
        self._listener.setblocking(False)
        self.poller.start()
        self._read_on()

    async def stop_accepting(self) -> None:
        """Take no new links; those that are stay."""
        self._read_off()
        for timer in (self._pause, self._patience):
            if timer is not None:
                timer.cancel()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.lobby.close()

    async def close(self, linger_s: float = 2.0) -> None:
        """Take no new links and give up handshakes; end the links that are left.

        Sessions are the engine's to end: what it has written to them last has `linger_s` to leave.
        """
        if self._closing:
            return
        await self.stop_accepting()
        for link in tuple(self.handshakes):
            self._late(link)
        self._closing = True
        if not self.links:
            self._empty.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), linger_s)
        for link in tuple(self.links):
            link.abort()
        await self._empty.wait()
        self.poller.stop()

    # From links --------------------------------------------------------------------------

    def shaken(self, link: DeviceLink) -> Session | None:
        """See `Gateway` (device_link.py)."""
        self._end_handshake(link)
        if link.protocol() != ALPN:
            self.metrics.connections_failed += 1
            return None
        return self.sessions.connected(link)

    def failed(self, link: DeviceLink, reason: str) -> None:
        """See `Gateway`."""
        log.debug("handshake_failed", reason=reason, peer=link.peer)
        self.metrics.connections_failed += 1
        self._end_handshake(link)

    def closing(self, link: DeviceLink) -> None:
        """See `Gateway`."""
        self._goodbyes.add(link)

    def ended(self, link: DeviceLink) -> None:
        """See `Gateway`."""
        self._goodbyes.discard(link)
        self.links.discard(link)
        if self._closing and not self.links:
            self._empty.set()

    # Accepting ---------------------------------------------------------------------------

    def _read_on(self) -> None:
        """Take connections from the listening socket whenever there are some."""
        if self._listener is not None and not self._reading:
            self._reading = True
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _read_off(self) -> None:
        if self._listener is not None and self._reading:
            self._reading = False
            asyncio.get_running_loop().remove_reader(self._listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_IN_A_ROW):
            if self.lobby.is_full:
                self._read_off()
                self._make_room()
                return
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # Out of file descriptors, most likely: those in use must end first.
                log.warning("accept_failed", reason=str(error))
                self._read_off()
                loop = asyncio.get_running_loop()
                self._pause = loop.call_later(ACCEPT_PAUSE_S, self._read_on)
                return
            try:
                self.lobby.add(accepted, f"{address[0]}:{address[1]}")
            except OSError as error:
                self._refuse(accepted, error)

    def _refuse(self, accepted: socket.socket, error: OSError) -> None:
        """The kernel watches no more."""
        log.warning("accept_failed", reason=str(error))
        self.metrics.connections_failed += 1
        accepted.close()

    def _left(self, guest: Guest) -> None:
        log.debug("handshake_failed", reason="silent", peer=guest.peer)
        self.metrics.connections_failed += 1
        self._read_on()

    # Handshakes --------------------------------------------------------------------------

    def _welcome(self) -> None:
        """Begin the handshakes of those who have spoken, as far as there is room."""
        while len(self.handshakes) < self.options.handshakes_max:
            guest = self.lobby.take()
            if guest is None:
                return
            self._begin(guest)
            self._read_on()
        if self.lobby.has_spoken:
            self._look_again(0.0)

    def _begin(self, guest: Guest) -> None:
        accepted = guest.socket
        try:
            accepted.setblocking(False)
            user_timeout_ms = self.options.user_timeout_s * 1000
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout_ms)
            tls = self._context.wrap_socket(
                accepted, server_side=True, do_handshake_on_connect=False
            )
        except OSError as error:
            # The peer was gone before we looked at its socket.
            log.debug("handshake_failed", reason=type(error).__name__, peer=guest.peer)
            self.metrics.connections_failed += 1
            accepted.close()
            return
        try:
            link = DeviceLink(self, tls, guest.peer)
        except OSError as error:
            self._refuse(tls, error)
            return
        self.links.add(link)
        self.handshakes.add(link)

    def _late(self, link: DeviceLink) -> None:
        self.failed(link, "too slow")
        link.abort()

    def _end_handshake(self, link: DeviceLink) -> None:
        self.handshakes.discard(link)
        self._welcome()

    # Room --------------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Give up one who is silent and had a fair time, if others wait for the place; look again
        later if nobody is."""
        now_s = asyncio.get_running_loop().time()
        by_s = now_s - self.options.handshake_fair_s
        is_waited_for = self.lobby.has_spoken and (
            len(self.handshakes) >= self.options.handshakes_max
        )
        if is_waited_for:
            for link in self.handshakes.begun_by(by_s, LOOKED_AT_MAX):
                if not link.has_unread():
                    self._late(link)
                    return
        is_full = self.lobby.is_full
        if is_full and self.lobby.give_up_silent(by_s):
            return
        if is_waited_for or is_full:
            self._look_again(LOOK_AGAIN_S)

    def _look_again(self, after_s: float) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if self._listener is not None:
            self._patience = asyncio.get_running_loop().call_later(after_s, self._make_room)

"""One device's TLS connection: a `Link` for the engine, a `Source` for the poller.

Strategy: a non-blocking TLS socket is asked directly: read when the poller says so, write at once
and keep only what the kernel does not take. It goes through four stages:

    SHAKING  the handshake, a step for each message of the peer's
    OPEN     a session's; bytes go in and out
    CLOSING  what was written leaves, then close_notify, then what still comes is thrown away: were
             the socket closed with unread bytes in it, the kernel's reset could overtake the last
             frame
    ENDED    the socket is closed; the session hears of it in a later turn of the loop, never in the
             middle of one of its own calls

Not here: who may connect, and how long a stage may take (tls.py).

Invariants:
- `_out` is not empty only while the poller watches for room to write;
- TLS is always given all of `_out` again: after a write that would block it insists on the same
  bytes, or more, and they never change;
- without OpenSSL's read-ahead no byte waits inside TLS once a read returned less than it was asked
  for, since a record is at most `RECORD_BYTES`. So the poller alone knows whether there is more.
"""

import asyncio
import enum
import select
import ssl
from typing import Protocol, cast

from mobilesync.engine.session import Session
from mobilesync.transports.poller import WRITABLE, Poller

RECORD_BYTES = 16 * 1024
"""The largest TLS record (RFC 8446, 5.1)."""
READS_IN_A_ROW = 4
"""Full records that one device may say before others have their turn."""


class Stage(enum.Enum):
    """How far a link is."""

    SHAKING = "shaking"
    OPEN = "open"
    CLOSING = "closing"
    ENDED = "ended"


class Gateway(Protocol):
    """What a link needs from whoever listens (tls.py)."""

    poller: Poller
    write_high_bytes: int
    write_low_bytes: int

    def shaken(self, link: "DeviceLink") -> Session | None:
        """The handshake is done: answer the session that begins, or None to end the link."""

    def failed(self, link: "DeviceLink", reason: str) -> None:
        """The handshake has failed."""

    def closing(self, link: "DeviceLink") -> None:
        """The link is to end, and waits for its peer."""

    def ended(self, link: "DeviceLink") -> None:
        """The link has ended, after whichever stage."""


_buffer = bytearray(RECORD_BYTES)
_view = memoryview(_buffer)
"""What is read is copied out before anything else is read: one buffer serves all links."""


class DeviceLink:
    """A connection, from its first byte to its last."""

    __slots__ = (
        "_descriptor", "_gateway", "_is_full", "_out", "_session", "_tls", "_watches_room",
        "peer", "stage",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, tls: ssl.SSLSocket, peer: str) -> None:
        """`tls` is connected, non-blocking, and has not shaken hands. Raises OSError when the
        kernel watches no more; then `tls` is the caller's to close."""
        self.peer = peer
        self.stage = Stage.SHAKING
        self._gateway = gateway
        self._tls = tls
        self._descriptor = tls.fileno()
        self._session: Session | None = None
        self._out: bytearray | None = None
        self._is_full = False
        """Whether more was written than `write_high_bytes`, and not yet taken."""
        self._watches_room = False
        gateway.poller.add(self._descriptor, self)

    def protocol(self) -> str | None:
        """What was agreed on in the handshake (ALPN)."""
        return self._tls.selected_alpn_protocol()

    def has_unread(self) -> bool:
        """Whether the peer has said something that was not read yet: it waits for us."""
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLIN)
        return bool(waiting.poll(0))

    # From the poller ---------------------------------------------------------------------

    def ready(self, events: int) -> None:
        """Go on with whatever the stage is about."""
        if self.stage is Stage.SHAKING:
            self._shake()
            return
        if events & WRITABLE:
            self._flush()
        # A failure is told by the read, too.
        if events & ~WRITABLE or not self._out:
            self._read()

    # For the engine ----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send `data`, unless the link is closing."""
        if self.stage is not Stage.OPEN or not data:
            return
        if self._out:
            self._out += data
        else:
            sent = self._send(data)
            if sent == len(data) or self._has_ended():
                return
            self._out = bytearray(memoryview(data)[sent:])
            self._watch_room(wanted=True)
        if len(self._out) > self._gateway.write_high_bytes:
            self._is_full = True

    def buffered_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return len(self._out) if self._out else 0

    def close(self) -> None:
        """End after what was written."""
        if self.stage is Stage.SHAKING:
            self.abort()
        elif self.stage is Stage.OPEN:
            self.stage = Stage.CLOSING
            self._gateway.closing(self)
            if not self._out:
                self._say_goodbye()

    def abort(self) -> None:
        """End now."""
        if self.stage is Stage.ENDED:
            return
        self.stage = Stage.ENDED
        self._out = None
        self._gateway.poller.remove(self._descriptor)
        self._tls.close()
        asyncio.get_running_loop().call_soon(self._lost)

    def _has_ended(self) -> bool:
        return self.stage is Stage.ENDED

    # Steps -------------------------------------------------------------------------------

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._watch_room(wanted=False)
            return
        except ssl.SSLWantWriteError:
            self._watch_room(wanted=True)
            return
        except OSError as error:
            self._gateway.failed(self, type(error).__name__)
            self.abort()
            return
        self._watch_room(wanted=False)
        self._session = self._gateway.shaken(self)
        if self._session is None:
            self.abort()
            return
        self.stage = Stage.OPEN
        # What came with the end of the handshake is in the kernel still, and will be told.

    def _read(self) -> None:
        for _ in range(READS_IN_A_ROW):
            if self._has_ended():
                return
            try:
                # With a buffer it is a number, whatever its annotation says.
                count = cast("int", self._tls.read(RECORD_BYTES, _buffer))
            except ssl.SSLWantReadError:
                return
            except ssl.SSLWantWriteError:
                # An answer of TLS itself has no room.
                self._watch_room(wanted=True)
                return
            except OSError:
                self.abort()
                return
            if not count:
                # Its close_notify, or its end without one.
                self._say_goodbye()
                self.abort()
                return
            # What comes after the last frame was written is thrown away.
            if self.stage is Stage.OPEN and self._session is not None:
                self._session.received(bytes(_view[:count]))
            if count < RECORD_BYTES:
                return

    def _flush(self) -> None:
        out = self._out
        if out:
            with memoryview(out) as view:
                sent = self._send(view)
            if self._has_ended():
                return
            del out[:sent]
            if out:
                self._after_flush()
                return
        self._out = None
        self._watch_room(wanted=False)
        if self.stage is Stage.CLOSING:
            self._say_goodbye()
            return
        self._after_flush()

    def _after_flush(self) -> None:
        if self._is_full and self.buffered_bytes() <= self._gateway.write_low_bytes:
            self._is_full = False
            if self._session is not None and self.stage is Stage.OPEN:
                self._session.drained()

    def _send(self, data: bytes | memoryview) -> int:
        """Have TLS take as much of `data` as there is room for; answer how much. A link that has
        failed is aborted."""
        sent = 0
        try:
            if len(data) <= RECORD_BYTES:
                return self._tls.write(data)
            # Record by record: of more at once it would not say how much has left.
            while sent < len(data):
                sent += self._tls.write(memoryview(data)[sent : sent + RECORD_BYTES])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError:
            self.abort()
        return sent

    def _say_goodbye(self) -> None:
        """Send close_notify; the peer's, or the end of its patience, ends the link."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._watch_room(wanted=True)
            return
        except (OSError, ValueError):
            pass
        self.abort()

    def _watch_room(self, *, wanted: bool) -> None:
        if self._watches_room is not wanted:
            self._watches_room = wanted
            self._gateway.poller.watch(self._descriptor, writable=wanted)

    def _lost(self) -> None:
        self._gateway.ended(self)
        session, self._session = self._session, None
        if session is not None:
            session.lost()

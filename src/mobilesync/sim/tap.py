"""Reads what goes over the wires, and writes it into the history and the trace.

Strategy: decode both directions with the protocol's own codec, where the server writes and where
its bytes arrive. So G4 and G6 are judged by what was really sent, not by what somebody says.
"""

from collections.abc import Sequence

from mobilesync.domain.channel import Channel
from mobilesync.protocol import limits
from mobilesync.protocol import messages as m
from mobilesync.protocol.codec import FrameReader, decode
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import Chronicle, digest_of
from mobilesync.sim.links import Wire


class WireTap:
    """Fits `links.Tap`."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._readers: dict[tuple[int, bool], FrameReader | None] = {}
        self.counts_frames = False
        """Whether every frame becomes a fact: needed in quiet periods only."""
        self.buffered_bytes_most = 0

    def from_device(self, wire: Wire, data: bytes) -> None:
        """`data` has arrived at the server."""
        for message, size in self._messages(wire, False, limits.SERVER_FRAME_BYTES_MAX, data):
            self._note_frame(wire, False, message, size)
            self._note_said(wire, message)
            self._chronicle.say(f"wire-{wire.number}", f"{wire.device} said {_text(message)}")

    def to_device(self, wire: Wire, data: bytes) -> None:
        """The server has written `data`."""
        buffered = wire.to_device.buffered_bytes()
        self.buffered_bytes_most = max(self.buffered_bytes_most, buffered)
        app = wire.device.partition("/")[0]
        now_ms = self._chronicle.now_ms()
        for message, size in self._messages(wire, True, limits.CLIENT_FRAME_BYTES_MAX, data):
            self._note_frame(wire, True, message, size)
            match message:
                case m.Welcome():
                    who = (wire.number, wire.device, message.user, message.session)
                    fact: h.Fact = h.Welcomed(now_ms, *who)
                    self._chronicle.add(fact)
                case m.Push():
                    channel = Channel(app, message.biz, message.target)
                    oplogs = tuple((oplog.id, oplog.message_id) for oplog in message.oplogs)
                    bounds = (message.after, message.upto)
                    fact = h.Pushed(now_ms, wire.number, wire.device, channel, *bounds, oplogs)
                    self._chronicle.add(fact)
                case m.Notice():
                    channel = Channel(app, message.biz, message.target)
                    digest = digest_of(message.payload)
                    fact = h.Noticed(now_ms, wire.number, wire.device, channel, digest)
                    self._chronicle.add(fact)
                case m.Close():
                    self._note_close(wire, True, message)
            self._chronicle.say(f"wire-{wire.number}", f"to {wire.device}: {_text(message)}")

    def _messages(
        self, wire: Wire, by_server: bool, body_bytes_max: int, data: bytes
    ) -> list[tuple[m.Message, int]]:
        key = (wire.number, by_server)
        if key not in self._readers:
            self._readers[key] = FrameReader(body_bytes_max)
        reader = self._readers[key]
        if reader is None:
            return []
        try:
            reader.receive(data)
            decoded: list[tuple[m.Message | None, int]] = []
            while (body := reader.take()) is not None:
                decoded.append((decode(body), len(body)))
        except ProtocolFault:
            self._readers[key] = None
            return []
        return [(message, size) for message, size in decoded if message is not None]

    def _note_said(self, wire: Wire, message: m.Message) -> None:
        app = wire.device.partition("/")[0]
        at = (self._chronicle.now_ms(), wire.number, wire.device)
        match message:
            case m.Hello():
                attributes = tuple(message.attributes.items())
                asks = m.WITHDRAWALS in message.features
                points = _listed(app, message.points)
                what = (message.os, message.app_version)
                said = h.SaidHello(*at, *what, attributes, asks, points)
                self._chronicle.add(said)
            case m.Bind():
                points = _listed(app, message.points)
                self._chronicle.add(h.SaidUser(*at, message.user, points))
            case m.Unbind():
                self._chronicle.add(h.SaidUser(*at, ""))
            case m.Ack():
                for acked in message.acked:
                    channel = Channel(app, acked.biz, acked.target)
                    fact = h.SaidAck(*at, channel, acked.received, acked.processed)
                    self._chronicle.add(fact)
            case m.Close():
                self._note_close(wire, False, message)

    def _note_close(self, wire: Wire, by_server: bool, close: m.Close) -> None:
        now_ms = self._chronicle.now_ms()
        said = (by_server, close.code, close.reason)
        self._chronicle.add(h.Closed(now_ms, wire.number, wire.device, *said))

    def _note_frame(self, wire: Wire, by_server: bool, message: m.Message, size: int) -> None:
        if self.counts_frames:
            kind = type(message).__name__
            now_ms = self._chronicle.now_ms()
            fact = h.Framed(now_ms, wire.number, wire.device, by_server, kind, size)
            self._chronicle.add(fact)


def _listed(app: str, points: Sequence[m.SyncPoint]) -> tuple[tuple[Channel, int, int], ...]:
    return tuple((Channel(app, p.biz, p.target), p.epoch, p.received) for p in points)


def _text(message: m.Message) -> str:
    match message:
        case m.Push():
            ids = " ".join(str(oplog.id) for oplog in message.oplogs)
            return f"Push {message.biz} {message.target} ({message.after}, {message.upto}] {ids}"
        case m.Ack():
            acked = "; ".join(
                f"{a.biz} {a.target} {a.received}/{a.processed}" for a in message.acked
            )
            return f"Ack {acked}"
        case m.Hello():
            points = "; ".join(_point(point) for point in message.points)
            return f"Hello user={message.user!r} {points}"
        case m.Bind():
            return f"Bind user={message.user!r} " + "; ".join(map(_point, message.points))
        case m.Reset():
            where = f"{message.biz} {message.target}"
            return f"Reset {where} to {message.epoch}.{message.floor} because {message.reason}"
        case m.Welcome():
            return f"Welcome user={message.user!r} epoch={message.epoch}"
        case m.Close():
            wait = f"{message.retry_after_ms}+{message.retry_spread_ms}"
            return f"Close {message.code} {message.reason!r} {wait}"
        case _:
            return type(message).__name__


def _point(point: m.SyncPoint) -> str:
    place = f"{point.epoch}.{point.received}/{point.processed}"
    return f"{point.biz} {point.target} {place}"

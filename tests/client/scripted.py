"""A server that says what the test tells it to, in memory or on loopback.

Strategy: `Script` listens; each connection is a `Talk`, made of the protocol's own Connection in
the server's role, so that whatever the SDK says is checked against the rules. Nothing here waits
for time: a test awaits the next message, with one bound for all waits.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from mobilesync.client import Client, ClientOptions
from mobilesync.client.events import ClientEvent, ReceivedOplog
from mobilesync.protocol import messages as m
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.transitions import Role

PATIENCE_S = 10.0
EPOCH = 7
QUICK = ClientOptions(
    handler_backoff_s=0.001,
    handler_backoff_max_s=0.002,
    ack_delay_s=0.005,
    reconnect_s=0.001,
    reconnect_max_s=0.005,
    connect_timeout_s=5.0,
)
_M = TypeVar("_M")


class Pipe:
    """One end of an in-memory connection: the SDK's Stream, and the test's end alike."""

    def __init__(self) -> None:
        self.peer: Pipe | None = None
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = False
        self.lost = False
        self.stuck = asyncio.Event()
        self.stuck.set()
        self.written = 0

    async def read(self) -> bytes:
        if self.lost:
            raise ConnectionResetError("cut")
        chunk = await self._chunks.get()
        if chunk is None:
            self._chunks.put_nowait(None)
            if self.lost:
                raise ConnectionResetError("cut")
            return b""
        return chunk

    def write(self, data: bytes) -> None:
        if self.lost:
            raise ConnectionResetError("cut")
        if not self.closed and self.peer is not None:
            self.written += len(data)
            self.peer.feed(data)

    def feed(self, data: bytes) -> None:
        self._chunks.put_nowait(data)

    @property
    def unread(self) -> int:
        """Writes that this end has not read."""
        return self._chunks.qsize()

    async def drain(self) -> None:
        await self.stuck.wait()
        if self.lost:
            raise ConnectionResetError("cut")

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self.peer is not None:
                self.peer._chunks.put_nowait(None)

    def abort(self) -> None:
        self.close()
        self._chunks.put_nowait(None)

    def cut(self) -> None:
        """Lose the link, for both ends."""
        for end in (self, self.peer):
            if end is not None:
                end.lost = True
                end._chunks.put_nowait(None)
                end.stuck.set()


def pipe() -> tuple[Pipe, Pipe]:
    """The two ends of one connection."""
    one, other = Pipe(), Pipe()
    one.peer, other.peer = other, one
    return one, other


class Talk:
    """The server's end of one connection."""

    def __init__(self, end: Pipe) -> None:
        self.end = end
        self._connection = Connection(Role.SERVER)
        self._heard: list[m.Message] = []
        self.everything: list[m.Message] = []

    async def hear(self, kind: type[_M]) -> _M:
        """The next message, which must be of `kind`."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._heard:
                data = await self.end.read()
                assert data, "the client ended the connection"
                heard = self._connection.receive_data(data)
                self._heard += heard
                self.everything += heard
        message = self._heard.pop(0)
        assert isinstance(message, kind), f"{message} instead of {kind.__name__}"
        return message

    async def skip_to(self, kind: type[_M]) -> _M:
        """The next message of `kind`; acks before it are passed over."""
        while True:
            message = await self.hear(object)
            if isinstance(message, kind):
                return message
            assert isinstance(message, m.Ack), f"{message} before {kind.__name__}"

    async def ended(self) -> list[m.Message]:
        """Wait for the end of the connection; everything that was said before it."""
        async with asyncio.timeout(PATIENCE_S):
            while data := await self.end.read():
                self._heard += self._connection.receive_data(data)
        heard, self._heard = self._heard, []
        return heard

    def say(self, *messages: m.Message) -> None:
        """All of them in one write."""
        self.end.write(b"".join(self._connection.send(each) for each in messages))

    async def welcome(self, *more: m.Message, epoch: int = EPOCH, beat_s: int = 60) -> m.Hello:
        """Answer Hello with Welcome and `more`, in one write."""
        hello = await self.hear(m.Hello)
        self.say(welcome_for(hello.user, epoch, beat_s), *more)
        return hello


class Script:
    """Listens; `connect` is what the Client is given."""

    def __init__(self) -> None:
        self._talks: asyncio.Queue[Talk] = asyncio.Queue()
        self.refuse: Exception | None = None
        self.connects = 0

    async def connect(self) -> Pipe:
        self.connects += 1
        if self.refuse is not None:
            raise self.refuse
        ours, theirs = pipe()
        self._talks.put_nowait(Talk(theirs))
        return ours

    async def accept(self) -> Talk:
        """The next connection."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._talks.get()


def welcome_for(user: str, epoch: int = EPOCH, beat_s: int = 60) -> m.Welcome:
    return m.Welcome(1, epoch, "s1", user, 1_000, beat_s, max(beat_s, 540))


def push(
    after: int, *ids: int, upto: int | None = None, biz: str = "CHAT", target: str = "user:alice"
) -> m.Push:
    """A Push of oplogs whose payload is their id."""
    oplogs = [m.PushedOplog(each, 1_000 + each, str(each).encode(), f"m{each}") for each in ids]
    last = ids[-1] if ids else after
    return m.Push(biz, target, after, last if upto is None else upto, oplogs)


def withdrawal(after: int, by: int, *ranges: tuple[int, int], reason: int = 1) -> m.Push:
    """A Push of one oplog, `by`, that withdraws `ranges`."""
    withdraws = m.Withdrawal([m.IdRange(*each) for each in ranges], reason)
    oplog = m.PushedOplog(by, 1_000 + by, b"", f"m{by}", withdraws=withdraws)
    return m.Push("CHAT", "user:alice", after, by, [oplog])


class Seen:
    """A handler that remembers; `fail` decides what it raises."""

    def __init__(self, fail: Callable[[ReceivedOplog], Exception | None] | None = None) -> None:
        self.oplogs: list[ReceivedOplog] = []
        self._fail = fail
        self._more = asyncio.Event()

    async def __call__(self, oplog: ReceivedOplog) -> None:
        error = self._fail(oplog) if self._fail else None
        if error is not None:
            raise error
        self.oplogs.append(oplog)
        self._more.set()

    @property
    def ids(self) -> list[int]:
        return [each.id for each in self.oplogs]

    async def until(self, count: int) -> list[int]:
        """Wait for `count` calls in all; their ids."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.oplogs) < count:
                self._more.clear()
                await self._more.wait()
        return self.ids


class States:
    """A state listener that remembers."""

    def __init__(self) -> None:
        self.events: list[ClientEvent] = []
        self._more = asyncio.Event()

    def __call__(self, event: ClientEvent) -> None:
        self.events.append(event)
        self._more.set()

    async def until(self, kind: type[_M]) -> _M:
        """Wait for an event of `kind`, and forget those up to it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for place, event in enumerate(self.events):
                    if isinstance(event, kind):
                        del self.events[: place + 1]
                        return event
                self._more.clear()
                await self._more.wait()


async def eventually(check: Callable[[], bool]) -> None:
    """Let the loop run until `check` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not check():
            await asyncio.sleep(0.001)


def client_of(script: Script, database: Any = ":memory:", **changes: Any) -> Client:
    """Alice's client on `script`."""
    arguments: dict[str, Any] = {
        "app": "demo",
        "device": "d1",
        "store": database,
        "token": "t1",
        "user": "alice",
        "connect": script.connect,
        "random": random.Random(1),
        "options": QUICK,
    }
    return Client(**{**arguments, **changes})


def database() -> sqlite3.Connection:
    """A store that outlives its client."""
    return sqlite3.connect(":memory:", isolation_level=None)

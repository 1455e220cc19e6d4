"""A link over a pair of sockets, with a gateway and a session that note what they are told."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from mobilesync.engine.session import Session
from mobilesync.transports.certificates import CertificateFiles
from mobilesync.transports.device_link import READS_IN_A_ROW, RECORD_BYTES, DeviceLink, Stage
from mobilesync.transports.poller import Poller
from tests.transports.door import (
    SOON_S,
    client_context,
    on_both_loops,
    server_context,
    until,
)

LARGE = bytes(range(256)) * 8192
"""More than both sockets buffer."""


class Heard:
    """Stands for a session."""

    def __init__(self, link: DeviceLink) -> None:
        self.link = link
        self.data: list[bytes] = []
        self.drains = 0
        self.losses = 0
        self.closes_on = b""

    def received(self, data: bytes) -> None:
        self.data.append(data)
        if self.closes_on and self.closes_on in data:
            self.link.close()

    def drained(self) -> None:
        self.drains += 1

    def lost(self) -> None:
        self.losses += 1


class Gateway:
    """Stands for whoever listens."""

    def __init__(self) -> None:
        self.poller = Poller()
        self.poller.start()
        self.write_high_bytes = 32 * 1024
        self.write_low_bytes = 8 * 1024
        self.wants = True
        self.session: Heard | None = None
        self.failures: list[str] = []
        self.goodbyes = 0
        self.ends = 0

    def shaken(self, link: DeviceLink) -> Session | None:
        if not self.wants:
            return None
        self.session = Heard(link)
        return self.session  # type: ignore[return-value]  # as much of one as a link needs

    def failed(self, link: DeviceLink, reason: str) -> None:
        self.failures.append(reason)

    def closing(self, link: DeviceLink) -> None:
        self.goodbyes += 1

    def ended(self, link: DeviceLink) -> None:
        self.ends += 1


class Pair:
    """A link and the device's end of it."""

    def __init__(self, files: CertificateFiles) -> None:
        self.files = files
        self.gateway = Gateway()
        near, self.far = socket.socketpair()
        for end in (near, self.far):
            end.setblocking(False)
        tls = server_context(files).wrap_socket(
            near, server_side=True, do_handshake_on_connect=False
        )
        self.link = DeviceLink(self.gateway, tls, "a device")
        self.writer: asyncio.StreamWriter | None = None

    async def connect(self) -> asyncio.StreamReader:
        reader, self.writer = await asyncio.open_connection(
            sock=self.far, ssl=client_context(self.files), server_hostname="localhost"
        )
        await until(lambda: self.link.stage is not Stage.SHAKING)
        return reader

    def say(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)

    @property
    def session(self) -> Heard:
        assert self.gateway.session is not None
        return self.gateway.session


@asynccontextmanager
async def pair_of(files: CertificateFiles) -> AsyncIterator[Pair]:
    pair = Pair(files)
    try:
        yield pair
    finally:
        pair.link.abort()
        if pair.writer is not None:
            pair.writer.close()
            with suppress(OSError):
                await asyncio.wait_for(pair.writer.wait_closed(), SOON_S)
        pair.far.close()
        await until(lambda: pair.gateway.ends == 1)
        pair.gateway.poller.stop()


@on_both_loops
async def test_bytes_go_both_ways(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        reader = await pair.connect()
        pair.say(b"up")
        await until(lambda: pair.session.data == [b"up"])
        pair.link.write(b"down")
        pair.link.write(b"")
        assert await reader.readexactly(4) == b"down"
        assert pair.link.buffered_bytes() == 0
        assert pair.link.protocol() is None


@on_both_loops
async def test_what_was_not_read_yet_is_known(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        await pair.connect()
        assert not pair.link.has_unread()
        pair.say(b"up")
        # Until the loop turns, nobody reads it. The writer's socket takes it at once.
        end_s = time.monotonic() + SOON_S
        while not pair.link.has_unread() and time.monotonic() < end_s:
            time.sleep(0.001)
        assert pair.link.has_unread()
        await until(lambda: pair.session.data == [b"up"])
        assert not pair.link.has_unread()


@on_both_loops
async def test_much_is_read_in_turns(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        await pair.connect()
        pair.say(LARGE)
        await until(lambda: sum(map(len, pair.session.data)) == len(LARGE))
        assert b"".join(pair.session.data) == LARGE
        assert max(map(len, pair.session.data)) == RECORD_BYTES
        assert len(pair.session.data) > READS_IN_A_ROW


@on_both_loops
async def test_what_the_kernel_does_not_take_is_kept_and_leaves_in_order(
    files: CertificateFiles,
) -> None:
    async with pair_of(files) as pair:
        reader = await pair.connect()
        pair.link.write(LARGE)
        kept = pair.link.buffered_bytes()
        assert 0 < kept < len(LARGE)
        pair.link.write(b"and more")
        assert pair.link.buffered_bytes() == kept + 8
        assert pair.session.drains == 0
        got = await reader.readexactly(len(LARGE) + 8)
        assert got == LARGE + b"and more"
        await until(lambda: pair.session.drains == 1)
        assert pair.link.buffered_bytes() == 0
        pair.link.write(b"again")
        assert await reader.readexactly(5) == b"again"
        assert pair.session.drains == 1, "told only after there was too much"


@on_both_loops
async def test_close_lets_what_was_written_leave_first(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        reader = await pair.connect()
        pair.link.write(LARGE)
        pair.link.close()
        pair.link.write(b"too late")
        pair.link.close()
        assert pair.gateway.goodbyes == 1
        pair.say(b"nobody hears this")
        assert await _all_of(reader) == LARGE
        await until(lambda: pair.session.losses == 1)
        assert pair.session.data == []


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while part := await asyncio.wait_for(reader.read(2**16), SOON_S):
        data += part
    return data


@on_both_loops
async def test_a_session_that_closes_while_it_hears_hears_no_more(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        reader = await pair.connect()
        pair.session.closes_on = b"bad"
        pair.say(b"bad")
        await until(lambda: pair.link.stage is not Stage.OPEN)
        pair.say(b"more")
        assert await _all_of(reader) == b""
        await until(lambda: pair.session.losses == 1)
        assert pair.session.data == [b"bad"]


@on_both_loops
async def test_the_peers_goodbye_ends_it(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        await pair.connect()
        assert pair.writer is not None
        pair.writer.close()
        await until(lambda: pair.session.losses == 1)
        assert pair.link.stage is Stage.ENDED


@on_both_loops
async def test_a_peer_that_vanishes_ends_it(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        await pair.connect()
        assert pair.writer is not None
        transport = pair.writer.transport
        pair.link.write(LARGE)
        transport.abort()
        await until(lambda: pair.session.losses == 1)
        pair.link.write(b"into the void")
        pair.link.close()
        pair.link.abort()
        assert pair.gateway.goodbyes == 0


@on_both_loops
async def test_abort_is_told_in_a_later_turn_and_once(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        await pair.connect()
        pair.link.abort()
        pair.link.abort()
        assert pair.session.losses == 0
        await until(lambda: pair.session.losses == 1)
        assert pair.gateway.ends == 1


@on_both_loops
async def test_garbage_fails_the_handshake(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        pair.far.send(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: pair.link.stage is Stage.ENDED)
        assert pair.gateway.failures == ["SSLError"]
        assert pair.gateway.session is None


@on_both_loops
async def test_a_peer_that_leaves_in_the_handshake(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        pair.far.close()
        await until(lambda: pair.link.stage is Stage.ENDED)
        assert len(pair.gateway.failures) == 1


@on_both_loops
async def test_one_that_is_not_wanted_is_cut_after_the_handshake(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        pair.gateway.wants = False
        with suppress(OSError):
            reader = await pair.connect()
            assert await _all_of(reader) == b""
        await until(lambda: pair.link.stage is Stage.ENDED)
        assert pair.gateway.failures == []


@on_both_loops
async def test_close_in_the_handshake_is_the_end(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        pair.link.write(b"nothing yet")
        pair.link.close()
        assert pair.link.stage is Stage.ENDED
        assert pair.gateway.goodbyes == 0


class Blocked:
    """A TLS socket whose steps have no room to write, `times` times each."""

    def __init__(self, tls: ssl.SSLSocket, times: int) -> None:
        self._tls = tls
        self._left = dict.fromkeys(("do_handshake", "read", "write", "unwrap"), times)

    def __getattr__(self, name: str) -> object:
        if self._left.get(name, 0):
            self._left[name] -= 1

            def blocked(*_: object) -> None:
                raise ssl.SSLWantWriteError

            return blocked
        return getattr(self._tls, name)


@on_both_loops
async def test_each_step_goes_on_when_there_is_room_again(files: CertificateFiles) -> None:
    async with pair_of(files) as pair:
        pair.link._tls = Blocked(pair.link._tls, 2)  # type: ignore[assignment]  # it stands for it
        reader = await pair.connect()
        pair.say(b"up")
        await until(lambda: pair.session.data == [b"up"])
        pair.link.write(b"down")
        assert pair.link.buffered_bytes() == 4
        assert await reader.readexactly(4) == b"down"
        pair.link.close()
        assert await _all_of(reader) == b""
        await until(lambda: pair.session.losses == 1)

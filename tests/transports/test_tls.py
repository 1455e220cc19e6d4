"""The native door over real sockets, on asyncio's own loop and on uvloop.

Whatever comes in: devices are served, everything else is cut in time, and nothing is left behind.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest

from mobilesync.engine.options import SessionOptions
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.limits import ALPN
from mobilesync.transports.certificates import (
    CertificateFiles,
)
from mobilesync.transports.tls import TlsGateway, TlsOptions
from tests.loops import LOOPS
from tests.transports.door import (
    FIRST_BYTE,
    Door,
    Phone,
    certificate,
    client_context,
    client_hello,
    on_both_loops,
    open_door,
    server_context,
    until,
)

# Devices --------------------------------------------------------------------------------------


@on_both_loops
async def test_a_device_is_served(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        phone = await door.device()
        await door.publish(b"1", b"2")
        push = await phone.hear()
        assert isinstance(push, m.Push)
        assert [oplog.payload for oplog in push.oplogs] == [b"1", b"2"]
        phone.say(m.Ack([m.Acked("CHAT", "everyone", 2, 2)]))
        phone.say(m.Ping(60))
        assert isinstance(await phone.hear(), m.Pong)
        points = await door.service.store.points("demo", "d1")
        assert [point.received for point in points.values()] == [2]
        session = door.sessions.of_device("demo", "d1")
        assert session is not None
        assert session.link.peer.startswith("127.0.0.1:")
        await phone.close()
        await until(lambda: len(door.sessions) == 0)
        assert door.metrics.connections_accepted == 1
        assert door.metrics.connections_failed == 0


@on_both_loops
async def test_fifty_at_once_are_served(files: CertificateFiles) -> None:
    async with open_door(files, handshakes_max=7) as door:
        phones = await asyncio.gather(*(door.device(f"d{number}") for number in range(50)))
        assert len(door.sessions) == 50
        await door.publish(b"all")
        for phone in phones:
            assert isinstance(await phone.hear(), m.Push)
        tasks = len(asyncio.all_tasks())
        for phone in phones[:25]:
            await phone.close()
        await until(lambda: len(door.sessions) == 25)
        assert len(asyncio.all_tasks()) == tasks, "a connection has no task of its own"
        for phone in phones[25:]:
            await phone.close()


@on_both_loops
async def test_large_oplogs_pass_in_order(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        phone = await door.device()
        payloads = [bytes([number]) * 60_000 for number in range(40)]
        await door.publish(*payloads)
        got: list[bytes] = []
        while len(got) < 40:
            push = await phone.hear()
            assert isinstance(push, m.Push)
            assert push.after == len(got)
            got += [oplog.payload for oplog in push.oplogs]
            phone.say(m.Ack([m.Acked("CHAT", "everyone", push.upto, push.upto)]))
        assert got == payloads
        await phone.close()


@on_both_loops
async def test_drain_says_why_before_it_ends(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        phone = await door.device()
        port = door.gateway.port
        await door.gateway.stop_accepting()
        await door.service.drain(0.0)
        close = await phone.hear()
        assert isinstance(close, m.Close)
        assert close.code == CloseCode.DRAINING
        assert await phone.ended() == b""
        await phone.close()
        with pytest.raises(OSError, match=r"."):
            await asyncio.open_connection("127.0.0.1", port)


@on_both_loops
async def test_what_breaks_the_protocol_is_told_and_cut(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        phone = await door.connect(client_context(files, ALPN))
        phone.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        close = await phone.hear()
        assert isinstance(close, m.Close)
        assert close.code == CloseCode.FRAME_TOO_LARGE
        assert await phone.ended() == b""
        await phone.close()


@on_both_loops
async def test_a_device_that_shuts_its_sending_side_is_gone(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        phone = await door.device()
        descriptor = phone.writer.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(descriptor)) as below:
            below.shutdown(socket.SHUT_WR)
        await phone.ended()
        await until(lambda: len(door.sessions) == 0)
        await phone.close()


# TLS ------------------------------------------------------------------------------------------


@on_both_loops
async def test_tls_1_2_is_enough_and_1_3_is_preferred(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        versions = []
        for highest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED):
            context = client_context(files, ALPN)
            context.maximum_version = highest
            phone = await door.connect(context)
            versions.append(phone.writer.get_extra_info("ssl_object").version())
            assert phone.writer.get_extra_info("ssl_object").selected_alpn_protocol() == ALPN
            await phone.close()
        assert versions == ["TLSv1.2", "TLSv1.3"]


@on_both_loops
async def test_tls_1_1_is_refused(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        # The same hello is taken when it offers TLS 1.2: a handshake message comes back.
        good = await door.plain()
        good.writer.write(client_hello(0x0303))
        assert (await good.reader.read(1))[0] == 0x16
        await good.close()
        bad = await door.plain()
        bad.writer.write(client_hello(0x0302))
        assert (await bad.ended())[:1] in {b"", b"\x15"}, "nothing, or a TLS alert"
        await bad.close()
        await until(lambda: door.metrics.connections_failed == 2)
        assert door.metrics.connections_accepted == 0


@on_both_loops
async def test_other_protocols_get_no_session(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        for alpn in ((), ("h2",), ("http/1.1", "mobilesync/2")):
            # OpenSSL may refuse the handshake, or finish it without a protocol: both are a no.
            with suppress(OSError):
                phone = await door.connect(client_context(files, *alpn))
                with suppress(OSError):
                    phone.writer.write(b"anything")
                assert await phone.ended() == b""
                await phone.close()
        await until(lambda: door.metrics.connections_failed == 3)
        assert door.metrics.connections_accepted == 0
        await (await door.device()).close()


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 100, b"SSH-2.0-x\r\n"]
)
def test_garbage_gets_no_session(files: CertificateFiles, garbage: bytes) -> None:
    for loop_name in LOOPS:
        _garbage(garbage)(files=files, loop_name=loop_name)


def _garbage(garbage: bytes) -> Callable[..., None]:
    async def scenario(files: CertificateFiles) -> None:
        async with open_door(files) as door:
            phone = await door.plain()
            phone.writer.write(garbage)
            answer = await phone.ended()
            assert answer[:1] in {b"", b"\x15"}, "nothing, or a TLS alert"
            await phone.close()
            await until(lambda: door.metrics.connections_failed == 1)
            await (await door.device()).close()

    return on_both_loops(scenario)


@on_both_loops
async def test_a_new_certificate_serves_new_connections(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        old = await door.device("old")
        renewed = certificate(files.certificate.parent / "renewed")
        door.gateway.use(server_context(renewed))
        with pytest.raises(ssl.SSLCertVerificationError):
            await door.device("distrustful")
        door.files = renewed
        new = await door.device("new")
        await door.publish(b"x")
        for phone in (old, new):
            assert isinstance(await phone.hear(), m.Push)
            await phone.close()


# Trouble --------------------------------------------------------------------------------------

PAYLOAD = b"x" * 60_000


@on_both_loops
async def test_a_device_that_stops_reading_is_slow(files: CertificateFiles) -> None:
    session = SessionOptions(ack_timeout_s=0.3, close_linger_s=0.2)
    async with open_door(files, session=session) as door:
        phone = await door.device(limit=1024)
        await door.publish(*[PAYLOAD] * 100)
        await until(lambda: len(door.sessions) == 0)
        assert door.metrics.closes == {int(CloseCode.SLOW_DEVICE): 1}
        await until(lambda: not door.gateway.links)
        await phone.close()


@on_both_loops
async def test_a_device_that_stops_reading_costs_a_bounded_buffer(files: CertificateFiles) -> None:
    wide = SessionOptions(window_bytes=10**9, window_count=10**6)
    async with open_door(files, session=wide) as door:
        phone = await door.device(limit=1024)
        session = door.sessions.of_device("demo", "d1")
        assert session is not None
        for _ in range(4):
            await door.publish(*[PAYLOAD] * 130)
        before = -1
        while before != door.metrics.bytes_pushed:
            before = door.metrics.bytes_pushed
            await asyncio.sleep(0.05)
        # The kernel takes some megabytes; of the rest only a turn or two is ours.
        assert door.metrics.bytes_pushed < 4 * 130 * len(PAYLOAD)
        assert 0 < session.link.buffered_bytes() < wide.buffered_bytes_max + 4 * wide.push_bytes
        assert session.behind
        count = 0
        while count < 4 * 130:
            push = await phone.hear()
            assert isinstance(push, m.Push)
            assert push.after == count
            count = push.upto
        assert session.link.buffered_bytes() == 0
        await phone.close()


@on_both_loops
async def test_close_gives_up_handshakes(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        silent = [await door.plain() for _ in range(5)]
        silent += [await door.plain(FIRST_BYTE) for _ in range(10)]
        await until(lambda: len(door.gateway.handshakes) == 10)
        await until(lambda: len(door.gateway.lobby) == 5)
        await door.gateway.close()
        assert not door.gateway.handshakes
        assert not len(door.gateway.lobby)
        for phone in silent:
            assert await phone.ended() == b""
            await phone.close()


@on_both_loops
async def test_close_while_many_connect(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        port = door.gateway.port
        coming = [asyncio.ensure_future(door.device(f"d{number}")) for number in range(30)]
        await until(lambda: bool(door.gateway.handshakes))
        await door.gateway.close()
        await door.gateway.close()
        await door.service.drain(0.0)
        for phone in await asyncio.gather(*coming, return_exceptions=True):
            if isinstance(phone, Phone):
                await phone.ended()
                await phone.close()
            else:
                assert isinstance(phone, OSError | LookupError | AssertionError)
        with pytest.raises(OSError, match=r"."):
            await asyncio.open_connection("127.0.0.1", port)


@on_both_loops
async def test_a_port_in_use_is_told(files: CertificateFiles) -> None:
    async with open_door(files) as door:
        second = TlsGateway(
            door.sessions,
            server_context(files),
            host="127.0.0.1",
            port=door.gateway.port,
            metrics=door.metrics,
        )
        with pytest.raises(OSError, match=r"."):
            await second.start()
        await second.close()


def test_options_that_contradict_the_engines_are_refused(files: CertificateFiles) -> None:
    with pytest.raises(AssertionError):
        TlsOptions(write_low_bytes=10, write_high_bytes=10)
    small = SessionOptions(buffered_bytes_max=16 * 1024)
    with pytest.raises(AssertionError):
        Door(files, TlsOptions(write_high_bytes=32 * 1024), small)


# What the system refuses ----------------------------------------------------------------------


@on_both_loops
async def test_without_descriptors_it_accepts_again_a_little_later(
    files: CertificateFiles,
) -> None:
    async with open_door(files) as door:

        class Exhausted:
            def accept(self) -> None:
                raise OSError(24, "too many open files")

        door.gateway._accept(Exhausted())  # type: ignore[arg-type]  # it stands for a listener
        assert not door.gateway._reading
        phone = await door.device()
        await phone.close()


@on_both_loops
async def test_a_connection_that_is_gone_before_its_handshake(files: CertificateFiles) -> None:
    async with open_door(files) as door:

        class Gone:
            def wrap_socket(self, *_: object, **__: object) -> None:
                raise OSError(107, "not connected")

        context = door.gateway._context
        door.gateway._context = Gone()  # type: ignore[assignment]  # it stands for a context
        plain = await door.plain(FIRST_BYTE)
        assert await plain.ended() == b""
        await plain.close()
        assert door.metrics.connections_failed == 1
        door.gateway._context = context
        phone = await door.device()
        await phone.close()


@on_both_loops
async def test_a_connection_that_cannot_be_watched(
    files: CertificateFiles,
) -> None:
    async with open_door(files) as door:
        poller = door.gateway.poller

        class Full:
            def add(self, *_: object) -> None:
                raise OSError(28, "no space left")

        # In the lobby, then when its handshake is to begin.
        for number, place in enumerate((door.gateway.lobby, door.gateway)):
            name = "_poller" if place is door.gateway.lobby else "poller"
            setattr(place, name, Full())
            plain = await door.plain(FIRST_BYTE)
            assert await plain.ended() == b""
            await plain.close()
            assert door.metrics.connections_failed == number + 1
            assert not door.gateway.links
            setattr(place, name, poller)
        phone = await door.device()
        await phone.close()

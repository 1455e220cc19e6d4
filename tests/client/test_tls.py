"""Real TLS on loopback: who is trusted, and what is not our server."""

import asyncio
import datetime as dt
import hashlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mobilesync.client import Client, ClientOptions, Waiting
from mobilesync.client.errors import CertificateRefused, InvalidOption, LinkLost
from mobilesync.client.tls import check_fingerprint, connect_tls, context_for
from mobilesync.protocol import messages as m
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.limits import ALPN
from mobilesync.protocol.transitions import Role
from tests.client.scripted import Seen, States, push, welcome_for


class Certificate:
    """A self-signed certificate for localhost, as the server makes for development."""

    def __init__(self, folder: Path, host: str = "localhost") -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = dt.datetime.now(dt.UTC)
        names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.path = folder / "cert.pem"
        self._key_path = folder / "key.pem"
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        der = certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint = hashlib.sha256(der).hexdigest()

    def context(self, alpn: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self._key_path)
        if alpn:
            context.set_alpn_protocols([alpn])
        return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("tls"))


class Server:
    """Speaks the protocol as far as a test needs."""

    def __init__(self) -> None:
        self.port = 0
        self.heard: list[m.Message] = []
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(Role.SERVER)
        try:
            while data := await reader.read(65536):
                for message in connection.receive_data(data):
                    self.heard.append(message)
                    if isinstance(message, m.Hello):
                        writer.write(connection.send(welcome_for(message.user)))
                        for n in range(100):
                            writer.write(connection.send(push(n, n + 1)))
        except OSError:
            pass
        self.ended.set()
        writer.close()


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


def client_at(port: int, host: str = "localhost", **trust: Any) -> Client:
    options = ClientOptions(reconnect_s=0.001, reconnect_max_s=0.01, ack_delay_s=0.001)
    return Client(
        host,
        port,
        app="demo",
        device="d1",
        store=":memory:",
        token="t1",
        user="alice",
        options=options,
        **trust,
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("way", ["ca_file", "fingerprint", "tls"])
async def test_oplogs_arrive_and_the_last_word_too(
    certificate: Certificate, host: str, way: str
) -> None:
    colons = ":".join(certificate.fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()
    trust = {
        "ca_file": certificate.path,
        "fingerprint": colons,
        "tls": ssl.create_default_context(cafile=certificate.path),
    }[way]
    seen = Seen()
    async with listening(certificate.context(ALPN)) as server:
        async with client_at(server.port, host, **{way: trust}) as client:
            client.on("CHAT")(seen)
            assert await seen.until(100) == list(range(1, 101))
        await asyncio.wait_for(server.ended.wait(), 5)
        assert isinstance(server.heard[-1], m.Close)
        acked = [each for each in server.heard if isinstance(each, m.Ack)][-1].acked
        assert acked == [m.Acked("CHAT", "user:alice", 100, 100)]


async def test_verification_is_on_by_default(certificate: Certificate) -> None:
    async with listening(certificate.context(ALPN)) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect_tls("localhost", server.port, context_for(None, None, None), None)
        states = States()
        async with client_at(server.port) as client:
            client.on_state(states)
            assert "certificate" in (await states.until(Waiting)).why
        assert server.heard == []


async def test_another_name_is_refused(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "elsewhere.example")
    async with listening(certificate.context(ALPN)) as server:
        context = context_for(None, certificate.path, None)
        with pytest.raises(ssl.SSLCertVerificationError, match="localhost"):
            await connect_tls("localhost", server.port, context, None)


async def test_another_certificate_than_the_pinned_one_is_refused(
    certificate: Certificate,
) -> None:
    async with listening(certificate.context(ALPN)) as server:
        pin = "0" * 64
        with pytest.raises(CertificateRefused) as refused:
            await connect_tls("localhost", server.port, context_for(None, None, pin), pin)
        assert refused.value.hint
        states = States()
        async with client_at(server.port, fingerprint=pin) as client:
            client.on_state(states)
            assert "pinned" in (await states.until(Waiting)).why
        # Not one byte was said to whoever it was.
        assert server.heard == []


@pytest.mark.parametrize("alpn", ["", "h2"])
async def test_who_does_not_speak_our_protocol_is_left(certificate: Certificate, alpn: str) -> None:
    async with listening(certificate.context(alpn)) as server:
        context = context_for(None, certificate.path, None)
        with pytest.raises((LinkLost, OSError)):
            await connect_tls("localhost", server.port, context, None)
        assert server.heard == []


async def test_what_is_no_tls_is_left() -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(http, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    with pytest.raises(OSError, match=r"(?i)ssl|wrong version|record"):
        await connect_tls("127.0.0.1", port, context_for(None, None, "0" * 64), "0" * 64)
    listener.close()


def test_old_tls_is_off() -> None:
    assert context_for(None, None, None).minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("wrong", ["", "abc", "g" * 64, "0" * 65])
def test_what_is_no_fingerprint_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        check_fingerprint(wrong)
    assert "64 hex" in refused.value.hint


def test_fingerprints_come_in_several_spellings() -> None:
    for text in ("AB" * 32, ":".join(["ab"] * 32), "SHA256:" + "ab" * 32):
        assert check_fingerprint(text) == "ab" * 32


def test_only_one_way_to_trust(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="only one"):
        context_for(ssl.create_default_context(), None, "0" * 64)
    (tmp_path / "bad.pem").write_text("this is no certificate")
    for path in (tmp_path / "none.pem", tmp_path / "bad.pem"):
        with pytest.raises(InvalidOption, match="CA file"):
            context_for(None, path, None)

"""Certificates: made for development, and every mistake with files told at start."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mobilesync.domain.errors import InvalidRequest
from mobilesync.protocol.limits import ALPN
from mobilesync.transports.certificates import (
    LIFETIME,
    RENEWED_BEFORE,
    CertificateFiles,
    development_certificate,
    fingerprint,
    reload,
    server_tls_context,
)

NOW_MS = int(datetime.now(UTC).timestamp() * 1000)


def _later(span: timedelta) -> int:
    return NOW_MS + int(span.total_seconds() * 1000)


def _files(tmp_path: Path) -> CertificateFiles:
    return development_certificate(tmp_path, NOW_MS)


def _refusal(files: CertificateFiles, now_ms: int = NOW_MS) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        server_tls_context(files, now_ms)
    assert caught.value.hint
    return caught.value


async def _handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost"
) -> ssl.SSLObject:
    """The client's side of a finished handshake over the loopback interface."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
    port = listener.sockets[0].getsockname()[1]
    try:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client, server_hostname=host
        )
        link: ssl.SSLObject = writer.get_extra_info("ssl_object")
        writer.close()
        await writer.wait_closed()
        return link
    finally:
        listener.close()
        await listener.wait_closed()


def _client(files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files.certificate))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols([ALPN])
    return context


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
async def test_a_client_that_trusts_the_certificate_connects(tmp_path: Path, host: str) -> None:
    files = _files(tmp_path)
    link = await _handshake(server_tls_context(files, NOW_MS), _client(files), host)
    assert link.version() == "TLSv1.3"
    assert link.selected_alpn_protocol() == ALPN
    assert link.compression() is None


async def test_tls_1_2_works_with_forward_secrecy(tmp_path: Path) -> None:
    files = _files(tmp_path)
    client = _client(files)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    link = await _handshake(server_tls_context(files, NOW_MS), client)
    cipher = link.cipher()
    assert link.version() == "TLSv1.2"
    assert cipher is not None
    assert cipher[0].startswith("ECDHE-")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_tls_1_1_is_refused(tmp_path: Path) -> None:
    files = _files(tmp_path)
    client = _client(files)
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await _handshake(server_tls_context(files, NOW_MS), client)


async def test_another_name_is_not_covered(tmp_path: Path) -> None:
    files = _files(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        await _handshake(server_tls_context(files, NOW_MS), _client(files), "elsewhere.example")


def test_the_certificate_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    first = fingerprint(_files(tmp_path / "data").certificate)
    files = _files(tmp_path / "data")
    assert fingerprint(files.certificate) == first
    assert len(first) == 64
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        files.certificate.name,
        files.key.name,
    ]


def test_the_certificate_is_renewed_in_time(tmp_path: Path) -> None:
    first = fingerprint(_files(tmp_path).certificate)
    kept = development_certificate(tmp_path, _later(LIFETIME - RENEWED_BEFORE) - 60_000)
    assert fingerprint(kept.certificate) == first
    renewed = development_certificate(tmp_path, _later(LIFETIME - RENEWED_BEFORE))
    assert fingerprint(renewed.certificate) != first


@pytest.mark.parametrize("damage", ["certificate", "key", "missing", "mixed"])
def test_a_damaged_development_certificate_is_made_anew(tmp_path: Path, damage: str) -> None:
    files = _files(tmp_path)
    if damage == "certificate":
        files.certificate.write_bytes(b"half")
    elif damage == "key":
        files.key.write_bytes(b"")
    elif damage == "missing":
        files.key.unlink()
    else:
        files.key.write_bytes(_files(tmp_path / "other").key.read_bytes())
    server_tls_context(_files(tmp_path), NOW_MS)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidRequest, match="cannot keep") as caught:
        development_certificate(tmp_path / "file", NOW_MS)
    assert "folder" in caught.value.hint


def test_files_that_are_not_there(tmp_path: Path) -> None:
    files = _files(tmp_path)
    missing = tmp_path / "missing.pem"
    error = _refusal(CertificateFiles(missing, files.key))
    assert (error.field, "missing.pem" in error.message) == ("tls_certificate", True)
    assert _refusal(CertificateFiles(files.certificate, missing)).field == "tls_key"
    assert "cannot read" in _refusal(CertificateFiles(tmp_path, files.key)).message


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    files = _files(tmp_path)
    error = _refusal(CertificateFiles(files.key, files.key))
    assert "holds no certificate" in error.message
    assert (
        "holds no private key"
        in _refusal(CertificateFiles(files.certificate, files.certificate)).message
    )


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    other = _files(tmp_path / "other")
    error = _refusal(CertificateFiles(_files(tmp_path).certificate, other.key))
    assert "is not the key of" in error.message


def test_an_encrypted_key(tmp_path: Path) -> None:
    files = _files(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    assert "is encrypted" in _refusal(files).message


def test_a_certificate_out_of_its_time(tmp_path: Path) -> None:
    files = _files(tmp_path)
    assert "expired on" in _refusal(files, _later(LIFETIME + timedelta(hours=1))).message
    assert "begins on" in _refusal(files, _later(timedelta(hours=-2))).message


def test_a_chain_with_a_broken_part(tmp_path: Path) -> None:
    files = _files(tmp_path)
    chain = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    files.certificate.write_bytes(files.certificate.read_bytes() + chain)
    assert "TLS refuses" in _refusal(files).message


async def test_reload_serves_the_new_certificate_or_keeps_the_old(tmp_path: Path) -> None:
    files = _files(tmp_path)
    first = files.certificate.read_bytes()
    context = server_tls_context(files, NOW_MS)
    other = _files(tmp_path / "other")

    files.key.write_bytes(other.key.read_bytes())
    with pytest.raises(InvalidRequest):
        reload(context, files, NOW_MS)
    assert await _served(context, first) == x509.load_pem_x509_certificate(first)

    files.certificate.write_bytes(other.certificate.read_bytes())
    reload(context, files, NOW_MS)
    second = other.certificate.read_bytes()
    assert await _served(context, second) == x509.load_pem_x509_certificate(second)


async def _served(server: ssl.SSLContext, trusted: bytes) -> x509.Certificate:
    client = ssl.create_default_context(cadata=trusted.decode())
    der = (await _handshake(server, client)).getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def test_a_fingerprint_needs_a_certificate(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot read"):
        fingerprint(tmp_path / "none.pem")

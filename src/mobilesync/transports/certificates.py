"""The server's certificate: checked before it is used, or made for development.

Strategy: every mistake with certificate files has its own sentence at start, instead of a
handshake that fails later at every device. For development a self-signed certificate for this
machine is made once and kept beside the data, so that tools on the same machine can trust exactly
it. The key is readable by its owner only.

Not here: the listening socket (tls.py); which files to use (settings).

Invariants:
- a context never speaks below TLS 1.2, nor compresses (CRIME), nor renegotiates;
- reloading changes nothing when the new files are not good.
"""

import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from mobilesync.domain.errors import InvalidRequest
from mobilesync.protocol.limits import ALPN

CERTIFICATE_NAME = "development-certificate.pem"
KEY_NAME = "development-key.pem"
LIFETIME = timedelta(days=365)
RENEWED_BEFORE = timedelta(days=7)
_FILE_BYTES_MAX = 1024 * 1024
BEGUN_BEFORE = timedelta(hours=1)
"""A new certificate begins a little in the past, for devices whose clocks are slow."""
_TLS_1_2_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Forward secrecy and authenticated encryption only; TLS 1.3 has nothing else anyway."""


class CertificateFiles(Struct, frozen=True):
    """Where a certificate (with its chain) and its key are, in PEM."""

    certificate: Path
    key: Path


def fingerprint(certificate: Path) -> str:
    """SHA-256 of the first certificate in the file, in hex. Raises InvalidRequest."""
    return _load_certificate(certificate).fingerprint(hashes.SHA256()).hex()


def development_certificate(folder: Path, now_ms: int) -> CertificateFiles:
    """The self-signed certificate in `folder`, made or made anew if it is missing, damaged, or
    ends within a week. For localhost, 127.0.0.1 and ::1. Raises InvalidRequest when `folder`
    cannot be written.
    """
    files = CertificateFiles(folder / CERTIFICATE_NAME, folder / KEY_NAME)
    now = _time(now_ms)
    try:
        certificate = _check_pair(files, now)
        if certificate.not_valid_after_utc - now > RENEWED_BEFORE:
            return files
    except InvalidRequest:
        pass  # missing, damaged, expired, or cut off between its two files: all the same cure
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(files.key, pem, 0o600)
        _write(files.certificate, _self_signed(key, now).public_bytes(Encoding.PEM), 0o644)
    except OSError as error:
        hint = f"is {folder} a folder that this user may write?"
        message = f"cannot keep a development certificate: {error.strerror}"
        raise InvalidRequest(message, field="data", hint=hint) from None
    return files


def server_tls_context(
    files: CertificateFiles, now_ms: int, *, alpn: Sequence[str] = (ALPN,)
) -> ssl.SSLContext:
    """A context for a server with this certificate. Raises InvalidRequest, see `reload`.

    A client that offers no protocol of `alpn` still completes the handshake, with none selected:
    the transport must look and close.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_TLS_1_2_CIPHERS)
    context.set_alpn_protocols(list(alpn))
    # One ticket is enough for a device that has one connection; OpenSSL's default sends two.
    context.num_tickets = 1
    reload(context, files, now_ms)
    return context


def reload(context: ssl.SSLContext, files: CertificateFiles, now_ms: int) -> None:
    """Let new handshakes use what the files hold now; open connections are not touched.

    Raises InvalidRequest, and changes nothing, when a file cannot be read, is not PEM, the key is
    encrypted or another certificate's, or the certificate is not valid now.
    """
    _check_pair(files, _time(now_ms))
    try:
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        hint = "is every certificate of the chain in the file whole?"
        message = f"{files.certificate}: TLS refuses it: {error}"
        raise InvalidRequest(message, field="tls_certificate", hint=hint) from None


def _check_pair(files: CertificateFiles, now: datetime) -> x509.Certificate:
    certificate = _load_certificate(files.certificate)
    key = _load_key(files.key)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificate.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        hint = "the file must begin with the server's own certificate, its chain after it"
        message = f"{files.key} is not the key of {files.certificate}"
        raise InvalidRequest(message, field="tls_key", hint=hint)
    if now > certificate.not_valid_after_utc:
        message = f"{files.certificate} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        raise InvalidRequest(message, field="tls_certificate", hint="renew it")
    if now < certificate.not_valid_before_utc:
        message = f"{files.certificate} begins on {certificate.not_valid_before_utc:%Y-%m-%d}"
        raise InvalidRequest(
            message, field="tls_certificate", hint="is this machine's clock right?"
        )
    return certificate


def _load_certificate(path: Path) -> x509.Certificate:
    data = _read(path, "tls_certificate")
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError:
        hint = "a PEM file that begins with -----BEGIN CERTIFICATE-----"
        message = f"{path} holds no certificate"
        raise InvalidRequest(message, field="tls_certificate", hint=hint) from None


def _load_key(path: Path) -> PrivateKeyTypes:
    data = _read(path, "tls_key")
    try:
        return load_pem_private_key(data, password=None)
    except TypeError:
        hint = "decrypt it: openssl pkey -in key.pem -out plain.pem, readable by the server only"
        raise InvalidRequest(f"{path} is encrypted", field="tls_key", hint=hint) from None
    except ValueError:
        hint = "a PEM file that begins with -----BEGIN PRIVATE KEY-----"
        raise InvalidRequest(f"{path} holds no private key", field="tls_key", hint=hint) from None


def _read(path: Path, field: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except OSError as error:
        hint = "does it exist, and may this user read it?"
        message = f"cannot read {path}: {error.strerror}"
        raise InvalidRequest(message, field=field, hint=hint) from None


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace `path` whole, so that no reader sees a half of it."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mobilesync development")])
    names = [x509.DNSName("localhost")]
    addresses = [x509.IPAddress(ip_address(text)) for text in ("127.0.0.1", "::1")]
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEGUN_BEFORE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )


def _time(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)

"""The way to a real server: TLS on TCP (spec §2).

Verification is on unless a pinned fingerprint takes its place. The server must agree on our ALPN:
what does not is some other service, or a captive portal.
"""

import asyncio
import hashlib
import hmac
import re
import ssl
from pathlib import Path
from typing import Any

from mobilesync.client.errors import CertificateRefused, InvalidOption, LinkLost
from mobilesync.protocol.limits import ALPN

READ_BYTES_MAX = 64 * 1024
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")


class TlsStream:
    """A `Stream` over asyncio's streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """Some bytes; b"" at the end. Raises OSError."""
        return await self._reader.read(READ_BYTES_MAX)

    def write(self, data: bytes) -> None:
        """Send in time. Never blocks."""
        if not self._writer.is_closing():
            self._writer.write(data)

    async def drain(self) -> None:
        """Return once the write buffer is low. Raises OSError."""
        await self._writer.drain()

    def close(self) -> None:
        """End it after what was written."""
        self._writer.close()

    async def wait_closed(self) -> None:
        """Return once everything has left. May raise OSError."""
        await self._writer.wait_closed()

    def abort(self) -> None:
        """End it now."""
        self._writer.transport.abort()


def check_fingerprint(text: str) -> str:
    """A SHA-256 in lower hex without colons. Raises InvalidOption."""
    plain = text.replace(":", "").lower().removeprefix("sha256").strip()
    if not _HEX_SHA256.fullmatch(plain):
        hint = "64 hex digits, with or without colons, as the server prints it"
        raise InvalidOption("not a SHA-256 fingerprint", hint=hint)
    return plain


def context_for(
    tls: ssl.SSLContext | None, ca_file: str | Path | None, fingerprint: str | None
) -> ssl.SSLContext:
    """The TLS context of these options, at most one of which is given. Raises InvalidOption."""
    if sum(each is not None for each in (tls, ca_file, fingerprint)) > 1:
        hint = "a context decides by itself, a CA file adds trust, a fingerprint pins"
        raise InvalidOption("give only one of tls, ca_file and fingerprint", hint=hint)
    if tls is not None:
        context = tls
    else:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InvalidOption(f"the CA file cannot be used: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    if fingerprint is not None:
        # The pin takes the place of names and chains: connect_tls compares it.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN])
    return context


async def connect_tls(
    host: str, port: int, context: ssl.SSLContext, fingerprint: str | None
) -> TlsStream:
    """Connect and shake hands. Raises OSError, LinkLost."""
    # Racing IPv4 and IPv6 is asyncio's own: uvloop tries the addresses one after the other.
    racing = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
    options: dict[str, Any] = {"happy_eyeballs_delay": 0.25} if racing else {}
    reader, writer = await asyncio.open_connection(
        host, port, ssl=context, server_hostname=host, **options
    )
    stream = TlsStream(reader, writer)
    secured = writer.get_extra_info("ssl_object")
    try:
        if fingerprint is not None:
            shown = hashlib.sha256(secured.getpeercert(binary_form=True)).hexdigest()
            if not hmac.compare_digest(shown, fingerprint):
                hint = "the server has a new certificate, or this is another server"
                raise CertificateRefused("the certificate is not the pinned one", hint=hint)
        if secured.selected_alpn_protocol() != ALPN:
            hint = "check host and port; a network with a log-in page also looks like this"
            raise LinkLost(f"whoever answers does not speak {ALPN}", hint=hint)
    except LinkLost:
        stream.abort()
        raise
    return stream

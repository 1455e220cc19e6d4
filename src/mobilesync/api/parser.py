"""Bytes of a connection into requests: llhttp's callbacks, and what it leaves to its user.

Strategy: llhttp parses, in C and strictly: what could be understood in two ways is an error, since
a proxy before the server might see other requests than the server does (smuggling). Here its
callbacks make a request of each head, and feed it the body. Headers are collected by a dict's own
method, which costs nothing in Python.

llhttp takes what follows a wish for an upgrade for another protocol, even a body. Nothing here is
upgraded to, so it is given the head again, without the wish.

Not here: when what is parsed is answered (connections.py), bounds of bodies (bodies.py).

Invariants:
- a request is in the queue from the end of its head on; `arriving` until its body is complete;
- what follows a request that is the last of its connection is not looked at;
- none of llhttp's leniencies is used.
"""

from collections import deque

import httptools

from mobilesync.api.incoming import Incoming

_VERSIONS = frozenset({"1.0", "1.1"})
_NO_PARSER = httptools.HttpRequestParser(object())
"""In place of one that is no longer needed: it and its user would be a cycle."""


class NotHttp(Exception):
    """What was sent is no HTTP/1.1, or could be understood in two ways."""


class RequestParser:
    """Parses what one connection sends, and appends requests to its queue."""

    def __init__(self, queue: deque[Incoming]) -> None:
        self.peer = ""
        """The address of whoever sends; may be empty."""
        self.arriving: Incoming | None = None
        """The request whose body is not complete."""
        self.ended = False
        """Whether the last request is complete."""
        self.quiet_bytes = 0
        """Fed since a request or a part of a body came out: the size of a head, of trailers, or of
        what stands beside the sizes of chunks."""
        self._queue = queue
        self._target = b""
        self._fields: dict[bytes, bytes] = {}
        # The parser takes its callbacks once, so this one must exist before it.
        self.on_header = self._fields.__setitem__
        self._parser = httptools.HttpRequestParser(self)

    @property
    def begun(self) -> bool:
        """Whether part of a head has come."""
        return self.arriving is None and (self.quiet_bytes > 0 or bool(self._target))

    def feed(self, data: bytes | memoryview) -> None:
        """Raises NotHttp; then nothing more may be fed."""
        self.quiet_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self.ended:
                self._feed_without_upgrade(bytes(data[upgrade.args[0] :]))
        except httptools.HttpParserError:
            if not self.ended:
                raise NotHttp from None

    def close(self) -> None:
        """Nothing more will be fed."""
        self._parser = _NO_PARSER

    def _feed_without_upgrade(self, rest: bytes) -> None:
        """A server may ignore the wish (RFC 9110 §7.8)."""
        version = self._parser.get_http_version().encode()
        lines = [self._parser.get_method() + b" " + self._target + b" HTTP/" + version]
        for name, value in self._fields.items():
            if name.lower() != b"upgrade":
                lines.append(name + b": " + value)
        self._target = b""
        self._fields.clear()
        self._parser = httptools.HttpRequestParser(self)
        self.feed(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    # What llhttp calls.

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_headers_complete(self) -> None:
        parser = self._parser
        method = parser.get_method().decode()
        upgrades = parser.should_upgrade()
        if upgrades and method != "CONNECT":
            return  # `_feed_without_upgrade` comes next
        fields = self._fields
        headers = {name.lower(): value for name, value in fields.items()}
        fields.clear()
        incoming = Incoming(method, self._target, headers, self.peer)
        last = upgrades or not parser.should_keep_alive()
        if last or b"connection" in headers:
            version = parser.get_http_version()
            if version not in _VERSIONS:
                # llhttp reads some more. It makes an error of its own of this one.
                raise NotHttp(version)
            if version == "1.0":
                last = True
                headers.pop(b"expect", None)  # RFC 9110 §10.1.1
        incoming.last = last
        self._target = b""
        self.quiet_bytes = 0
        self.arriving = incoming
        self._queue.append(incoming)

    def on_body(self, part: bytes) -> None:
        assert self.arriving is not None
        self.quiet_bytes = 0
        self.arriving.feed(part)

    def on_message_complete(self) -> None:
        incoming = self.arriving
        if incoming is None:
            return  # the head of an upgrade
        self.arriving = None
        self.quiet_bytes = 0
        self._fields.clear()  # of trailers, which mean nothing here
        self.ended = incoming.last
        incoming.end()

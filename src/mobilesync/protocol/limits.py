"""Every bound of the native protocol, in one place (spec §3.4).

A bound is part of the protocol: both sides may rely on the other never to exceed it, and must
close the connection when it does. Bounds that an operator may turn are settings, not these.
"""

ALPN = "mobilesync/1"
"""The application protocol that both sides must agree on in the TLS handshake (spec §2.2)."""

VERSION_MIN = 1
"""The lowest protocol version that this code speaks (spec §4.1)."""
VERSION_MAX = 1
"""The highest one."""

ID_MAX = 2**53 - 1
"""Oplog ids, epochs and times fit an IEEE 754 double, so that JavaScript can hold them."""

FRAME_HEADER_BYTES = 4
"""The length before each body."""
SERVER_FRAME_BYTES_MAX = 256 * 1024
"""The largest frame body a client may send: a Hello with POINTS_MAX sync points fits."""
CLIENT_FRAME_BYTES_MAX = 4 * 1024 * 1024
"""The largest frame body a server may send: the largest payload and one chunk of others fit."""

POINTS_MAX = 1024
"""Sync points in one Hello or Bind, and entries in one Ack."""
BIZZES_MAX = POINTS_MAX // 3
"""Bizzes in one app: a device has up to three channels of each, and Hello must hold them all."""
OPLOGS_MAX = 10_000
"""Oplogs in one Push."""

TOKEN_CHARS_MAX = 8 * 1024
"""A token."""
BIZ_CHARS_MAX = 64
"""A biz."""
OWNER_CHARS_MAX = 128
"""A user id or a device id: so many bytes of UTF-8, hence no more characters (spec §1.2)."""
TARGET_CHARS_MAX = OWNER_CHARS_MAX + len("device:")
"""A target: the longest prefix and an id."""
ATTRIBUTE_CHARS_MAX = 64
"""Operating system, app version, SDK name, and the names of custom attributes."""
ATTRIBUTE_VALUE_CHARS_MAX = 256
"""The value of a custom attribute."""
ATTRIBUTES_MAX = 32
"""Custom attributes in one Hello."""
MESSAGE_ID_CHARS_MAX = 128
"""A message id: so many bytes of UTF-8, hence no more characters."""
KEY_CHARS_MAX = 128
"""A coalescing key: so many bytes of UTF-8, hence no more characters."""
FEATURES_MAX = 16
"""Features in one Hello."""
RANGES_MAX = 1_000
"""Ranges of ids in one withdrawal."""
REASON_CHARS_MAX = 256
"""The sentence in a Close."""
PAYLOAD_BYTES_MAX = 1024 * 1024
"""The protocol's own bound; a server's setting is lower (64 KiB unless changed)."""
BEAT_S_MAX = 3600
"""Any heartbeat interval."""
RETRY_MS_MAX = 24 * 3600 * 1000
"""Each part of the advice in a Close: a day."""

assert PAYLOAD_BYTES_MAX * 2 < CLIENT_FRAME_BYTES_MAX, "one payload and its frame must fit"
_POINT_BYTES_MAX = BIZ_CHARS_MAX + TARGET_CHARS_MAX + 32
assert POINTS_MAX * _POINT_BYTES_MAX + TOKEN_CHARS_MAX + 12 * 1024 <= SERVER_FRAME_BYTES_MAX
assert 3 * BIZZES_MAX <= POINTS_MAX

"""The knobs of the HTTP API and its listener, with the relations that must hold between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class MssOptions:
    """How callers written for MSS are understood (docs/mss-compatibility.md)."""

    instances: Mapping[str, str] = field(default_factory=dict)
    """instanceId → app, for apps that are not named like their instanceId in lower case."""
    device_bizzes: frozenset[str] = frozenset()
    """`<app>/<biz>` of those whose linkToken is a device id; it is a user id for all others."""
    payload_chars_max: int = 4096
    """As MSS has it, counted in characters; the server's own limit in bytes holds too."""

    def __post_init__(self) -> None:
        assert self.payload_chars_max > 0


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """Bounds of the API, and what it shows to whom."""

    body_bytes_max: int = 16 * MIB
    """One body: the largest batch, as base64 and with its JSON around it, fits."""
    bodies_bytes_max: int = 128 * MIB
    """All bodies that are being read or worked on."""
    body_timeout_s: float = 30.0
    requests_max: int = 2_000
    """Requests under way; more are refused as OVERLOADED. Probes are always answered."""
    metrics_public: bool = False
    """Whether /metrics answers without an API key."""
    access_log: bool = True
    mss: MssOptions = field(default_factory=MssOptions)

    def __post_init__(self) -> None:
        assert 0 < self.body_bytes_max <= self.bodies_bytes_max
        assert self.body_timeout_s > 0
        assert self.requests_max > 0


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Bounds of the listener. What exceeds them is closed or refused."""

    connections_max: int = 2_000
    head_bytes_max: int = 32 * 1024
    """The request line and the headers."""
    head_timeout_s: float = 10.0
    """From the connection, or the first byte of a request, to the end of its headers."""
    keep_alive_s: float = 75.0
    """How long a connection may rest between requests, or not take what is sent."""
    backlog: int = 1024

    def __post_init__(self) -> None:
        assert self.connections_max > 0
        assert self.head_bytes_max > 0
        assert self.head_timeout_s > 0
        assert self.keep_alive_s > 0
        assert self.backlog > 0

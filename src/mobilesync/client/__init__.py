"""The SDK for apps: keeps a device in sync. Start at `Client`; the guide is
docs/guides/python-sdk.md.

An oplog's way through it: `session` takes the Push, `local_store` saves it with its sync point in
one transaction, `dispatcher` calls the handler, `acks` tells the server. It needs the protocol and
nothing else of ours.
"""

from mobilesync.client.client import Client
from mobilesync.client.clock import Clock, SystemClock
from mobilesync.client.connector import Connect
from mobilesync.client.credentials import TokenSource
from mobilesync.client.errors import (
    CertificateRefused,
    ClientError,
    ClientStopped,
    HandlerExists,
    InvalidOption,
    LinkLost,
    NotConnected,
    StoreDamaged,
    StoreRefused,
    StoreUnavailable,
    Superseded,
    TokenFailed,
)
from mobilesync.client.events import (
    ChannelReset,
    ClientEvent,
    ClientStats,
    Connected,
    Connecting,
    ListenerFailed,
    Parked,
    ParkedOplog,
    Paused,
    ReceivedNotice,
    ReceivedOplog,
    Stopped,
    Waiting,
    WithdrawnOplogs,
)
from mobilesync.client.local_store import LocalStore
from mobilesync.client.options import ClientOptions
from mobilesync.client.stream import Stream
from mobilesync.client.transaction import Transaction

__all__ = [
    "CertificateRefused",
    "ChannelReset",
    "Client",
    "ClientError",
    "ClientEvent",
    "ClientOptions",
    "ClientStats",
    "ClientStopped",
    "Clock",
    "Connect",
    "Connected",
    "Connecting",
    "HandlerExists",
    "InvalidOption",
    "LinkLost",
    "ListenerFailed",
    "LocalStore",
    "NotConnected",
    "Parked",
    "ParkedOplog",
    "Paused",
    "ReceivedNotice",
    "ReceivedOplog",
    "Stopped",
    "StoreDamaged",
    "StoreRefused",
    "StoreUnavailable",
    "Stream",
    "Superseded",
    "SystemClock",
    "TokenFailed",
    "TokenSource",
    "Transaction",
    "Waiting",
    "WithdrawnOplogs",
]

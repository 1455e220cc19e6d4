"""What the server answers, as values.

A time is in milliseconds since 1970 UTC, and 0 for what has not happened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Published:
    """One oplog that the server holds durably."""

    id: int
    """The oplog id in its channel; 0 for a biz that is not persistent, and while scheduled."""
    message_id: str
    duplicate: bool
    """The message id was there before, under this id: a success too."""
    scheduled: bool = False
    """It is kept, and appended when it is due."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A device that a publish would reach."""

    device: str
    user: str
    online: bool


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a publish would do. `devices` is `matching` and all of `refused` together."""

    code: str
    """What it would answer: OK, SCHEDULED or DUPLICATED_BIZ_ID."""
    id: int
    """Of the oplog that has its message id already; else 0."""
    due_ms: int
    expires_at_ms: int
    devices: int
    """Known devices that its target means."""
    matching: int
    """Those that would get it: now, or when they connect."""
    online: int
    offline: int
    refused: Mapping[str, int]
    """Those that would not get it, by reason."""
    withheld: Mapping[str, int]
    """Connected ones that would wait, by what withholds it."""
    samples: Sequence[Reached]
    complete: bool
    """False when there are more devices than were looked at."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """An oplog that no device gets any more."""

    id: int
    by_id: int
    """The oplog that withdraws it, in the same channel."""
    duplicate: bool
    """It had been recalled before."""


@dataclass(frozen=True, slots=True)
class Offered:
    """An oplog that was appended anew, for one device."""

    biz: str
    target: str
    id: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay, which is carried out at the device's next login."""

    floor: int
    """Where the device goes on."""
    received_before: int
    online: bool
    """It was connected, and logs in again at once."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happened to an oplog on a device, or why not yet."""

    biz: str
    target: str
    id: int
    """0 for one that has none: scheduled, or not kept."""
    device: str
    reason: str
    """Such as PROCESSED or VERSION; docs/reference/rules.md lists them."""
    sentence: str
    sent_at_ms: int
    received_at_ms: int
    processed_at_ms: int
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the sentence is about: versions, ids, times."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What happened to an oplog on one of the devices that it is for."""

    device: str
    user: str
    """Who is logged in there, or was last."""
    online: bool
    reason: str
    sentence: str
    sent_at_ms: int
    received_at_ms: int
    processed_at_ms: int


@dataclass(frozen=True, slots=True)
class Receipts:
    """A part of an oplog's receipts, by device id."""

    biz: str
    target: str
    id: int
    receipts: Sequence[Receipt]
    after: str
    """Ask on with it; empty at the end."""

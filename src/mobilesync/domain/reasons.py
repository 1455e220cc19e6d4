"""Why an oplog is not on a device: every answer that `explain` can give, and its sentence.

The numbers stand in the journal of deliveries: they are never reused. What decides is in rules.py
(oplogs and channels) and engine/explain.py (devices and connections).
"""

from enum import IntEnum


class Reason(IntEnum):
    """One reason. 1-39: the device was, or will be, moved over the oplog. 40-59: the oplog waits
    for something in its channel. 60-99: where the device and the oplog stand."""

    OS = 1
    VERSION = 2
    ATTRIBUTES = 3
    AUDIENCE = 4
    ROLLOUT = 5
    OTHER_DEVICE = 6
    EXPIRED = 7
    SUPERSEDED = 8
    OVER_THRESHOLD = 9
    RECALLED = 10
    CONSUMED = 11
    ELSEWHERE = 12
    OFFERED = 13
    NOT_ASKED = 14

    CONFIG_OFFLINE = 40
    USER_CHECK = 41
    NO_USER = 42
    NOT_NEWEST = 43

    NO_SUCH_OPLOG = 60
    SCHEDULED = 61
    TRIMMED = 62
    NEVER_CONNECTED = 63
    WRONG_USER = 64
    WRONG_DEVICE = 65
    OFFLINE = 66
    QUEUED = 67
    SENT = 68
    NO_HANDLER = 69
    HANDLER_FAILED = 70
    PROCESSING = 71
    PROCESSED = 72
    NOT_KEPT = 73


SENTENCES: dict[Reason, str] = {
    Reason.OS: "the device's operating system is not among those of the oplog",
    Reason.VERSION: "the device's app version is outside the oplog's range",
    Reason.ATTRIBUTES: "a custom attribute of the device has none of the values asked for",
    Reason.AUDIENCE: "the user on the device is not in the oplog's audience",
    Reason.ROLLOUT: "the device is not in the share of devices that the oplog is rolled out to",
    Reason.OTHER_DEVICE: "the oplog was offered again to another device of the user",
    Reason.EXPIRED: "the oplog's validity ended before the device could get it",
    Reason.SUPERSEDED: "a newer oplog with the same key replaced it",
    Reason.OVER_THRESHOLD: "the backlog was longer than the biz's re-push threshold",
    Reason.RECALLED: "the oplog was recalled",
    Reason.CONSUMED: "another device of the user has processed it",
    Reason.ELSEWHERE: "another device of the user has got it: the biz is not multi-device",
    Reason.OFFERED: "the device gets, or got, the same oplog at its origin",
    Reason.NOT_ASKED: "it withdraws other oplogs, which concerns only SDKs that ask for it",
    Reason.CONFIG_OFFLINE: "the biz is offline: its backlog is withheld until it is online again",
    Reason.USER_CHECK: "the user check has not validated the device's session: withheld",
    Reason.NO_USER: "nobody is logged in on the device, and the biz is for users: withheld",
    Reason.NOT_NEWEST: "another device of the user connected later, and gets it",
    Reason.NO_SUCH_OPLOG: "the channel never had an oplog of this id",
    Reason.SCHEDULED: "it is scheduled, and not due yet",
    Reason.TRIMMED: "the oplog has ended and is forgotten, with its proof",
    Reason.NEVER_CONNECTED: "the device has never connected",
    Reason.WRONG_USER: "the oplog is for a user that is not logged in on the device",
    Reason.WRONG_DEVICE: "the oplog is for another device",
    Reason.OFFLINE: "the device is offline",
    Reason.QUEUED: "the device is connected, and will be sent it when it has taken what is before",
    Reason.SENT: "it was sent; the device has not said yet that it is saved",
    Reason.NO_HANDLER: "the device has saved it, but its app has no handler for the biz",
    Reason.HANDLER_FAILED: "the device has saved it, but its app's handler failed; it is retried",
    Reason.PROCESSING: "the device has saved it; its handler is not done yet",
    Reason.PROCESSED: "the device has saved it, and its handler is done",
    Reason.NOT_KEPT: "the biz is not persistent: it went to who was online then, and is not kept",
}
assert set(SENTENCES) == set(Reason), "every reason needs its sentence"

OFFERED_AGAIN = frozenset({Reason.OS, Reason.VERSION, Reason.ATTRIBUTES, Reason.AUDIENCE})
"""What a change of the device may undo: then the oplog is offered again (G5)."""

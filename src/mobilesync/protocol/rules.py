"""What the types of messages cannot say: relations between fields (spec §5.2).

Strategy: `check` is called with every message that was decoded, so nobody behind the codec meets
a sync point that has processed more than it received, or a Push that runs backwards.

Not here: bounds of one field (messages.py), who may say what when (transitions.py), and whether
a biz, a target or a token is good (the engine).
"""

from collections.abc import Callable, Sequence
from typing import cast

from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.messages import (
    Ack,
    Acked,
    Bind,
    Hello,
    IdRange,
    Message,
    Push,
    SyncPoint,
    Welcome,
)


def check(message: Message) -> None:
    """Raises ProtocolFault INVALID_FIELD if the fields of `message` contradict each other."""
    rule = _RULES.get(type(message))
    if rule is not None:
        rule(message)


def _check_points(message: Hello | Bind) -> None:
    points = message.points
    _check_processed(points)
    if len({(point.biz, point.target) for point in points}) != len(points):
        raise _fault("two sync points for one channel")


def _check_ack(message: Ack) -> None:
    _check_processed(message.acked)


def _check_processed(points: Sequence[SyncPoint] | Sequence[Acked]) -> None:
    for point in points:
        if point.processed > point.received:
            raise _fault("processed is above received")


def _check_welcome(message: Welcome) -> None:
    if not 1 <= message.beat_min_s <= message.beat_max_s:
        raise _fault("beat_min_s is 0 or above beat_max_s")
    if any(reset.epoch != message.epoch for reset in message.resets):
        raise _fault("a Reset to an epoch that is not the current one")
    if len({(reset.biz, reset.target) for reset in message.resets}) != len(message.resets):
        raise _fault("two Resets for one channel")


def _check_push(message: Push) -> None:
    last = message.after
    for oplog in message.oplogs:
        if oplog.id <= last:
            raise _fault("oplog ids do not ascend from after")
        last = oplog.id
        if oplog.withdraws is not None:
            _check_ranges(oplog.withdraws.ids)
    if last > message.upto:
        raise _fault("upto is below after or below an oplog id")


def _check_ranges(ranges: Sequence[IdRange]) -> None:
    last = 0
    for each in ranges:
        if not last < each.first <= each.last:
            raise _fault("withdrawn ids do not ascend")
        last = each.last


def _fault(detail: str) -> ProtocolFault:
    return ProtocolFault(CloseCode.INVALID_FIELD, detail)


_RULES = cast(
    "dict[type, Callable[[Message], None]]",
    {
        Hello: _check_points,
        Bind: _check_points,
        Ack: _check_ack,
        Welcome: _check_welcome,
        Push: _check_push,
    },
)

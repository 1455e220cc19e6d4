"""Fields that contradict each other are refused; what only looks odd is not."""

import pytest
from hypothesis import given

from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.limits import POINTS_MAX
from mobilesync.protocol.rules import check
from tests.protocol.strategies import messages


def point(biz: str = "B", target: str = "everyone", processed: int = 1) -> m.SyncPoint:
    return m.SyncPoint(biz, target, 7, 5, processed)


def hello(*points: m.SyncPoint) -> m.Hello:
    return m.Hello(1, 1, "t", "d", "", list(points))


def welcome(*resets: m.Reset, beats: tuple[int, int] = (60, 540)) -> m.Welcome:
    return m.Welcome(1, 7, "s", "", 0, *beats, list(resets))


def push(after: int, upto: int, *ids: int) -> m.Push:
    return m.Push("B", "everyone", after, upto, [m.PushedOplog(each, 1, b"") for each in ids])


def withdrawing(*ranges: tuple[int, int]) -> m.Push:
    withdrawal = m.Withdrawal([m.IdRange(*each) for each in ranges], 1)
    return m.Push("B", "everyone", 8, 9, [m.PushedOplog(9, 1, b"", withdraws=withdrawal)])


WRONG: dict[str, m.Message] = {
    "a point that processed more than it received": hello(point(processed=6)),
    "a channel twice in hello": hello(point(), point("C"), point()),
    "a channel twice in bind": m.Bind("t", "u", [point(), point()]),
    "a bind that processed more": m.Bind("t", "u", [point(processed=6)]),
    "an ack that processed more": m.Ack(
        [m.Acked("B", "everyone", 5, 5), m.Acked("C", "everyone", 5, 6)]
    ),
    "no beat at all": welcome(beats=(0, 540)),
    "beats upside down": welcome(beats=(60, 59)),
    "a reset to another epoch": welcome(m.Reset("B", "everyone", 6, 1, 1)),
    "two resets of a channel": welcome(*[m.Reset("B", "everyone", 7, 1, 1)] * 2),
    "upto below after": push(5, 4),
    "an id at after": push(5, 6, 5),
    "an id above upto": push(5, 6, 7),
    "ids that descend": push(5, 9, 8, 7),
    "an id twice": push(5, 9, 7, 7),
    "a withdrawn range upside down": withdrawing((4, 3)),
    "withdrawn ranges that descend": withdrawing((5, 6), (1, 2)),
    "withdrawn ranges that overlap": withdrawing((1, 3), (3, 4)),
    "a withdrawn range twice": withdrawing((3, 3), (3, 3)),
}
RIGHT: dict[str, m.Message] = {
    "one biz, two targets": hello(point(), point(target="device:d")),
    "one target, two bizzes": hello(point(), point("C")),
    "all received is processed": hello(point(processed=5)),
    "an ack that names a channel twice": m.Ack([m.Acked("B", "everyone", 5, 5)] * 2),
    "one beat only": welcome(beats=(60, 60)),
    "resets of two channels": welcome(
        m.Reset("B", "everyone", 7, 1, 1), m.Reset("C", "everyone", 7, 1, 200)
    ),
    "a push of nothing": push(5, 5),
    "a push over what is not for this device": push(5, 9),
    "a push with gaps": push(5, 9, 6, 8),
    "withdrawn ranges that touch": withdrawing((1, 1), (2, 4), (5, 8)),
    "a withdrawal of ids to come, which mean nothing": withdrawing((7, 20)),
    "as many points as there may be": hello(*(point(f"B{n}") for n in range(POINTS_MAX))),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_contradiction_is_refused(name: str) -> None:
    with pytest.raises(ProtocolFault) as caught:
        check(WRONG[name])
    assert caught.value.code is CloseCode.INVALID_FIELD


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_possible_passes(name: str) -> None:
    check(RIGHT[name])


@given(messages())
def test_every_other_message_passes(message: m.Message) -> None:
    check(message)

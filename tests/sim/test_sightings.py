"""What is seen of devices and wires survives the way to disk and back."""

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim import sightings

CHANNEL = Channel("shop", "CHAT", "user:ann")


def test_json_lines_and_back() -> None:
    seen: list[h.Fact] = [
        h.DeviceStarted(1, "shop/d1", "ios", "1.0", (("lang", "de"),)),
        h.SaidHello(2, 1, "shop/d1", points=((CHANNEL, 7, 3),), asks_withdrawals=True),
        h.SaidAck(3, 1, "shop/d1", CHANNEL, 4, 3),
        h.ToldWithdrawn(4, "shop/d1", CHANNEL, 7, ((1, 2), (4, 4)), 1),
        h.Welcomed(5, 1, "shop/d1", "ann", "s1"),
    ]
    assert list(h.from_lines(h.to_lines(seen))) == seen


def test_the_history_knows_them_all() -> None:
    kinds = {
        name
        for name, value in vars(sightings).items()
        if isinstance(value, type) and issubclass(value, h.Fact) and value is not h.Fact
    }
    assert kinds < set(h.__all__)
    assert len(kinds) > 20

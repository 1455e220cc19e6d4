"""An oplog on the wire is what the protocol says, whatever it carries."""

import msgspec

from mobilesync.domain.oplog import Details, Oplog, Origin, Withdrawal, WithdrawalReason
from mobilesync.engine.encoded import encoded, wire_of
from mobilesync.protocol import messages as m


def _read(wire: bytes) -> m.PushedOplog:
    return msgspec.msgpack.decode(wire, type=m.PushedOplog)


def test_a_plain_one_leaves_out_what_it_does_not_have() -> None:
    oplog = Oplog(7, b"x", "m", 5, 10**15)
    assert _read(wire_of(oplog)) == m.PushedOplog(7, 5, b"x", "m")
    assert len(msgspec.msgpack.decode(wire_of(oplog))) == 4
    assert encoded(oplog).wire == wire_of(oplog)


def test_details_are_told() -> None:
    withdraws = Withdrawal(((1, 2), (4, 4)), WithdrawalReason.RECALLED)
    details = Details("key", "", Origin("everyone", 3), withdraws)
    pushed = _read(wire_of(Oplog(7, b"x", "m", 5, 10**15, details=details)))
    assert pushed.key == "key"
    assert pushed.origin == m.Origin("everyone", 3)
    assert pushed.withdraws == m.Withdrawal([m.IdRange(1, 2), m.IdRange(4, 4)], 1)

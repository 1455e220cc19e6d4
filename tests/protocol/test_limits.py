"""Bounds fit each other: what is allowed in parts is allowed as a whole."""

from mobilesync.protocol import limits
from mobilesync.protocol import messages as m
from mobilesync.protocol.codec import encode_oplog


def test_ids_fit_a_double() -> None:
    assert float(limits.ID_MAX) == limits.ID_MAX
    assert int(float(limits.ID_MAX)) + 1 == 2**53


def test_a_hello_lists_every_channel_of_a_device() -> None:
    assert 3 * limits.BIZZES_MAX <= limits.POINTS_MAX


def test_the_largest_payload_fits_a_push() -> None:
    assert limits.PAYLOAD_BYTES_MAX + 1024 < limits.CLIENT_FRAME_BYTES_MAX


def test_the_largest_withdrawal_fits_a_push() -> None:
    ranges = [m.IdRange(limits.ID_MAX, limits.ID_MAX)] * limits.RANGES_MAX
    oplog = m.PushedOplog(1, 1, b"", withdraws=m.Withdrawal(ranges, 1))
    assert len(encode_oplog(oplog)) < limits.PAYLOAD_BYTES_MAX


def test_a_stranger_can_make_us_hold_little() -> None:
    assert limits.SERVER_FRAME_BYTES_MAX <= 256 * 1024


def test_versions_are_a_range() -> None:
    assert 1 <= limits.VERSION_MIN <= limits.VERSION_MAX

"""Negotiation: the highest common version, or a defined refusal (spec §4.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.errors import ProtocolFault
from mobilesync.protocol.limits import VERSION_MAX, VERSION_MIN
from mobilesync.protocol.versions import accept, negotiate

VERSIONS = st.integers(1, 9)


def test_equal_ranges_agree() -> None:
    assert negotiate(VERSION_MIN, VERSION_MAX) == VERSION_MAX


def test_a_version_1_client_meets_a_version_3_server() -> None:
    assert negotiate(1, 1, spoken_min=1, spoken_max=3) == 1


def test_a_newer_client_meets_an_older_server() -> None:
    assert negotiate(1, 65535, spoken_min=1, spoken_max=2) == 2


def test_an_abandoned_client_is_told_to_stop() -> None:
    with pytest.raises(ProtocolFault) as caught:
        negotiate(1, 2, spoken_min=3, spoken_max=4)
    assert caught.value.code is CloseCode.UNSUPPORTED_VERSION
    assert "3 to 4" in caught.value.detail


@given(VERSIONS, VERSIONS, VERSIONS, VERSIONS)
def test_the_answer_is_the_highest_common_version(a: int, b: int, c: int, d: int) -> None:
    spoken_min, spoken_max = min(c, d), max(c, d)
    common = set(range(a, b + 1)) & set(range(spoken_min, spoken_max + 1))
    if common:
        found = negotiate(a, b, spoken_min=spoken_min, spoken_max=spoken_max)
        assert found == max(common)
        assert accept(found, a, b) == found
    else:
        with pytest.raises(ProtocolFault) as caught:
            negotiate(a, b, spoken_min=spoken_min, spoken_max=spoken_max)
        assert caught.value.code is CloseCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize("version", [1, 4])
def test_a_client_refuses_a_version_it_did_not_offer(version: int) -> None:
    with pytest.raises(ProtocolFault) as caught:
        accept(version, 2, 3)
    assert caught.value.code is CloseCode.UNSUPPORTED_VERSION

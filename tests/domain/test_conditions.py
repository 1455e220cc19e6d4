"""Conditions: who may see an oplog, and which conditions make sense (spec §10)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.domain.conditions import OS_MAX, Attributes, Conditions, conditions
from mobilesync.domain.errors import InvalidRequest

VERSIONS = st.tuples(st.integers(0, 3), st.integers(0, 12)).map(lambda v: f"{v[0]}.{v[1]}")


class TestAdmits:
    @pytest.mark.parametrize(
        "admitted, os, low, high, device_os, device_version",
        [
            (True, (), "", "", "", ""),
            (True, ("ios",), "", "", "ios", ""),
            (True, ("ios", "android"), "", "", "Android", ""),
            (False, ("ios",), "", "", "android", "1.0"),
            (False, ("ios",), "", "", "", "1.0"),
            (True, (), "1.9", "", "", "1.10"),
            (True, (), "1.9", "1.9", "", "1.9.0"),
            (False, (), "1.10", "", "", "1.9"),
            (False, (), "", "1.9", "", "1.9.1"),
            (False, (), "2.0", "", "", "2.0-beta"),
            (True, (), "", "2.0", "", "2.0-beta"),
            (False, (), "1.0", "", "", ""),
            (False, (), "", "9.0", "", "nonsense"),
            (False, ("ios",), "1.0", "", "android", "1.0"),
            (False, ("ios",), "1.0", "", "ios", "0.9"),
        ],
    )
    def test_all_must_hold(
        self,
        admitted: bool,
        os: tuple[str, ...],
        low: str,
        high: str,
        device_os: str,
        device_version: str,
    ) -> None:
        device = Attributes(device_os, device_version)
        assert Conditions(os, low, high).admits(device) is admitted

    @given(VERSIONS, VERSIONS, VERSIONS)
    def test_bounds_are_inclusive(self, low: str, version: str, high: str) -> None:
        def key(text: str) -> list[int]:
            return [int(part) for part in text.split(".")]

        expected = key(low) <= key(version) <= key(high)
        assert Conditions((), low, high).admits(Attributes("", version)) is expected

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_whatever_a_device_says_of_itself_is_judged(self, os: str, version: str) -> None:
        assert Conditions(("ios",), "1.0", "").admits(Attributes(os, version)) in {True, False}


class TestChecked:
    def test_none_at_all(self) -> None:
        assert conditions() is None

    def test_names_are_kept_in_lower_case(self) -> None:
        assert conditions(("iOS",)) == Conditions(("ios",))

    @pytest.mark.parametrize("os", [("",), ("x" * 65,), ("x",) * (OS_MAX + 1)])
    def test_too_many_or_too_long_names(self, os: tuple[str, ...]) -> None:
        with pytest.raises(InvalidRequest) as caught:
            conditions(os)
        assert caught.value.field == "os"

    def test_as_many_names_as_there_may_be(self) -> None:
        assert conditions(("x" * 64,) * OS_MAX) is not None

    @pytest.mark.parametrize("low, high", [("x", ""), ("", "x"), ("2.0", "1.0"), ("2", "2-beta")])
    def test_versions_that_cannot_hold(self, low: str, high: str) -> None:
        with pytest.raises(InvalidRequest):
            conditions((), low, high)

    def test_one_version_only(self) -> None:
        assert conditions((), "2.0", "2.0.0") == Conditions((), "2.0", "2.0.0")

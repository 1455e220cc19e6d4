"""Conditions: who may see an oplog, and which conditions make sense (spec §10)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.domain.conditions import (
    ATTRIBUTE_VALUES_MAX,
    ATTRIBUTES_MAX,
    OS_MAX,
    SALT_CHARS_MAX,
    USER_NUMBER_MAX,
    USERS_MAX,
    Attributes,
    Conditions,
    Rollout,
    conditions,
)
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.reasons import Reason
from mobilesync.protocol import limits

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


class TestAudience:
    @pytest.mark.parametrize(
        "users, low, high, user, admitted",
        [
            ((), 0, 0, "", True),
            (("ada", "bob"), 0, 0, "bob", True),
            (("ada", "bob"), 0, 0, "Bob", False),
            (("ada", "bob"), 0, 0, "", False),
            ((), 10, 20, "10", True),
            ((), 10, 20, "20", True),
            ((), 10, 20, "9", False),
            ((), 10, 20, "21", False),
            ((), 10, 20, "0015", True),
            ((), 10, 0, str(USER_NUMBER_MAX), True),
            ((), 10, 0, str(USER_NUMBER_MAX + 1), False),
            ((), 0, 20, "0", True),
            ((), 10, 20, "", False),
            ((), 10, 20, "15a", False),
            ((), 10, 20, "-15", False),
            ((), 10, 20, "+15", False),
            ((), 10, 20, " 15", False),
            ((), 10, 20, "1_5", False),
            ((), 10, 20, "\u0661\u0665", False),
            ((), 10, 0, "9" * 10_000, False),
            (("15", "ada"), 10, 20, "15", True),
            (("15", "ada"), 10, 20, "16", False),
            (("15", "ada"), 10, 20, "ada", False),
        ],
    )
    def test_who_is_logged_in_must_be_of_it(
        self, users: tuple[str, ...], low: int, high: int, user: str, admitted: bool
    ) -> None:
        audience = Conditions(users=users, user_number_min=low, user_number_max=high)
        assert audience.admits(Attributes(), user, "phone") is admitted
        assert audience.refusal(Attributes(), user, "phone") is (
            None if admitted else Reason.AUDIENCE
        )
        assert audience.names_users is bool(users or low or high)

    @given(st.text(max_size=30))
    def test_any_user_is_judged(self, user: str) -> None:
        everybody = Conditions(user_number_max=USER_NUMBER_MAX)
        is_number = user.isascii() and user.isdigit() and len(user) <= 19
        assert everybody.admits(Attributes(), user) is (is_number and int(user) <= USER_NUMBER_MAX)

    @pytest.mark.parametrize(
        "attributes, custom, admitted",
        [
            ((("tier", ("gold", "tin")),), {"tier": "tin"}, True),
            ((("tier", ("gold", "tin")),), {"tier": "Tin"}, False),
            ((("tier", ("gold", "tin")),), {}, False),
            ((("tier", ("",)),), {"tier": ""}, True),
            ((("tier", ("",)),), {}, False),
            ((("tier", ("gold",)), ("beta", ("yes",))), {"tier": "gold", "beta": "yes"}, True),
            ((("tier", ("gold",)), ("beta", ("yes",))), {"tier": "gold"}, False),
        ],
    )
    def test_every_attribute_must_have_one_of_its_values(
        self,
        attributes: tuple[tuple[str, tuple[str, ...]], ...],
        custom: Mapping[str, str],
        admitted: bool,
    ) -> None:
        found = Conditions(attributes=attributes).refusal(Attributes(custom=custom), "", "phone")
        assert found is (None if admitted else Reason.ATTRIBUTES)

    def test_one_device_only(self) -> None:
        offered = Conditions(device="phone")
        assert offered.refusal(Attributes(), "ada", "phone") is None
        assert offered.refusal(Attributes(), "ada", "tablet") is Reason.OTHER_DEVICE
        assert not offered.names_users


DEVICES = [f"device-{number}" for number in range(4_000)]
PERCENTS = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)
SALTS = st.text(min_size=1, max_size=8)


class TestRollout:
    @given(PERCENTS, SALTS)
    def test_it_is_about_the_right_share(self, percent: float, salt: str) -> None:
        rollout = Rollout(percent, salt)
        count = sum(rollout.admits(device) for device in DEVICES)
        share = percent / 100
        # Six deviations: no salt that Hypothesis tries is so unlucky.
        tolerance = 6 * math.sqrt(share * (1 - share) * len(DEVICES)) + 1
        assert abs(count - share * len(DEVICES)) <= tolerance

    @given(PERCENTS, PERCENTS, SALTS, st.text(max_size=20))
    def test_who_is_in_stays_in_when_it_grows(
        self, one: float, other: float, salt: str, device: str
    ) -> None:
        low, high = sorted((one, other))
        assert Rollout(low, salt).admits(device) <= Rollout(high, salt).admits(device)

    @given(SALTS, st.text(max_size=20))
    def test_nobody_at_0_and_everybody_at_100(self, salt: str, device: str) -> None:
        assert not Rollout(0, salt).admits(device)
        assert Rollout(100, salt).admits(device)

    def test_it_is_the_same_in_every_process_and_version(self) -> None:
        admitted = [n for n in range(40) if Rollout(10, "salt").admits(f"device-{n}")]
        assert admitted == [1, 5, 14, 17, 22, 24]

    def test_steps_of_a_hundredth_are_exact(self) -> None:
        # 0.07 * 100 is a little more than 7: that must not let the eighth hundredth in.
        assert any(
            Rollout(0.08, "s").admits(device) and not Rollout(0.07, "s").admits(device)
            for device in map(str, range(200_000))
        )

    def test_another_salt_is_another_share(self) -> None:
        one, other = (
            {device for device in DEVICES if Rollout(50, salt).admits(device)} for salt in "ab"
        )
        assert 0.4 < len(one & other) / len(one) < 0.6

    def test_salt_and_device_are_kept_apart(self) -> None:
        pairs = [("a", f"b{n}") for n in range(200)], [("ab", f"{n}") for n in range(200)]
        one, other = ([Rollout(50, salt).admits(device) for salt, device in each] for each in pairs)
        assert one != other

    def test_the_condition_says_so(self) -> None:
        nobody = Conditions(rollout=Rollout(0, "s"))
        assert nobody.refusal(Attributes(), "ada", "phone") is Reason.ROLLOUT


def test_conditions_are_judged_in_the_order_of_the_rules() -> None:
    all_broken: dict[str, Any] = {
        "device": "tablet",
        "users": ("bob",),
        "os": ("ios",),
        "app_version_min": "2.0",
        "attributes": (("tier", ("gold",)),),
        "rollout": Rollout(0, "s"),
    }
    found = []
    while all_broken:
        found.append(Conditions(**all_broken).refusal(Attributes(), "ada", "phone"))
        del all_broken[next(iter(all_broken))]
    assert found == [
        *(Reason.OTHER_DEVICE, Reason.AUDIENCE, Reason.OS),
        *(Reason.VERSION, Reason.ATTRIBUTES, Reason.ROLLOUT),
    ]


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

    def test_everything_is_kept(self) -> None:
        made = conditions(
            ("ios",),
            "1.0",
            "2.0",
            users=("ada", "bob", "ada"),
            user_number_min=1,
            user_number_max=9,
            attributes={"tier": ("gold", "tin", "gold")},
            rollout=Rollout(12.5, "salt"),
        )
        attributes = (("tier", ("gold", "tin")),)
        assert made == Conditions(
            ("ios",), "1.0", "2.0", ("ada", "bob"), 1, 9, attributes, Rollout(12.5, "salt")
        )

    def test_a_share_of_everybody_is_no_condition(self) -> None:
        assert conditions(rollout=Rollout(100, "s")) is None
        assert conditions(rollout=Rollout(0, "s")) is not None

    @pytest.mark.parametrize(
        "field, given",
        [
            ("users", {"users": ("u",) * (USERS_MAX + 1)}),
            ("users", {"users": ("",)}),
            ("users", {"users": ("a\n",)}),
            ("users", {"users": ("x" * (limits.OWNER_CHARS_MAX + 1),)}),
            ("user_number_min", {"user_number_min": -1}),
            ("user_number_min", {"user_number_min": USER_NUMBER_MAX + 1}),
            ("user_number_min", {"user_number_max": USER_NUMBER_MAX + 1}),
            ("user_number_min", {"user_number_min": 9, "user_number_max": 8}),
            ("rollout_percent", {"rollout": Rollout(-0.01, "s")}),
            ("rollout_percent", {"rollout": Rollout(100.01, "s")}),
            ("rollout_percent", {"rollout": Rollout(math.nan, "s")}),
            ("rollout_percent", {"rollout": Rollout(math.inf, "s")}),
            ("rollout_salt", {"rollout": Rollout(1, "")}),
            ("rollout_salt", {"rollout": Rollout(1, "x" * (SALT_CHARS_MAX + 1))}),
            (
                "attributes",
                {"attributes": {f"a{n}": ("x",) for n in range(ATTRIBUTES_MAX + 1)}},
            ),
            ("attributes", {"attributes": {"": ("x",)}}),
            ("attributes", {"attributes": {"x" * (limits.ATTRIBUTE_CHARS_MAX + 1): ("x",)}}),
            ("attributes", {"attributes": {"tier": ()}}),
            ("attributes", {"attributes": {"tier": ("x",) * (ATTRIBUTE_VALUES_MAX + 1)}}),
            (
                "attributes",
                {"attributes": {"tier": ("x" * (limits.ATTRIBUTE_VALUE_CHARS_MAX + 1),)}},
            ),
        ],
    )
    def test_what_makes_no_sense_or_is_too_much(self, field: str, given: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest) as caught:
            conditions(**given)
        assert caught.value.field == field
        assert caught.value.hint

    def test_as_much_as_there_may_be(self) -> None:
        values: Sequence[str] = [
            str(n).rjust(limits.ATTRIBUTE_VALUE_CHARS_MAX) for n in range(ATTRIBUTE_VALUES_MAX)
        ]
        names = [str(n).rjust(limits.ATTRIBUTE_CHARS_MAX) for n in range(ATTRIBUTES_MAX)]
        made = conditions(
            users=[f"user-{n}" for n in range(USERS_MAX)],
            user_number_min=USER_NUMBER_MAX,
            user_number_max=USER_NUMBER_MAX,
            attributes=dict.fromkeys(names, values),
            rollout=Rollout(99.99, "x" * SALT_CHARS_MAX),
        )
        assert made is not None
        assert len(made.users) == USERS_MAX
        assert made.attributes[-1] == (names[-1], tuple(values))

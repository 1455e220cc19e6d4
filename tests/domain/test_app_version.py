"""App versions: one total order, the one that people mean (spec §10.2)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.domain.app_version import AppVersion
from mobilesync.domain.errors import InvalidRequest

NUMBERS = st.lists(st.integers(0, 10**6), min_size=1, max_size=8)
WORDS = st.lists(st.text("019aZb-", max_size=4), min_size=1, max_size=5).filter(
    lambda words: 1 <= len(".".join(words)) <= 20
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    # Short, so that equal and nearly equal ones are common.
    numbers = draw(st.lists(st.integers(0, 2), min_size=1, max_size=4))
    words = draw(st.none() | WORDS)
    text = ".".join(map(str, numbers)) + ("" if words is None else "-" + ".".join(words))
    return draw(st.sampled_from(["", "v"])) + text + draw(st.sampled_from(["", "+", "+b.7"]))


VERSIONS = texts().map(AppVersion)


class TestTotalOrder:
    @given(VERSIONS, VERSIONS)
    def test_exactly_one_of_below_equal_above(self, a: AppVersion, b: AppVersion) -> None:
        assert [a < b, a == b, a > b].count(True) == 1
        assert (a <= b) == (not b < a)
        assert (a >= b) == (not a < b)

    @given(VERSIONS, VERSIONS, VERSIONS)
    def test_transitive(self, a: AppVersion, b: AppVersion, c: AppVersion) -> None:
        low, middle, high = sorted([a, b, c])
        assert low <= middle <= high
        assert low <= high
        assert (low == high) <= (low == middle == high)

    @given(VERSIONS, VERSIONS)
    def test_equal_ones_hash_alike(self, a: AppVersion, b: AppVersion) -> None:
        if a == b:
            assert hash(a) == hash(b)

    @given(VERSIONS)
    def test_equal_to_itself_and_to_nothing_else(self, a: AppVersion) -> None:
        assert a == AppVersion(a.text)
        assert a != a.text


class TestMeaning:
    @given(NUMBERS, NUMBERS)
    def test_numbers_compare_as_numbers(self, a: list[int], b: list[int]) -> None:
        low, high = sorted([[*numbers, *[0] * (8 - len(numbers))] for numbers in (a, b)])
        below, above = (AppVersion(".".join(map(str, numbers))) for numbers in (low, high))
        assert (below < above) == (low < high)

    @given(VERSIONS)
    def test_zeros_at_the_end_change_nothing(self, a: AppVersion) -> None:
        head, dash, rest = a.text.partition("-")
        assert AppVersion(head.partition("+")[0] + ".0" + dash + rest) == a

    def test_a_pre_release_is_below(self) -> None:
        assert AppVersion("2.0-beta") < AppVersion("2.0")


@given(st.text(max_size=70))
def test_any_text_is_a_version_or_refused(text: str) -> None:
    with suppress(InvalidRequest):
        assert AppVersion(AppVersion(text).text) == AppVersion(text)


def test_hostile_texts_cost_nothing() -> None:
    for text in ("1" * 10**6, "1." * 10**6, "1-" + "a." * 10**6, "\u0661.\u0662"):
        with pytest.raises(InvalidRequest) as caught:
            AppVersion(text)
        assert caught.value.field == "app_version"
        assert caught.value.hint


def test_it_shows_itself() -> None:
    assert repr(AppVersion("1.2")) == "AppVersion('1.2')"

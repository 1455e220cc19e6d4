"""Names from outside: after the check they are short, printable, and safe in a key."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import (
    MESSAGE_ID_BYTES_MAX,
    OWNER_BYTES_MAX,
    check_app,
    check_biz,
    check_key,
    check_message_id,
    check_owner,
)

CHECKS: dict[str, Callable[[str], str]] = {
    "app": check_app,
    "biz": check_biz,
    "user": lambda name: check_owner(name, "user"),
    "device": lambda name: check_owner(name, "device"),
    "message_id": check_message_id,
    "key": check_key,
}
ANY_TEXT = st.text(st.characters(), max_size=140)


@pytest.mark.parametrize("kind", CHECKS)
@given(name=ANY_TEXT)
@example(name="")
@example(name="a\n")
@example(name="\ud800")
@example(name="\u2028")
def test_any_text_is_safe_afterwards_or_refused(kind: str, name: str) -> None:
    with suppress(InvalidRequest):
        assert CHECKS[kind](name) == name
        data = name.encode()  # no surrogates
        assert 1 <= len(data) <= 128
        assert "\x00" not in name
        assert name.isprintable() or not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name)


@pytest.mark.parametrize("kind", ["user", "device", "message_id", "key"])
@pytest.mark.parametrize("letter", ["x", "é", "日", "\U0001f642"])
def test_the_bound_is_in_bytes(kind: str, letter: str) -> None:
    most = 128 // len(letter.encode())
    assert CHECKS[kind](letter * most) == letter * most
    with pytest.raises(InvalidRequest):
        CHECKS[kind](letter * (most + 1))


def test_the_bounds_are_those_of_the_wire() -> None:
    assert OWNER_BYTES_MAX == MESSAGE_ID_BYTES_MAX == 128


@pytest.mark.parametrize("kind", CHECKS)
def test_a_huge_name_is_refused(kind: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CHECKS[kind]("a" * 10**6)
    assert caught.value.field == kind
    assert caught.value.hint

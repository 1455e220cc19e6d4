"""Targets: three forms and no other; two different owners never share one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.domain.channel import (
    EVERYONE,
    Channel,
    device_target,
    is_user_target,
    parse_target,
    session_targets,
    user_target,
)
from mobilesync.domain.errors import InvalidRequest

OWNERS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=32)


@given(OWNERS, OWNERS)
def test_a_target_names_one_owner(a: str, b: str) -> None:
    assert parse_target(user_target(a)) == user_target(a)
    assert parse_target(device_target(a)) == device_target(a)
    assert user_target(a) != device_target(b)
    assert (user_target(a) == user_target(b)) == (a == b)
    assert EVERYONE not in {user_target(a), device_target(a)}


@given(st.text(max_size=20))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    if text == EVERYONE or (text.startswith(("user:", "device:")) and text[-1] != ":"):
        return
    with pytest.raises(InvalidRequest) as caught:
        parse_target(text)
    assert caught.value.field in {"target", "user", "device"}


def test_what_a_session_watches() -> None:
    assert session_targets("u", "d") == ("user:u", "device:d", EVERYONE)
    assert session_targets("", "d") == ("device:d", EVERYONE)


def test_only_users_change_on_a_living_session() -> None:
    watched = session_targets("u", "d")
    assert [is_user_target(target) for target in watched] == [True, False, False]


def test_channels_are_values() -> None:
    assert len({Channel("a", "B", EVERYONE), Channel("a", "B", EVERYONE)}) == 1

"""One setting: how it is read from each kind of source, and what is refused."""

# ruff: noqa: RUF009 # `setting` makes a field, as dataclasses.field does

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.cli.setting import BadSetting, Setting, read_size, setting, show_size, table_of

ABOUT: Any = {"turned": "A test.", "group": "Tests"}


@dataclass(frozen=True, kw_only=True)
class Samples:
    text: str = setting("hello", "Some text.", **ABOUT)
    path: Path = setting(Path("here"), "A path.", **ABOUT)
    choice: Literal["a", "b"] = setting("a", "A choice.", **ABOUT)
    switch: bool = setting(True, "A switch.", production=False, **ABOUT)
    count: int = setting(5, "A count.", low=1, high=10, **ABOUT)
    room_bytes: int = setting(1024, "A size.", low=1, high=1024**3, **ABOUT)
    wait_s: float = setting(1.5, "A time.", low=0.5, high=60, **ABOUT)
    rate_per_s: float = setting(0.0, "A rate.", high=100, **ABOUT)


ROWS = {row.name: row for row in table_of(Samples)}


def test_the_kind_comes_from_the_type_and_the_name() -> None:
    assert {name: row.kind for name, row in ROWS.items()} == {
        "text": "text",
        "path": "path",
        "choice": "choice",
        "switch": "switch",
        "count": "count",
        "room_bytes": "size",
        "wait_s": "seconds",
        "rate_per_s": "number",
    }


def test_the_class_itself_works_with_its_defaults() -> None:
    assert Samples() == Samples(text="hello", count=5, wait_s=1.5)
    assert (ROWS["switch"].default, ROWS["switch"].production) == (True, False)
    assert ROWS["count"].production == 5


def test_names_in_each_source() -> None:
    assert ROWS["wait_s"].variable == "MOBILESYNC_WAIT_S"
    assert ROWS["wait_s"].flag == "--wait-s"


@pytest.mark.parametrize(
    "name, raw, value",
    [
        ("text", "x", "x"),
        ("text", "", ""),
        ("path", "/a b", Path("/a b")),
        ("path", Path("c"), Path("c")),
        ("choice", "b", "b"),
        ("switch", True, True),
        ("switch", "No", False),
        ("switch", " on ", True),
        ("switch", "0", False),
        ("count", 10, 10),
        ("count", "1", 1),
        ("room_bytes", 7, 7),
        ("room_bytes", "64KiB", 65536),
        ("room_bytes", "1 GiB", 1024**3),
        ("room_bytes", "12", 12),
        ("wait_s", 2, 2.0),
        ("wait_s", "0.5", 0.5),
        ("rate_per_s", "1e2", 100.0),
    ],
)
def test_what_is_read(name: str, raw: object, value: object) -> None:
    read = ROWS[name].read(raw, "a test")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "name, raw",
    [
        ("text", 1),
        ("text", "a\nb"),
        ("text", "x" * 1001),
        ("path", 3),
        ("path", "a\0b"),
        ("choice", "c"),
        ("choice", True),
        ("switch", 1),
        ("switch", "maybe"),
        ("count", True),
        ("count", 1.0),
        ("count", "1.0"),
        ("count", ""),
        ("count", "٣x"),
        ("room_bytes", "64kb"),
        ("room_bytes", "-1"),
        ("room_bytes", 1.5),
        ("wait_s", True),
        ("wait_s", "nan"),
        ("wait_s", "inf"),
        ("wait_s", 10**400),
        ("wait_s", None),
        ("wait_s", [1]),
    ],
)
def test_what_is_no_such_value(name: str, raw: object) -> None:
    with pytest.raises(BadSetting) as caught:
        ROWS[name].read(raw, "in a test")
    assert caught.value.field == name
    assert "in a test" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "name, raw, bounds",
    [
        ("count", 0, "1 to 10"),
        ("count", "11", "1 to 10"),
        ("count", 10**400, "1 to 10"),
        ("room_bytes", 0, "1B to 1GiB"),
        ("room_bytes", "2GiB", "1B to 1GiB"),
        ("wait_s", 0.49, "0.5 to 60"),
        ("rate_per_s", "-1", "0 to 100"),
    ],
)
def test_what_is_out_of_bounds(name: str, raw: object, bounds: str) -> None:
    with pytest.raises(BadSetting, match="out of bounds") as caught:
        ROWS[name].read(raw, "in a test")
    assert caught.value.hint == bounds


def test_a_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(BadSetting) as caught:
        ROWS["count"].read("9" * 5000, "in a test")
    assert len(caught.value.message) < 200


@given(st.integers(0, 2**50))
def test_a_size_is_shown_as_it_can_be_read(size: int) -> None:
    assert read_size(show_size(size)) == size


@given(st.sampled_from(sorted(ROWS)), st.none() | st.booleans() | st.integers() | st.text())
def test_anything_is_read_or_refused(name: str, raw: object) -> None:
    row: Setting = ROWS[name]
    try:
        value = row.read(raw, "in a test")
    except BadSetting:
        return
    assert row.read(row.show(value), "again") == value


def test_a_refusal_says_what_was_expected() -> None:
    with pytest.raises(BadSetting, match="is no whole number"):
        ROWS["count"].read("abc", "the flag --count")

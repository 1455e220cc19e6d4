"""Rows that would contradict themselves cannot be made."""

from typing import Any

import pytest

from mobilesync.api.operations import PATH_CHECKS, Desk, Operation, Request, check_channel
from mobilesync.api.routes import OPERATIONS
from mobilesync.api.strict_json import JsonBody
from mobilesync.domain.errors import InvalidRequest


async def nothing(desk: Desk, request: Request[Any, Any]) -> None:
    return None


def test_rows_are_consistent() -> None:
    with pytest.raises(AssertionError):
        Operation("GET", "/x", "x", "x", nothing, answer=str, body=JsonBody(str))
    with pytest.raises(AssertionError):
        Operation("DELETE", "/x", "x", "x", nothing)
    assert Operation("DELETE", "/x", "x", "x", nothing, status=204).scope is None


def test_every_variable_part_of_a_path_has_its_check() -> None:
    parts = {part for row in OPERATIONS for part in row.path.split("/") if part.startswith("{")}
    assert {part[1:-1] for part in parts} == set(PATH_CHECKS)
    assert len({row.name for row in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize(
    "name, text",
    [
        ("app", "No"),
        ("biz", "a b"),
        ("device", ""),
        ("device", "a\x00"),
        ("key", "x/y"),
        ("webhook", "a.b"),
    ],
)
def test_path_checks(name: str, text: str) -> None:
    with pytest.raises(InvalidRequest):
        PATH_CHECKS[name](text)


def test_channels() -> None:
    check_channel("CHAT", "everyone")
    with pytest.raises(InvalidRequest):
        check_channel("CHAT", "somebody")
    with pytest.raises(InvalidRequest):
        check_channel("", "everyone")

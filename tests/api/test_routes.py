"""Which operation a method and a path mean."""

import pytest

from mobilesync.api.errors import HttpError
from mobilesync.api.routes import OPERATIONS, Routes, check_path
from mobilesync.domain.errors import InvalidRequest

ROUTES = Routes(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda row: row.name)
def test_every_row_is_found(operation: object) -> None:
    row = next(each for each in OPERATIONS if each is operation)
    path = row.path.replace("{", "").replace("}", "")
    found, parts = ROUTES.find(row.method, path.encode())
    assert found is row
    assert all(name == text for name, text in parts.items())


def test_variable_parts_are_unquoted_after_the_split() -> None:
    _, path = ROUTES.find("GET", b"/v1/apps/demo/devices/a%2Fb%20%C3%A9")
    assert path == {"app": "demo", "device": "a/b é"}


def test_head_is_as_get() -> None:
    assert ROUTES.find("HEAD", b"/healthz")[0].name == "health"


@pytest.mark.parametrize(
    "method, path, code",
    [
        ("GET", b"/", "NOT_FOUND"),
        ("GET", b"", "NOT_FOUND"),
        ("GET", b"/healthz/", "NOT_FOUND"),
        ("GET", b"//healthz", "NOT_FOUND"),
        ("GET", b"/v1/apps/demo/oplogs/..", "NOT_FOUND"),
        ("GET", b"/v1/apps/%ff/oplogs", "MALFORMED_REQUEST"),
        ("GET", b"/v1/apps/\xff/oplogs", "MALFORMED_REQUEST"),
        ("PATCH", b"/v1/apps/demo/oplogs", "METHOD_NOT_ALLOWED"),
        ("OPTIONS", b"/healthz", "METHOD_NOT_ALLOWED"),
        ("HEAD", b"/webapi/sync/single", "METHOD_NOT_ALLOWED"),
    ],
)
def test_what_is_not_found(method: str, path: bytes, code: str) -> None:
    with pytest.raises(HttpError) as caught:
        ROUTES.find(method, path)
    assert caught.value.code == code


def test_a_wrong_method_is_told_the_right_ones() -> None:
    with pytest.raises(HttpError) as caught:
        ROUTES.find("PATCH", b"/v1/apps/demo/oplogs")
    assert caught.value.headers == ((b"allow", b"GET, POST"),)


def test_paths_are_checked_by_name() -> None:
    check_path({"app": "demo", "biz": "CHAT"})
    with pytest.raises(InvalidRequest):
        check_path({"app": "demo", "biz": "no biz"})


def test_one_row_for_each_method_of_a_path() -> None:
    with pytest.raises(AssertionError):
        Routes((*OPERATIONS, OPERATIONS[0]))

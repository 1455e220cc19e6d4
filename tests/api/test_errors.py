"""One table from code to status, one shape for every error."""

import ast
from pathlib import Path

import msgspec
import pytest

import mobilesync
from mobilesync.api.errors import CODES, ITEMS_MAX, ErrorAnswer, HttpError, problem
from mobilesync.domain.errors import (
    BizOffline,
    Conflict,
    InvalidRequest,
    MobilesyncError,
    Overloaded,
    StoreUnavailable,
    TooLarge,
    UnknownApp,
)
from mobilesync.domain.errors import OutcomeUnknown as Unknown
from mobilesync.engine.publication import InvalidBatch


@pytest.mark.parametrize(
    "error, status, retry_after",
    [
        (InvalidRequest("x", field="f"), 422, None),
        (UnknownApp("x"), 404, None),
        (BizOffline("x"), 409, None),
        (Conflict("x"), 409, None),
        (TooLarge("x"), 413, None),
        (Overloaded("x", retry_after_s=0.01), 429, b"1"),
        (Overloaded("x", retry_after_s=2.1), 429, b"3"),
        (StoreUnavailable("x"), 503, b"1"),
        (Unknown("x"), 503, b"5"),
        (HttpError("TOO_MANY_ATTEMPTS", "x", retry_after_s=9), 429, b"9"),
    ],
)
def test_statuses_and_advice(
    error: MobilesyncError, status: int, retry_after: bytes | None
) -> None:
    refused = problem(error, "r1")
    assert refused.status == status
    assert refused.body.code == error.code
    assert dict(refused.headers).get(b"retry-after") == retry_after
    expected = None if retry_after is None else int(retry_after)
    assert refused.body.retry_after_s == expected


@pytest.mark.parametrize(
    "error", [ValueError("the payload is 123"), KeyError("ms_1_secret"), MobilesyncError("secret")]
)
def test_the_unforeseen_is_told_without_a_word_about_it(error: Exception) -> None:
    refused = problem(error, "r1")
    assert refused.status == 500
    text = msgspec.json.encode(ErrorAnswer(refused.body))
    assert b"INTERNAL" in text
    assert b"secret" not in text
    assert b"payload" not in text


@pytest.mark.parametrize("kind", [StoreUnavailable, Unknown])
def test_what_the_store_says_of_its_files_is_not_for_callers(
    kind: type[StoreUnavailable | Unknown],
) -> None:
    refused = problem(kind("no", hint="IO error: while appending to /srv/data/7.log"), "r1")
    assert b"/srv" not in msgspec.json.encode(ErrorAnswer(refused.body))
    assert "log says why" in refused.body.hint


def test_items_are_bounded() -> None:
    wrong = [(index, InvalidRequest("x", field="f")) for index in range(ITEMS_MAX + 50)]
    body = problem(InvalidBatch(wrong), "r1").body
    assert len(body.items) == ITEMS_MAX
    assert body.items[3].index == 3


def test_every_code_that_can_reach_this_door_is_in_the_table() -> None:
    """Reads the source: each error class of domain and engine, and each HttpError made."""
    root = Path(mobilesync.__file__).parent
    codes: set[str] = set()
    for folder in ("domain", "engine", "api"):
        for file in (root / folder).glob("*.py"):
            codes |= _codes_in(ast.parse(file.read_text()))
    not_here = {
        "STORE_FOLDER_REFUSED",
        "TOKEN_REFUSED",
        "REFUSED",
        "USER_CHECK_FAILED",
        "NOT_DELIVERED",
    }
    assert codes - not_here - set(CODES) == set()
    assert "INVALID_BATCH" in codes
    assert "WRONG_CONTENT_TYPE" in codes


def _codes_in(module: ast.Module) -> set[str]:
    codes: set[str] = set()
    for node in ast.walk(module):
        match node:
            case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str() as code)):
                codes.add(code)
            case ast.Call(
                func=ast.Name(id="HttpError"), args=[ast.Constant(value=str() as code), *_]
            ):
                codes.add(code)
    return codes

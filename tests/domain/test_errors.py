"""The tree of errors: what a program may rely on."""

import pytest

from mobilesync.domain import errors
from mobilesync.domain.errors import InvalidRequest, MobilesyncError, Refused, TokenRefused
from mobilesync.protocol.codes import CloseCode

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, MobilesyncError)
]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    assert all(code.isupper() for code in codes)


@pytest.mark.parametrize("kind", [k for k in KINDS if not issubclass(k, TokenRefused)])
def test_message_and_hint_are_kept(kind: type[MobilesyncError]) -> None:
    error = kind("what", hint="do this")
    assert (str(error), error.message, error.hint) == ("what", "what", "do this")


@pytest.mark.parametrize("kind", [k for k in KINDS if issubclass(k, Refused)])
def test_who_may_come_again_is_told_when(kind: type[Refused]) -> None:
    assert kind("busy").retry_after_s > 0
    assert kind("busy", retry_after_s=9).retry_after_s == 9


@pytest.mark.parametrize("kind", [k for k in KINDS if issubclass(k, InvalidRequest)])
def test_a_wrong_request_names_its_field(kind: type[InvalidRequest]) -> None:
    assert kind("no", field="biz").field == "biz"


def test_nobody_is_both_wrong_and_early() -> None:
    assert not any(issubclass(k, InvalidRequest) and issubclass(k, Refused) for k in KINDS)


def test_a_refused_token_carries_its_close_code() -> None:
    error = TokenRefused(CloseCode.TOKEN_EXPIRED, "too old", hint="get a new one")
    assert error.close_code is CloseCode.TOKEN_EXPIRED
    assert error.hint == "get a new one"

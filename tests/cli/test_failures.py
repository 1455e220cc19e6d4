"""What each error becomes for a person and for a script."""

import errno
import json

import httpx
import pytest

from mobilesync import publishing
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed, Failure, failure_of, tell
from mobilesync.cli.setting import BadSetting
from mobilesync.client.errors import ClientError, ClientStopped, NotConnected
from mobilesync.domain import errors
from mobilesync.protocol.codes import CloseCode

WRONG = publishing.WrongItem(0, "INVALID_REQUEST", "not a target", "one of")


@pytest.mark.parametrize(
    "error, exit_code",
    [
        (CommandFailed("x", exit_code=ExitCode.REFUSED), ExitCode.REFUSED),
        (BadSetting("x"), ExitCode.USAGE),
        (errors.UnknownBiz("x"), ExitCode.REFUSED),
        (errors.Overloaded("x"), ExitCode.RETRY),
        (errors.StoreUnavailable("x"), ExitCode.RETRY),
        (errors.OutcomeUnknown("x"), ExitCode.RETRY),
        (errors.StoreFolderRefused("x"), ExitCode.FAILURE),
        (errors.TokenRefused(CloseCode.TOKEN_INVALID, "x"), ExitCode.FAILURE),
        (ClientStopped(3004, "x"), ExitCode.REFUSED),
        (NotConnected("x"), ExitCode.RETRY),
        (ClientError("x"), ExitCode.FAILURE),
        (publishing.NotStored("x"), ExitCode.RETRY),
        (publishing.OutcomeUnknown("x"), ExitCode.RETRY),
        (publishing.InvalidPublication("x"), ExitCode.REFUSED),
        (publishing.NotAllowed("x"), ExitCode.REFUSED),
        (httpx.ConnectError("x"), ExitCode.RETRY),
        (TimeoutError(), ExitCode.RETRY),
        (OSError(errno.ENOSPC, "x"), ExitCode.FAILURE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes(error: Exception, exit_code: ExitCode) -> None:
    failure = failure_of(error)
    assert failure is not None
    assert failure.exit_code is exit_code
    assert failure.message
    assert failure.code


def test_a_bug_is_not_made_to_look_like_an_answer() -> None:
    assert failure_of(KeyError("x")) is None


def test_a_single_wrong_item_is_told_as_itself() -> None:
    failure = failure_of(publishing.InvalidPublication("1 item is wrong", items=[WRONG]))
    assert failure == Failure("INVALID_REQUEST", "not a target", "one of", ExitCode.REFUSED)


def test_wrong_items_of_a_batch_are_told_with_their_places() -> None:
    items = [publishing.WrongItem(place, "X", "bad") for place in range(5)]
    failure = failure_of(publishing.InvalidPublication("5 items are wrong", items=items))
    assert failure is not None
    assert failure.message == "5 items are wrong: item 0: bad; item 1: bad; item 2: bad"


def test_an_error_of_the_system_names_the_file() -> None:
    failure = failure_of(FileNotFoundError(errno.ENOENT, "No such file", "/x"))
    assert failure is not None
    assert failure.message == "/x: No such file"


def test_a_person_gets_a_sentence_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Failure("X", "It broke.", "Mend it.", ExitCode.FAILURE), as_json=False)
    tell(Failure("X", "It broke.", "", ExitCode.FAILURE), as_json=False)
    captured = capsys.readouterr()
    assert captured.err == "Error: It broke.\nHint: Mend it.\nError: It broke.\n"
    assert captured.out == ""


def test_a_script_gets_json(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Failure("X", "It broke.", "Mend it.", ExitCode.FAILURE), as_json=True)
    error = json.loads(capsys.readouterr().err)["error"]
    assert error == {"code": "X", "message": "It broke.", "hint": "Mend it."}

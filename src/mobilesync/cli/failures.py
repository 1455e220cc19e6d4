"""Errors as a person or a script gets them: a sentence, a hint, an exit code.

Strategy: the trees of errors (domain, SDK, publishing, and the system's own) are told apart here
and nowhere else. What is not in them is a bug, and is not made to look like an answer.
"""

import sys

import click
import httpx
import msgspec
from msgspec import Struct

from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.setting import BadSetting
from mobilesync.client.errors import ClientError, ClientStopped, NotConnected
from mobilesync.domain.errors import InvalidRequest, MobilesyncError, OutcomeUnknown, Refused
from mobilesync.publishing import OutcomeUnknown as Unknown
from mobilesync.publishing import PublishError, Unavailable

ITEMS_SHOWN = 3


class Failure(Struct, frozen=True):
    """How a command failed."""

    code: str
    """For programs."""
    message: str
    hint: str
    exit_code: ExitCode


class CommandFailed(Exception):
    """A command knows itself how it failed."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "FAILED",
        exit_code: ExitCode = ExitCode.FAILURE,
    ) -> None:
        super().__init__(message)
        self.failure = Failure(code, message, hint, exit_code)


def failure_of(error: Exception) -> Failure | None:
    """What to say about `error`; None for what nobody foresaw."""
    match error:
        case CommandFailed():
            return error.failure
        case MobilesyncError():
            return Failure(error.code, error.message, error.hint, _exit_code(error))
        case ClientStopped():
            return Failure("STOPPED", error.message, error.hint, ExitCode.REFUSED)
        case NotConnected():
            return Failure("NOT_CONNECTED", error.message, error.hint, ExitCode.RETRY)
        case ClientError():
            return Failure("CLIENT", error.message, error.hint, ExitCode.FAILURE)
        case PublishError():
            return _failure_of_publish(error)
        case httpx.TransportError():
            hint = "is the server running, and is this its address?"
            return Failure("UNREACHABLE", _reason(error), hint, ExitCode.RETRY)
        case TimeoutError():
            return Failure("TIMEOUT", "it took too long", "try again", ExitCode.RETRY)
        case OSError():
            return Failure("SYSTEM", _reason(error), "", ExitCode.FAILURE)
    return None


def tell(failure: Failure, *, as_json: bool) -> None:
    """Say it on standard error."""
    if as_json:
        body = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        sys.stderr.write(msgspec.json.encode({"error": body}).decode() + "\n")
        return
    click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(failure.message, err=True)
    if failure.hint:
        click.echo(f"Hint: {failure.hint}", err=True)


def _exit_code(error: MobilesyncError) -> ExitCode:
    if isinstance(error, BadSetting):
        return ExitCode.USAGE
    if isinstance(error, Refused | OutcomeUnknown):
        return ExitCode.RETRY
    if isinstance(error, InvalidRequest):
        return ExitCode.REFUSED
    return ExitCode.FAILURE


def _failure_of_publish(error: PublishError) -> Failure:
    exit_code = ExitCode.RETRY if isinstance(error, Unavailable | Unknown) else ExitCode.REFUSED
    code = error.code or "NO_ANSWER"
    if not error.items:
        return Failure(code, error.message, error.hint, exit_code)
    first = error.items[0]
    if len(error.items) == 1 and first.index == 0:
        return Failure(first.code, first.message, first.hint, exit_code)
    items = "; ".join(f"item {item.index}: {item.message}" for item in error.items[:ITEMS_SHOWN])
    return Failure(code, f"{error.message}: {items}", first.hint, exit_code)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__

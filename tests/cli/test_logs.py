"""The log: its forms, and what must never be in it."""

import contextlib
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from mobilesync.cli.logs import set_up_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def _fail(payload: str) -> None:
    doubled = payload * 2
    raise ValueError(len(doubled))


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("json", "info")
    structlog.get_logger("x").info("serving", port=7443)
    structlog.get_logger("x").debug("not this")
    logging.getLogger("other").warning("from %s", "elsewhere")
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.err.splitlines()]
    assert [line["event"] for line in lines] == ["serving", "from elsewhere"]
    assert lines[0]["port"] == 7443
    assert {line["level"] for line in lines} == {"info", "warning"}
    assert captured.out == ""


def test_auto_is_json_where_nobody_reads(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("auto", "info")
    structlog.get_logger("x").info("serving")
    assert json.loads(capsys.readouterr().err)["event"] == "serving"


@pytest.mark.parametrize("form", ["console", "json"])
def test_secrets_are_struck_out(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(form, "info")  # type: ignore[arg-type] # parametrize widens to str
    structlog.get_logger("x").info("x", token="t0k3n", api_key="k3y", hs256_secret="s3cr3t")
    err = capsys.readouterr().err
    assert "***" in err
    assert not any(secret in err for secret in ("t0k3n", "k3y", "s3cr3t"))


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_shows_no_variables(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They hold payloads, tokens and keys."""
    set_up_logs(form, "info")  # type: ignore[arg-type] # parametrize widens to str
    try:
        _fail(f"priv4te-{len(form) * 0}")
    except ValueError:
        structlog.get_logger("x").exception("it_failed")
        logging.getLogger("other").exception("it failed")
    err = capsys.readouterr().err
    assert err.count("ValueError") >= 2
    assert "priv4te-0" not in err


def test_a_lost_log_does_not_end_what_was_being_done(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up_logs("json", "info")
    with open("/dev/full", "w", buffering=1) as full:  # line-buffered
        monkeypatch.setattr("sys.stderr", full)
        structlog.get_logger("x").info("x" * 10_000)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()


def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("json", "error")
    structlog.get_logger("x").warning("not this")
    logging.getLogger("other").warning("nor this")
    structlog.get_logger("x").error("this")
    assert len(capsys.readouterr().err.splitlines()) == 1

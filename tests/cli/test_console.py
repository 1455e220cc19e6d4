"""What is shown: safe for a terminal, whole for a script."""

import io
import json

import pytest

from mobilesync.cli.console import (
    DataConsole,
    TalkConsole,
    marked,
    program,
    say,
    shown,
    shown_payload,
    write_json,
    write_line,
)


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert shown("a\x1b[31mb\nc\u202e") == "a�[31mb�c�"


def test_long_text_is_cut() -> None:
    assert shown("x" * 300, 10) == "xxxxxxxxx…"
    assert shown("x" * 10, 10) == "x" * 10


def test_marks_stay_text_where_they_would_be_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    say(marked("[red]x[/red]\x1b"))
    assert capsys.readouterr().err == "[red]x[/red]�\n"


def test_payloads() -> None:
    assert shown_payload("hé".encode()) == "hé"
    assert shown_payload(b"\xff\xfe") == "(2 bytes)"


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"a": "x\ny", "b": b"\xff"})
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {"a": "x\ny", "b": "/w=="}


def test_data_and_talk_go_different_ways(capsys: pytest.CaptureFixture[str]) -> None:
    write_line("data")
    say("[bold]" + "talk " * 60 + "[/bold]")
    captured = capsys.readouterr()
    assert captured.out == "data\n"
    assert captured.err == "talk " * 60 + "\n"


def test_a_server_goes_on_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    monkeypatch.setattr("sys.stdout", Gone())
    talk, data = TalkConsole(stderr=True), DataConsole()
    talk.print("x")
    assert talk.quiet
    with pytest.raises(BrokenPipeError):
        data.print("x")


def test_the_program_is_named_so_that_it_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/mobilesync"])
    monkeypatch.setenv("PATH", "")
    assert program() == ".venv/bin/mobilesync"

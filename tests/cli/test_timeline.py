"""Lines of the demo."""

import io

import pytest

from mobilesync.cli import timeline as module
from mobilesync.cli.console import DataConsole
from mobilesync.cli.timeline import Timeline


def test_lines_tell_who_did_what(capsys: pytest.CaptureFixture[str]) -> None:
    timeline = Timeline()
    timeline.title("1  A part [of it]")
    timeline.tell("alice", "handles [bold] #1\x1b", "2 ms")
    timeline.tell("bob", "x" * 300)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "1  A part [of it]"
    assert lines[2].endswith("s  alice         handles [bold] #1�  2 ms")
    assert lines[3].endswith("…")
    assert len(lines) == 4


@pytest.mark.parametrize(
    "columns, tail", [(80, "what  12.3 ms later"), (40, "what  12 ms"), (32, "what")]
)
def test_lines_fit_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, tail: str) -> None:
    out = io.StringIO()
    terminal = DataConsole(file=out, force_terminal=True, width=columns, color_system=None)
    monkeypatch.setattr(module, "OUT", terminal)
    Timeline().tell("alice", "what", "12.3 ms later", brief="12 ms")
    line = out.getvalue().rstrip("\n")
    assert line.endswith(tail)
    assert len(line) <= columns

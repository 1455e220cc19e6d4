"""Lines of the demo."""

import pytest

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

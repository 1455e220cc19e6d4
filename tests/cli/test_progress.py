"""Progress: shown to a person, silent for a script."""

import pytest
from rich.console import Console

from mobilesync.cli import progress
from mobilesync.cli.progress import bytes_progress, rows_progress


def test_nothing_for_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (True, False):
        with bytes_progress("Copying", quiet=quiet) as report:
            report(1, 2)
        with rows_progress("Reading", quiet=quiet) as count:
            count(1)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "ERR", Console(stderr=True, force_terminal=True))
    with bytes_progress("Copying", quiet=False) as report:
        report(1_000_000, 2_000_000)
    with rows_progress("Reading", quiet=False) as count:
        count(1234)
    captured = capsys.readouterr()
    assert "Copying" in captured.err
    assert "1.0/2.0" in captured.err
    assert "Reading 1234 rows" in captured.err
    assert captured.out == ""

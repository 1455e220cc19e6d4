"""Exit codes: each is told to whoever writes a script."""

from mobilesync.cli.exit_codes import MEANINGS, ExitCode
from mobilesync.cli.root import EPILOG


def test_each_code_is_in_the_help() -> None:
    for code in ExitCode:
        assert f"{code.value} {MEANINGS[code]}" in EPILOG


def test_the_shells_own_codes_are_kept() -> None:
    assert (ExitCode.OK, ExitCode.USAGE, ExitCode.INTERRUPTED) == (0, 2, 130)

"""The command as a whole: help, mistakes, exit codes, and starting without the server's extra."""

import subprocess
import sys

import click
import pytest

from mobilesync import __version__
from mobilesync.cli import __main__ as entrance
from mobilesync.cli.root import COMMANDS, root, run
from tests.cli.conftest import Cli, environment

HEAVY = ("rocksdict", "httptools", "cryptography", "httpx", "structlog", "rich")


def _python(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )


def test_help_lists_every_command(cli: Cli) -> None:
    ended = cli("--help")
    assert ended.code == 0
    for name, entry in COMMANDS.items():
        assert (f"  {name} " in ended.out) is not entry.hidden


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(cli: Cli, name: str) -> None:
    ended = cli(name, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: mobilesync {name}")


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out == f"{__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    """So that it is quick, and works where they are not installed."""
    ended = _python(
        "import sys; from mobilesync.cli.root import run; run(['--help']);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    assert ended.returncode == 0
    assert ended.stderr == "[]\n"


@pytest.mark.parametrize("missing", ["click", "rich", "rocksdict"])
def test_without_the_extra_there_is_a_sentence(missing: str) -> None:
    ended = _python(
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['mobilesync', 'serve'];"
        "from mobilesync.cli.__main__ import main; main()"
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"Error: this command needs {missing}, which is not installed.")
    assert "pip install 'mobilesync[server]'" in ended.stderr


def test_a_missing_module_of_ours_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mobilesync.cli.root", None)
    with pytest.raises(ModuleNotFoundError):
        entrance.main()


def test_a_misspelled_command(cli: Cli) -> None:
    ended = cli("pubish")
    assert ended.code == 2
    assert "did you mean publish?" in ended.err


def test_a_wrong_option(cli: Cli) -> None:
    ended = cli("publish", "--colour")
    assert ended.code == 2
    assert "--colour" in ended.err


@pytest.mark.parametrize(
    "error, code",
    [
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (click.exceptions.Exit(5), 5),
        (FileNotFoundError(2, "No such file", "x"), 1),
    ],
)
def test_how_it_ends(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(root, "main", fail)
    assert run([]) == code


def test_a_bug_is_shown_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(root, "main", fail)
    with pytest.raises(ZeroDivisionError):
        run([])


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    code = (
        "import sys; from mobilesync.cli.root import root, run\n"
        "def fail(*a, **k): sys.stdout.write('x' * 100_000); sys.stdout.flush()\n"
        "root.main = fail; sys.exit(run([]))"
    )
    ended = subprocess.run(
        f"'{sys.executable}' -c \"$CODE\" | head -c 1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        env={**environment(), "CODE": code},
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")

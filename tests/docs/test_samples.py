"""What the documentation shows is what happens.

- `console` blocks: the commands of a page are run in order, in a folder of their own; the lines
  that follow a command are its output, where `…` stands for anything.
- `python` blocks: they compile, and what they import is there.
- `toml` blocks: they are TOML, and sync configs in them are good ones. A block that begins with the
  name of a file (`# name.toml`) is that file for the page's commands.
"""

import ast
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

from mobilesync.cli.config_file import read_file
from mobilesync.domain.sync_config import SyncConfig, check_sync_config
from tests.measurement import unmeasured_environment

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FILE = re.compile(r"# (\w+\.toml)\n")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
START_TIMEOUT_S = 30
COMMAND_TIMEOUT_S = 30


def blocks(page: Path, language: str) -> list[str]:
    return [body for name, body in BLOCK.findall(page.read_text()) if name == language]


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def steps(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Each command of the page with the lines of output that it shows."""
    command, shown = "", list[str]()
    for line in "".join(blocks(page, "console")).splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], []
        else:
            shown.append(line)
    if command:
        yield command, shown


def write_files(page: Path, folder: Path) -> None:
    """The files that the page shows."""
    for body in blocks(page, "toml"):
        if named := FILE.match(body):
            (folder / named[1]).write_text(body)


def matches(shown: list[str], output: str) -> bool:
    """Whether `output` is what is shown; how wide its columns are does not matter."""
    lines = [" ".join(line.split()) for line in shown]
    pattern = r"\s*".join(".*".join(map(re.escape, line.split("…"))) for line in lines)
    return re.fullmatch(pattern + r"\s*", " ".join(output.split()), re.DOTALL) is not None


class Shell:
    """Runs a page's commands; what ends in `&` goes on until the page is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept = {
            k: v for k, v in unmeasured_environment().items() if not k.startswith("MOBILESYNC_")
        }
        self.environment = {**kept, "PATH": path, "NO_COLOR": "1", "COLUMNS": "200"}
        self.servers: list[subprocess.Popen[bytes]] = []

    def start(self, command: str) -> None:
        ports = " --port 0 --api-port 0 --drain-s 0.1"
        with (self.folder / "server.log").open("wb") as log:
            server = subprocess.Popen(
                ["sh", "-c", f"exec {command.removesuffix('&').strip()}{ports}"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.servers.append(server)
        ready = self.folder / "mobilesync-data" / "development.json"
        end_s = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            assert server.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < end_s, "the server did not start"
            time.sleep(0.05)

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def close(self) -> None:
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
            server.wait(START_TIMEOUT_S)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize("page", pages_with("console"), ids=name_of)
def test_commands_do_what_the_page_shows(page: Path, shell: Shell) -> None:
    write_files(page, shell.folder)
    for command, shown in steps(page):
        if command.startswith("make "):
            continue  # this very run is one of them, the other never ends
        if command.startswith("mobilesync sim --seeds"):
            continue  # tests/sim/test_seeds.py runs them
        if command.endswith("&"):
            shell.start(command)
            continue
        output = shell.run(command)
        assert not shown or matches(shown, output), f"$ {command}\n{output}"


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_python_samples_compile_and_import_what_exists(page: Path) -> None:
    for body in blocks(page, "python"):
        compile(body, name_of(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


@pytest.mark.parametrize("page", pages_with("toml"), ids=name_of)
def test_toml_samples_can_be_read(page: Path, tmp_path: Path) -> None:
    for body in blocks(page, "toml"):
        if "bizzes" in tomllib.loads(body):
            file = tmp_path / "bizzes.toml"
            file.write_text(body)
            for each in read_file(file):
                check_sync_config(msgspec.convert(each, SyncConfig))


def test_a_sample_that_shows_something_else_would_be_found() -> None:
    assert matches(["…#1…hello…"], "at 12:00 CHAT #1: hello there\n")
    assert not matches(["…#1…hello…"], "at 12:00 CHAT #2: hello there\n")
    assert not matches(["one"], "one\ntwo\n")

"""The generated pages say what the code does."""

from pathlib import Path

import pytest

from mobilesync.cli.app_tables import APP_KEYS
from mobilesync.cli.reference import pages
from mobilesync.cli.root import COMMANDS, root
from mobilesync.cli.settings import SETTINGS
from tests.cli.conftest import Cli

DOCS = Path(__file__).parents[2] / "docs"
PAGES = pages(root)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_pages_have_not_drifted(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name], "run: mobilesync reference"


def test_everything_is_on_its_page() -> None:
    settings, commands = PAGES["operating/settings.md"], PAGES["reference/cli.md"]
    assert all(f"### {setting.name}\n" in settings for setting in SETTINGS)
    assert all(f"| `{key}` |" in settings for key in APP_KEYS)
    shown = [name for name, entry in COMMANDS.items() if not entry.hidden]
    assert all(f"## mobilesync {name}\n" in commands for name in shown)


def test_every_command_has_an_example() -> None:
    sections = PAGES["reference/cli.md"].split("\n## mobilesync ")[1:]
    without = {each.split("\n")[0] for each in sections if "Example" not in each}
    assert not {
        name for name in without if not name.startswith(("key", "inspect ", "config ", "webhook "))
    }


def test_the_command_writes_them(cli: Cli, tmp_path: Path) -> None:
    assert cli("reference", tmp_path).code == 0
    assert (tmp_path / "reference/cli.md").read_text() == PAGES["reference/cli.md"]

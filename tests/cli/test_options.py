"""Options that are made from the table of settings."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from mobilesync.cli.options import configuration, data_folder, settings_options
from mobilesync.cli.settings import SETTINGS


@click.command
@settings_options
def probe(**flags: Any) -> None:
    click.echo(repr({name: value for name, value in flags.items() if value is not None}))


def test_every_setting_has_a_flag() -> None:
    help_text = CliRunner().invoke(probe, ["--help"]).output
    assert all(setting.flag in help_text for setting in SETTINGS)


def test_only_what_was_given_is_passed_on() -> None:
    assert CliRunner().invoke(probe, []).output == "{}\n"
    given = CliRunner().invoke(probe, ["--port", "0", "--no-api-tls"]).output
    assert given == "{'port': '0', 'api_tls': False}\n"


def test_the_data_folder(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_folder(None, Path("mine")) == Path("mine")
    assert data_folder(None, None) == Path("mobilesync-data")
    monkeypatch.setenv("MOBILESYNC_DATA", "other")
    assert data_folder(None, None) == Path("other")
    assert configuration(None, {"data": "third"}).settings.data == Path("third")

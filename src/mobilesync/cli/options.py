"""Options that several commands share, and the flags that are made from the table of settings."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from mobilesync.cli.configuration import Configuration, load_configuration
from mobilesync.cli.setting import Setting
from mobilesync.cli.settings import SETTINGS

_F = TypeVar("_F", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON, one object a line, and nothing else."
)
config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings file.  [default: $MOBILESYNC_CONFIG, or mobilesync.toml if it is here]",
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="The data folder.  [default: from the settings]",
)


def settings_options(function: _F) -> _F:
    """Add a flag for every setting; the values arrive in one mapping called `flags`."""
    for setting in reversed(SETTINGS):
        function = click.option(
            _declaration(setting),
            setting.name,
            metavar=_metavar(setting),
            help=_help(setting),
            default=None,
        )(function)
    return function


def configuration(config: Path | None, flags: Mapping[str, object]) -> Configuration:
    """All settings, for a command. Raises BadSetting."""
    return load_configuration(config, os.environ, flags)


def data_folder(config: Path | None, data: Path | None) -> Path:
    """The data folder that the command is about. Raises BadSetting."""
    return data if data is not None else configuration(config, {}).settings.data


def _declaration(setting: Setting) -> str:
    if setting.kind == "switch":
        return f"{setting.flag}/--no-{setting.flag[2:]}"
    return setting.flag


def _metavar(setting: Setting) -> str | None:
    if setting.kind == "switch":
        return None
    return f"[{'|'.join(setting.choices)}]" if setting.choices else setting.kind.upper()


def _help(setting: Setting) -> str:
    purpose = setting.purpose.replace("`", "")
    return (
        f"{purpose}  [default: {setting.show(setting.default)}]"
        if setting.default != ""
        else purpose
    )

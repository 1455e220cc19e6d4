"""What a server runs with: the settings file, then the environment, then the command's flags.

Strategy: each source overrides the one before it, setting by setting, and every value remembers
where it came from, so that a complaint can name the place. The mode is settled first, since it
decides some defaults. Nothing unknown is passed over: a misspelled setting would otherwise be a
setting that silently does not hold.

Not here: the table (settings.py), apps (app_tables.py), refused combinations (safety.py).
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from mobilesync.api.options import MssOptions
from mobilesync.cli.app_tables import read_apps, read_mss
from mobilesync.cli.push_services import PushServices, read_push_services
from mobilesync.cli.safety import check_safety
from mobilesync.cli.setting import BadSetting, Setting, Value
from mobilesync.cli.settings import SETTINGS, Settings
from mobilesync.cli.suggestion import did_you_mean
from mobilesync.engine.apps import App
from mobilesync.engine.clock import SystemClock

DEFAULT_FILE = Path("mobilesync.toml")
FILE_BYTES_MAX = 1024 * 1024
PREFIX = "MOBILESYNC_"
OTHER_VARIABLES = ("MOBILESYNC_CONFIG", "MOBILESYNC_API_URL", "MOBILESYNC_API_KEY")
"""Variables of commands that are no settings of the server."""
_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Configuration(Struct, frozen=True):
    """Everything that was configured, checked."""

    settings: Settings
    apps: tuple[App, ...]
    """Empty only in development: then a demo app is made."""
    sources: dict[str, str]
    """Where each setting's value came from; `default` if from nowhere."""
    file: Path | None
    """The settings file, if there is one."""
    mss: MssOptions = MssOptions()
    """How callers written for MSS name the apps."""
    push: Mapping[str, PushServices] = {}
    """The push services of those apps that have any."""


def load_configuration(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> Configuration:
    """Read and check all sources. `flags` maps names of settings to values; None is "not given".

    Without `file`, MOBILESYNC_CONFIG names it, else `mobilesync.toml` is read if it is there.
    Raises BadSetting.
    """
    path = _file_path(file, environment)
    table, source = _read_file(path) if path else ({}, "")
    tables = table.pop("apps", {})
    apps = read_apps(tables, source)
    values: dict[str, Value] = {}
    sources = dict.fromkeys(_BY_NAME, "default")
    for setting, raw, origin in (
        *_from_file(table, source),
        *_from_environment(environment),
        *_from_flags(flags),
    ):
        values[setting.name] = setting.read(raw, origin)
        sources[setting.name] = origin
    settings = _settings(values)
    check_safety(settings, apps)
    mss = read_mss(apps, tables, source)
    push = read_push_services(apps, tables, source, SystemClock())
    return Configuration(settings, tuple(apps), sources, path, mss, push)


def _settings(values: Mapping[str, Value]) -> Settings:
    in_production = values.get("mode") == "production"
    complete: dict[str, Any] = {
        setting.name: setting.production if in_production else setting.default
        for setting in SETTINGS
    }
    return Settings(**{**complete, **values})


def _file_path(file: Path | None, environment: Mapping[str, str]) -> Path | None:
    if file is not None:
        return file
    named = environment.get("MOBILESYNC_CONFIG", "")
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _read_file(path: Path) -> tuple[dict[str, Any], str]:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        hint = "does it exist, and may this user read it?"
        reason = getattr(error, "strerror", None) or "not a path"
        raise BadSetting(f"cannot read {path}: {reason}", field="config", hint=hint) from None
    if len(data) > FILE_BYTES_MAX:
        raise BadSetting(f"{path} is too large", field="config", hint=f"{FILE_BYTES_MAX} bytes")
    try:
        return tomllib.loads(data.decode()), path.name
    except (ValueError, RecursionError) as error:  # its own errors, bad UTF-8, huge numbers
        hint = "settings are lines such as: port = 7443"
        raise BadSetting(f"{path} is no TOML: {error}", field="config", hint=hint) from None


def _from_file(table: Mapping[str, Any], source: str) -> list[tuple[Setting, object, str]]:
    for name in table:
        if name not in _BY_NAME:
            hint = did_you_mean(name, [*_BY_NAME, "apps"])
            raise BadSetting(f"{source}: unknown setting {name!r}", field=name, hint=hint)
    return [(_BY_NAME[name], raw, f"in {source}") for name, raw in table.items()]


def _from_environment(environment: Mapping[str, str]) -> list[tuple[Setting, object, str]]:
    found: list[tuple[Setting, object, str]] = []
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        setting = _BY_NAME.get(variable[len(PREFIX) :].lower())
        if setting is None or variable != setting.variable:
            known = [*(setting.variable for setting in SETTINGS), *OTHER_VARIABLES]
            hint = did_you_mean(variable, known)
            message = f"the environment: unknown setting {variable}"
            raise BadSetting(message, field=variable, hint=hint)
        found.append((setting, environment[variable], f"{variable} in the environment"))
    return found


def _from_flags(flags: Mapping[str, object]) -> list[tuple[Setting, object, str]]:
    return [
        (_BY_NAME[name], raw, f"the flag {_BY_NAME[name].flag}")
        for name, raw in flags.items()
        if raw is not None
    ]

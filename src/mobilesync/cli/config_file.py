"""The sync configs of an app as one file, fit for version control: TOML, a table for each biz.

    [bizzes.CHAT]
    retention_s = 604800
    scope = "appointed"

Strategy: the same configs always make the same text. Bizzes and rules are sorted, and only rules
that are not the default are written, so that a difference between two files is one between two
states. A file is read for its form only; what the rules may be is for the server to judge, which
tells everything that is wrong at once.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed
from mobilesync.domain.config_change import own_rules
from mobilesync.domain.sync_config import SyncConfig

TABLE = "bizzes"
FILE_BYTES_MAX = 2 * 1024 * 1024
_INTEGER_MAX = 2**63


def write_file(configs: Iterable[SyncConfig]) -> str:
    """The text of the file for `configs`."""
    tables = {
        config.biz: dict(sorted(own_rules(config).items()))
        for config in sorted(configs, key=lambda config: config.biz)
    }
    return tomli_w.dumps({TABLE: tables})


def read_file(path: Path) -> list[dict[str, Any]]:
    """The bizzes of a file, each with its name and the rules that it gives, as the API wants them.

    Raises CommandFailed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise _bad(f"cannot read {path}: {reason}", "does it exist?") from None
    if len(data) > FILE_BYTES_MAX:
        raise _bad(f"{path} is too large", f"at most {FILE_BYTES_MAX} bytes")
    try:
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # its own errors, bad UTF-8, huge numbers
        raise _bad(f"{path} is no TOML: {error}", "mobilesync config export shows one") from None
    return _bizzes(path, document)


def _bizzes(path: Path, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    hint = f"tables such as [{TABLE}.CHAT], and nothing else"
    foreign = next((name for name in document if name != TABLE), None)
    if foreign is not None:
        raise _bad(f"{path}: {foreign!r} does not belong here", hint)
    tables = document.get(TABLE)
    if not isinstance(tables, Mapping):
        raise _bad(f"{path} has no table [{TABLE}]", hint)
    bizzes: list[dict[str, Any]] = []
    for biz, rules in tables.items():
        if not isinstance(rules, Mapping):
            raise _bad(f"{path}: {TABLE}.{biz} is no table", hint)
        for rule, value in rules.items():
            _check_value(f"{path}: [{TABLE}.{biz}] {rule}", rule, value)
        bizzes.append({**rules, "biz": biz})
    return bizzes


def _check_value(where: str, rule: str, value: object) -> None:
    if rule == "biz":
        raise _bad(f"{where} is no rule", "the table's name is the biz")
    fits = isinstance(value, str | bool) or (isinstance(value, int) and abs(value) < _INTEGER_MAX)
    if not fits:
        raise _bad(f"{where} is no rule's value", "a text, a whole number, true or false")


def _bad(message: str, hint: str) -> CommandFailed:
    return CommandFailed(message, hint=hint, code="BAD_FILE", exit_code=ExitCode.USAGE)

"""`mobilesync config`: the sync configs of an app, one by one, or all of them from a file.

Strategy: whatever changes something first reads the state that it changes, and has the server
refuse when that is no longer the state. For one biz the command then tries again by itself; for a
file it leaves that to the person, who has seen a plan that no longer holds.

Not here: the file (config_file.py), what a change means (the server says it).
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.table import Table

from mobilesync.cli.access import api_access, api_options, app_option
from mobilesync.cli.api_client import ApiAccess, ApiClient
from mobilesync.cli.config_file import read_file, write_file
from mobilesync.cli.console import ERR, OUT, marked, shown, write_json, write_text
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed
from mobilesync.cli.options import config_option, data_option, json_option
from mobilesync.cli.suggestion import did_you_mean
from mobilesync.domain.config_change import own_rules, rules_of
from mobilesync.domain.names import check_biz
from mobilesync.domain.sync_config import SyncConfig

TRIES_MAX = 5
"""Somebody else changes something between a read and a write: rare, so a few times is plenty."""

_F = TypeVar("_F", bound=Callable[..., Any])
_RULES = tuple(rules_of(SyncConfig(biz="X")))
_SIGNS = {"create": "[green]+[/green]", "change": "[yellow]~[/yellow]", "remove": "[red]-[/red]"}
_PLACE = re.compile(r" - at `[^`]*`$")


def _where(function: _F) -> _F:
    """The options by which a command finds the server."""
    return app_option(api_options(config_option(data_option(function))))


@click.group(
    "config",
    epilog="""
    \b
    Examples:
      mobilesync config list
      mobilesync config set NEWS scope=global retention_s=86400 --create
      mobilesync config offline NEWS
      mobilesync config export > bizzes.toml
      mobilesync config plan bizzes.toml
      mobilesync config apply bizzes.toml --prune
    """,
)
def command() -> None:
    """Configure the bizzes of an app: what their rules are.

    Changes are in effect, also on connected devices, when the command returns.
    """


@command.command("list", short_help="List the bizzes of an app.")
@_where
@json_option
def list_(as_json: bool, **where: Any) -> None:
    """Show all bizzes and their rules that are not the default."""
    access = _access(**where)
    with ApiClient(access) as api:
        configs = _configs(api, access)[0]
    if as_json:
        for config in configs:
            write_json(config)
        return
    table = Table("biz", "status", "rules", "description")
    for config in configs:
        own = {
            rule: value
            for rule, value in own_rules(config).items()
            if rule not in ("status", "description")
        }
        rules = " ".join(f"{rule}={_text(value)}" for rule, value in own.items())
        table.add_row(config.biz, config.status, rules, marked(config.description, 60))
    OUT.print(table if configs else "The app has no bizzes.")


@command.command("show", short_help="Show every rule of a biz.")
@click.argument("biz")
@_where
@json_option
def show(biz: str, as_json: bool, **where: Any) -> None:
    """Show every rule of BIZ."""
    access = _access(**where)
    with ApiClient(access) as api:
        config = msgspec.convert(api.get(_path(access, "bizzes", check_biz(biz))), SyncConfig)
    if as_json:
        write_json(config)
        return
    table = Table("rule", "value", "")
    own = own_rules(config)
    for rule, value in rules_of(config).items():
        table.add_row(rule, marked(_text(value)), "" if rule in own else "default")
    OUT.print(table)


@command.command("set", short_help="Change rules of a biz, or make one.")
@click.argument("biz")
@click.argument("rules", metavar="KEY=VALUE...", nargs=-1)
@click.option("--create", is_flag=True, help="Make the biz if there is none of this name.")
@_where
@json_option
def set_(biz: str, rules: tuple[str, ...], create: bool, as_json: bool, **where: Any) -> None:
    """Change some rules of BIZ and leave the others; nothing after = means the default."""
    wanted = dict(_rule(text) for text in rules)
    if not wanted and not create:
        raise click.UsageError("give rules as KEY=VALUE")

    def edit(config: SyncConfig) -> SyncConfig:
        return _with(config, wanted)

    _show_changes(change_biz(_access(**where), biz, edit, create=create), as_json)


@command.command("online", short_help="Take a biz online.")
@click.argument("biz")
@_where
@json_option
def online(biz: str, as_json: bool, **where: Any) -> None:
    """Take BIZ online: publishes are taken, and what was withheld is pushed."""
    _show_changes(change_biz(_access(**where), biz, _status("online")), as_json)


@command.command("offline", short_help="Take a biz offline.")
@click.argument("biz")
@_where
@json_option
def offline(biz: str, as_json: bool, **where: Any) -> None:
    """Take BIZ offline: publishes are refused, and its backlog is withheld."""
    _show_changes(change_biz(_access(**where), biz, _status("offline")), as_json)


@command.command("remove", short_help="Remove a biz.")
@click.argument("biz")
@_where
@json_option
def remove(biz: str, as_json: bool, **where: Any) -> None:
    """Remove BIZ: publishes are refused, and what is stored ends with its retention."""
    access = _access(**where)
    with ApiClient(access) as api:
        api.delete(_path(access, "bizzes", check_biz(biz)))
    if as_json:
        write_json({"biz": biz, "action": "remove"})
    else:
        ERR.print(f"{marked(biz)} is removed.")


@command.command("export", short_help="Write all bizzes as a file.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it.  [default: standard output]",
)
@_where
def export(output: Path | None, **where: Any) -> None:
    """Write the bizzes of the app as TOML: a table for each, with what is not the default.

    The same configs always make the same file.
    """
    access = _access(**where)
    with ApiClient(access) as api:
        text = write_file(_configs(api, access)[0])
    if output is None:
        write_text(text)
    else:
        output.write_text(text)


@command.command("plan", short_help="Say what a file would change.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--prune", is_flag=True, help="Also remove the bizzes that the file does not have.")
@_where
@json_option
def plan(file: Path, prune: bool, as_json: bool, **where: Any) -> None:
    """Show what applying FILE would change, and what that means. Changes nothing."""
    access = _access(**where)
    body = {"bizzes": read_file(file), "prune": prune}
    with ApiClient(access) as api:
        planned = api.post(_path(access, "config", "plan"), body)
    _show_changes(planned, as_json)
    if not as_json:
        OUT.print(f"Revision {planned['revision']}")


@command.command("apply", short_help="Change what a file says.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--prune", is_flag=True, help="Also remove the bizzes that the file does not have.")
@click.option(
    "--revision",
    default="",
    help="Only if nothing was changed since the plan that showed this revision.",
)
@_where
@json_option
def apply(file: Path, prune: bool, revision: str, as_json: bool, **where: Any) -> None:
    """Make the bizzes what FILE says: all of it, or nothing when anything is wrong."""
    access = _access(**where)
    body = {"bizzes": read_file(file), "prune": prune, "revision": revision}
    with ApiClient(access) as api:
        _show_changes(api.post(_path(access, "config", "apply"), body), as_json)


def change_biz(
    access: ApiAccess,
    biz: str,
    edit: Callable[[SyncConfig], SyncConfig],
    *,
    create: bool = False,
) -> Any:
    """Have `edit` make of a biz's rules what they shall be; answers what the API does.

    No change that somebody else makes meanwhile is lost. Raises CommandFailed, InvalidRequest.
    """
    check_biz(biz)
    with ApiClient(access) as api:
        for attempt in range(1, TRIES_MAX + 1):
            configs, revision = _configs(api, access)
            config = next((each for each in configs if each.biz == biz), None)
            if config is None and not create:
                raise CommandFailed(
                    f"there is no biz {biz}",
                    hint="config list shows all; config set --create makes one",
                    code="UNKNOWN_BIZ",
                    exit_code=ExitCode.REFUSED,
                )
            wanted = edit(config or SyncConfig(biz=biz))
            body = {"bizzes": [wanted], "revision": revision}
            try:
                return api.post(_path(access, "config", "apply"), body)
            except CommandFailed as error:
                if error.failure.code != "CONFLICT" or attempt == TRIES_MAX:
                    raise
    raise AssertionError("the last try answers or raises")


def _status(status: str) -> Callable[[SyncConfig], SyncConfig]:
    return lambda config: _with(config, {"status": status})


def _with(config: SyncConfig, wanted: dict[str, str]) -> SyncConfig:
    """`config` with some rules as a person has written them. Raises CommandFailed."""
    plain = rules_of(SyncConfig(biz=config.biz))
    given = {rule: text or plain[rule] for rule, text in wanted.items()}
    try:
        return msgspec.convert({**msgspec.to_builtins(config), **given}, SyncConfig, strict=False)
    except msgspec.ValidationError as error:
        place = re.search(r"\$\.(\w+)", str(error))
        rule = place[1] if place else "a rule"
        reason = _PLACE.sub("", str(error))
        message = f"{rule}={shown(wanted.get(rule, ''), 40)} is no value of this rule: {reason}"
        raise CommandFailed(
            message, hint="docs/guides/configs.md", code="BAD_RULE", exit_code=ExitCode.USAGE
        ) from None


def _rule(text: str) -> tuple[str, str]:
    rule, sign, value = text.partition("=")
    if not sign:
        raise click.UsageError(f"{text!r} is not KEY=VALUE")
    if rule not in _RULES:
        raise click.UsageError(f"no rule {rule!r}; {did_you_mean(rule, _RULES)}")
    return rule, value


def _show_changes(told: Any, as_json: bool) -> None:
    if as_json:
        write_json(told)
        return
    real = [change for change in told["changes"] if change["action"] != "none"]
    for change in real:
        OUT.print(f"{_SIGNS[change['action']]} {marked(change['biz'])}")
        for rule in change["rules"]:
            before, after = (_text(rule[side]) for side in ("from", "to"))
            OUT.print(f"    {rule['rule']}: {marked(before)} → {marked(after)}", soft_wrap=True)
        for sentence in change["impact"]:
            OUT.print(f"    [dim]{marked(sentence, 500)}[/dim]", soft_wrap=True)
    actions = [change["action"] for change in told["changes"]]
    figures = ", ".join(f"{action} {actions.count(action)}" for action in _SIGNS)
    OUT.print(f"{figures}; {actions.count('none')} as before.")


def _text(value: object) -> str:
    """A rule's value as `set` takes it."""
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _configs(api: ApiClient, access: ApiAccess) -> tuple[list[SyncConfig], str]:
    """All configs of the app, and the revision that they are."""
    told = api.get(_path(access, "bizzes"))
    return msgspec.convert(told["bizzes"], list[SyncConfig]), told["revision"]


def _access(
    app: str, api_url: str, api_key: str, config: Path | None, data: Path | None
) -> ApiAccess:
    return api_access(app, api_url, api_key, config, data)


def _path(access: ApiAccess, *parts: str) -> str:
    return "/".join(["/v1/apps", access.app, *parts])

"""`mobilesync webhook`: where events of an app are sent."""

import time
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from mobilesync.cli.access import api_access, api_options, app_option
from mobilesync.cli.api_client import ApiAccess, ApiClient
from mobilesync.cli.console import ERR, OUT, marked, write_json, write_line
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed
from mobilesync.cli.options import config_option, data_option, json_option
from mobilesync.engine.events import KINDS

POLL_S = 0.1


def _options(function: Any) -> Any:
    for option in (json_option, data_option, config_option):
        function = option(function)
    return app_option(api_options(function))


@click.group(
    "webhook",
    epilog="""
    \b
    Examples:
      mobilesync webhook put orders https://shop.example/hooks --kind oplog.processed
      mobilesync webhook test orders
      mobilesync webhook list
    """,
)
def command() -> None:
    """Have a server of yours told what happens: deliveries, devices that come and go, wake-ups.

    Needs an API key of the scope configure.
    """


@command.command("put", short_help="Create a webhook, or replace it.")
@click.argument("name")
@click.argument("url")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    required=True,
    help="Events of this kind; may be given several times.",
)
@click.option("--biz", "bizzes", multiple=True, help="Only events about this biz; several.")
@click.option("--offline", is_flag=True, help="Take no new events, and withhold what waits.")
@click.option("--description", default="", help="For people.")
@click.option(
    "--secret",
    envvar="MOBILESYNC_WEBHOOK_SECRET",
    default="",
    help="Better in the environment, where others do not see it.  "
    "[default: $MOBILESYNC_WEBHOOK_SECRET, or as before, or a new one]",
)
@_options
def put(
    name: str,
    url: str,
    kinds: tuple[str, ...],
    bizzes: tuple[str, ...],
    offline: bool,
    description: str,
    secret: str,
    as_json: bool,
    **where: Any,
) -> None:
    """Send events to URL (https). A secret that is made for it is shown this once."""
    access = _access(**where)
    body = {
        "url": url,
        "kinds": kinds,
        "bizzes": bizzes,
        "status": "offline" if offline else "online",
        "description": description,
        "secret": secret,
    }
    with ApiClient(access) as api:
        kept = api.put(_path(access, name), body)
    if as_json:
        write_json(kept)
        return
    if "secret" in kept:
        write_line(kept["secret"])
        ERR.print("Give it to the receiver: it cannot be shown again.")
    ERR.print(f"Webhook {marked(name)} is {kept['webhook']['status']}.")


@command.command("list", short_help="Show all webhooks, and how their delivery goes.")
@_options
def list_(as_json: bool, **where: Any) -> None:
    """Show all webhooks, and how their delivery goes."""
    access = _access(**where)
    with ApiClient(access) as api:
        webhooks = api.get(f"/v1/apps/{access.app}/webhooks")["webhooks"]
    if as_json:
        for webhook in webhooks:
            write_json(webhook)
        return
    table = Table("name", "status", "address", "kinds", "waiting", "last request")
    for webhook in webhooks:
        age_s = webhook["oldest_age_s"]
        since = f" for {age_s:.0f} s" if age_s is not None else ""
        table.add_row(
            webhook["name"],
            webhook["status"],
            marked(webhook["url"]),
            ", ".join(webhook["kinds"]),
            f"{webhook['queued']}{since}",
            _last(webhook),
        )
    OUT.print(table if webhooks else "There are no webhooks.")


@command.command("remove", short_help="Forget a webhook, and what waits for it.")
@click.argument("name")
@_options
def remove(name: str, as_json: bool, **where: Any) -> None:
    """Forget the webhook NAME, and what waits for it."""
    access = _access(**where)
    with ApiClient(access) as api:
        api.delete(_path(access, name))
    if as_json:
        write_json({"name": name})
    else:
        ERR.print(f"Webhook {marked(name)} is removed.")


@command.command("test", short_help="Send a test event, and tell how it went.")
@click.argument("name")
@click.option(
    "--timeout-s",
    type=click.FloatRange(min=0),
    default=15.0,
    show_default=True,
    help="How long to wait for the receiver.",
)
@_options
def test(name: str, timeout_s: float, as_json: bool, **where: Any) -> None:
    """Send a test event to the webhook NAME, after whatever waits already, and tell how the next
    request to it went."""
    access = _access(**where)
    path = _path(access, name)
    with ApiClient(access) as api:
        tries = api.get(path)["tries"]
        sent = api.post(f"{path}/test", {})
        end_s = time.monotonic() + timeout_s
        while (shown := api.get(path))["tries"] == tries:
            if time.monotonic() > end_s:
                hint = "it is queued; see mobilesync webhook list"
                raise CommandFailed(
                    "no request was made yet", hint=hint, code="QUEUED", exit_code=ExitCode.RETRY
                )
            time.sleep(POLL_S)
    if shown["last_failure"]:
        hint = "it is tried again by itself; until then events wait"
        raise CommandFailed(
            f"the test failed: {shown['last_failure']}",
            hint=hint,
            code="NOT_DELIVERED",
            exit_code=ExitCode.RETRY,
        )
    if as_json:
        write_json({"name": name, "id": sent["id"], "last_status": shown["last_status"]})
    else:
        OUT.print(f"The receiver of {marked(name)} answered {shown['last_status']}.")


def _access(
    app: str, api_url: str, api_key: str, config: Path | None, data: Path | None
) -> ApiAccess:
    return api_access(app, api_url, api_key, config, data)


def _path(access: ApiAccess, name: str) -> str:
    return f"/v1/apps/{access.app}/webhooks/{name}"


def _last(webhook: dict[str, Any]) -> str:
    if not webhook["last_try_ms"]:
        return "none yet"
    return marked(webhook["last_failure"], 60) or f"answered {webhook['last_status']}"

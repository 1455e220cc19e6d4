"""`mobilesync publish`: be the business server."""

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec
from msgspec import Struct

from mobilesync.cli.access import access_of, asks_api
from mobilesync.cli.api_client import ApiAccess
from mobilesync.cli.console import OUT, marked, shown, write_json
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed
from mobilesync.cli.moment import read_moment, shown_s
from mobilesync.domain.reasons import SENTENCES, Reason
from mobilesync.publishing import DryRun, Publication, Published, Publisher

LINES_GROUP = 500
LINE_BYTES_MAX = 2 * 1024 * 1024


class Line(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One line of a file for `--lines`."""

    biz: str
    target: str
    payload: str
    message_id: str = ""
    valid_until_ms: int | None = None
    os: tuple[str, ...] = ()
    app_version_min: str = ""
    app_version_max: str = ""
    users: tuple[str, ...] = ()
    user_number_min: int = 0
    user_number_max: int = 0
    attributes: dict[str, tuple[str, ...]] = {}
    rollout_percent: float = 100.0
    rollout_salt: str = ""
    key: str = ""
    valid_from_ms: int | None = None
    callback: str = ""


@click.command(
    "publish",
    epilog="""
    \b
    Examples:
      mobilesync publish CHAT user:alice "Hello, Alice"
      mobilesync publish PAYMENT user:bob '{"order": 42}' --message-id order-42-paid
      mobilesync publish FLAGS everyone - --key dark-mode --rollout 10 < flags.json
      mobilesync publish NEWS everyone "Sale!" --valid-from 2026-12-24T18:00 --dry-run
      mobilesync publish --lines backlog.jsonl --json

    A line for --lines is a JSON object with biz, target and payload, and whatever is wanted of the
    members of a publish over HTTP, such as message_id, key, users or valid_from_ms.
    """,
)
@click.argument("biz", required=False)
@click.argument("target", required=False)
@click.argument("payload", required=False)
@click.option("--message-id", default="", help="Makes a repetition harmless.  [default: random]")
@click.option("--key", default="", help="Replace older oplogs of this key, where not got yet.")
@click.option(
    "--valid-from",
    callback=read_moment,
    metavar="TIME",
    help="When to append it: 2026-12-24T18:00 (UTC), or +90m from now.",
)
@click.option("--valid-s", type=click.IntRange(min=1), help="End so many seconds after its begin.")
@click.option("--os", "systems", multiple=True, help="Only for this system; several are possible.")
@click.option("--app-version-min", default="", help="Only from this app version on.")
@click.option("--app-version-max", default="", help="Only up to this app version.")
@click.option("--user", "users", multiple=True, help="Only while this user is logged in; several.")
@click.option(
    "--user-number-min",
    type=click.IntRange(min=0),
    default=0,
    help="Only for users whose id is a number from this one on.",
)
@click.option(
    "--user-number-max",
    type=click.IntRange(min=0),
    default=0,
    help="Only for users whose id is a number up to this one.",
)
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only for devices that say so; several values of a name are alternatives.",
)
@click.option("--rollout", type=click.FloatRange(0, 100), default=100.0, help="Only for so many %.")
@click.option("--rollout-salt", default="", help="Chooses which devices.  [default: the biz]")
@click.option("--callback", default="", help="The webhook that is told what became of it.")
@click.option("--dry-run", is_flag=True, help="Only say whom it would reach; publish nothing.")
@click.option("--lines", type=click.File("rb"), help="Publish a file of JSON lines; - is stdin.")
@asks_api
def command(
    biz: str | None,
    target: str | None,
    payload: str | None,
    valid_from: int | None,
    valid_s: int | None,
    lines: BinaryIO | None,
    dry_run: bool,
    app: str,
    api_url: str,
    api_key: str,
    config: Path | None,
    data: Path | None,
    as_json: bool,
    **said: Any,
) -> None:
    """Publish PAYLOAD (- for standard input) to the channel of BIZ and TARGET.

    TARGET is user:<id>, device:<id> or everyone. When the command returns 0, the oplog is stored
    durably and will reach whom it is for.
    """
    access = access_of(app=app, api_url=api_url, api_key=api_key, config=config, data=data)
    if lines is not None:
        if dry_run:
            raise click.UsageError("--dry-run is for one oplog")
        with _publisher(access) as publisher:
            _publish_lines(publisher, lines, as_json)
        return
    if not biz or not target or payload is None:
        raise click.UsageError("give BIZ, TARGET and PAYLOAD, or --lines FILE")
    publication = Publication(
        biz,
        target,
        sys.stdin.buffer.read() if payload == "-" else payload.encode(),
        message_id=said["message_id"],
        valid_from_ms=valid_from,
        valid_until_ms=_until_ms(valid_from, valid_s),
        os=said["systems"],
        app_version_min=said["app_version_min"],
        app_version_max=said["app_version_max"],
        users=said["users"],
        user_number_min=said["user_number_min"],
        user_number_max=said["user_number_max"],
        attributes=_attributes(said["attributes"]),
        rollout_percent=said["rollout"],
        rollout_salt=said["rollout_salt"],
        key=said["key"],
        callback=said["callback"],
    )
    with _publisher(access) as publisher:
        if dry_run:
            _show_dry_run(publisher.dry_run_of(publication), as_json)
        else:
            [published] = publisher.publish_batch([publication])
            _show(publication, published, as_json)


def _publisher(access: ApiAccess) -> Publisher:
    ca_file = access.certificate if access.url.startswith("https:") else ""
    return Publisher(access.url, app=access.app, key=access.key, ca_file=ca_file or None)


def _until_ms(from_ms: int | None, valid_s: int | None) -> int | None:
    if valid_s is None:
        return None
    return (from_ms or time.time_ns() // 1_000_000) + valid_s * 1000


def _attributes(given: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE", param_hint="--attribute")
        found.setdefault(name, []).append(value)
    return found


def _publish_lines(publisher: Publisher, lines: BinaryIO, as_json: bool) -> None:
    publications = _read_lines(lines)
    while group := list(itertools.islice(publications, LINES_GROUP)):
        for publication, published in zip(group, publisher.publish_batch(group), strict=True):
            _show(publication, published, as_json)


def _read_lines(lines: BinaryIO) -> Iterator[Publication]:
    for number, text in enumerate(iter(lambda: lines.readline(LINE_BYTES_MAX), b""), start=1):
        if not text.strip():
            continue
        try:
            line = msgspec.json.decode(text, type=Line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CommandFailed(
                f"line {number} is no publication: {error}",
                hint="lines before it may be published; with message ids, a repetition is harmless",
                code="BAD_LINE",
                exit_code=ExitCode.USAGE,
            ) from None
        yield Publication(**msgspec.structs.asdict(line))


def _show(publication: Publication, published: Published, as_json: bool) -> None:
    biz, target = publication.biz, publication.target
    if as_json:
        code = "DUPLICATED_BIZ_ID" if published.duplicate else "OK"
        code = "SCHEDULED" if published.scheduled else code
        ids = {"id": published.id, "message_id": published.message_id}
        write_json({"biz": biz, "target": target, **ids, "code": code})
        return
    channel = f"{shown(biz)} {shown(target)}"
    what = f"{channel} #{published.id}" if published.id else f"{channel}"
    if published.duplicate:
        told = f"{what} was there before: this message id is known."
    elif published.scheduled:
        due = shown_s(publication.valid_from_ms or 0)
        told = f"{channel}: {shown(published.message_id)} is scheduled for {due} UTC."
    elif published.id == 0:
        told = f"{channel}: sent to who is online."
    else:
        told = f"{what} is stored."
    OUT.print(told, markup=False, soft_wrap=True)


def _show_dry_run(told: DryRun, as_json: bool) -> None:
    if as_json:
        write_json(told)
        return
    if told.code == "DUPLICATED_BIZ_ID":
        as_what = f" as #{told.id}" if told.id else ", scheduled"
        OUT.print(f"Its message id is there already{as_what}: nothing would be stored.")
    elif told.due_ms:
        OUT.print(f"It would be scheduled for {shown_s(told.due_ms)} UTC.")
    only = "" if told.complete else "the first "
    OUT.print(
        f"It would reach {told.matching} of {only}{told.devices} known devices: {told.online} are"
        f" online, {told.offline} get it when they connect.",
        soft_wrap=True,
    )
    for reason, count in sorted(told.refused.items(), key=lambda each: -each[1]):
        OUT.print(f"  {count} not: {reason}, {_sentence(reason)}", soft_wrap=True)
    for reason, count in sorted(told.withheld.items(), key=lambda each: -each[1]):
        OUT.print(f"  {count} not yet: {reason}, {_sentence(reason)}", soft_wrap=True)
    if told.samples:
        names = ", ".join(marked(each.device, 40) for each in told.samples)
        OUT.print(f"Such as {names}.", soft_wrap=True)


def _sentence(reason: str) -> str:
    """In words; nothing for one that only a newer server knows."""
    return SENTENCES[Reason[reason]] if reason in Reason.__members__ else ""

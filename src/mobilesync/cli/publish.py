"""`mobilesync publish`: be the business server."""

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from msgspec import Struct

from mobilesync.cli.access import api_access, api_options, app_option
from mobilesync.cli.console import OUT, shown, write_json
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed
from mobilesync.cli.options import config_option, data_option, json_option
from mobilesync.publishing import Publication, Published, Publisher

LINES_GROUP = 500
LINE_BYTES_MAX = 2 * 1024 * 1024


class Line(Struct, forbid_unknown_fields=True, kw_only=True):
    """One line of a file for `--lines`."""

    biz: str
    target: str
    payload: str
    message_id: str = ""
    valid_until_ms: int | None = None
    os: tuple[str, ...] = ()
    app_version_min: str = ""
    app_version_max: str = ""


@click.command(
    "publish",
    epilog="""
    \b
    Examples:
      mobilesync publish CHAT user:alice "Hello, Alice"
      mobilesync publish PAYMENT user:bob '{"order": 42}' --message-id order-42-paid
      mobilesync publish FLAGS everyone - < flags.json
      mobilesync publish --lines backlog.jsonl --json

    A line for --lines is a JSON object with biz, target and payload, and whatever of message_id,
    valid_until_ms, os, app_version_min and app_version_max is wanted.
    """,
)
@click.argument("biz", required=False)
@click.argument("target", required=False)
@click.argument("payload", required=False)
@click.option("--message-id", default="", help="Makes a repetition harmless.  [default: random]")
@click.option("--valid-s", type=click.IntRange(min=1), help="End after so many seconds.")
@click.option("--os", "systems", multiple=True, help="Only for this system; several are possible.")
@click.option("--app-version-min", default="", help="Only from this app version on.")
@click.option("--app-version-max", default="", help="Only up to this app version.")
@click.option("--lines", type=click.File("rb"), help="Publish a file of JSON lines; - is stdin.")
@app_option
@api_options
@config_option
@data_option
@json_option
def command(
    biz: str | None,
    target: str | None,
    payload: str | None,
    message_id: str,
    valid_s: int | None,
    systems: tuple[str, ...],
    app_version_min: str,
    app_version_max: str,
    lines: BinaryIO | None,
    app: str,
    api_url: str,
    api_key: str,
    config: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Publish PAYLOAD (- for standard input) to the channel of BIZ and TARGET.

    TARGET is user:<id>, device:<id> or everyone. When the command returns 0, the oplog is stored
    durably and will reach whom it is for.
    """
    access = api_access(app, api_url, api_key, config, data)
    ca_file = access.certificate if access.url.startswith("https:") else ""
    publisher = Publisher(access.url, app=access.app, key=access.key, ca_file=ca_file or None)
    with publisher:
        if lines is not None:
            _publish_lines(publisher, lines, as_json)
            return
        if not biz or not target or payload is None:
            raise click.UsageError("give BIZ, TARGET and PAYLOAD, or --lines FILE")
        content = sys.stdin.buffer.read() if payload == "-" else payload.encode()
        valid_until_ms = None if valid_s is None else time.time_ns() // 1_000_000 + valid_s * 1000
        published = publisher.publish(
            biz,
            target,
            content,
            message_id=message_id,
            valid_until_ms=valid_until_ms,
            os=systems,
            app_version_min=app_version_min,
            app_version_max=app_version_max,
        )
    _show(biz, target, published, as_json)


def _publish_lines(publisher: Publisher, lines: BinaryIO, as_json: bool) -> None:
    publications = _read_lines(lines)
    while group := list(itertools.islice(publications, LINES_GROUP)):
        for publication, published in zip(group, publisher.publish_batch(group), strict=True):
            _show(publication.biz, publication.target, published, as_json)


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
        yield Publication(*msgspec.structs.astuple(line))


def _show(biz: str, target: str, published: Published, as_json: bool) -> None:
    if as_json:
        code = "DUPLICATED_BIZ_ID" if published.duplicate else "OK"
        ids = {"id": published.id, "message_id": published.message_id}
        write_json({"biz": biz, "target": target, **ids, "code": code})
        return
    what = f"{shown(biz)} {shown(target)} #{published.id}"
    if published.duplicate:
        OUT.print(f"{what} was there before: this message id is known.", markup=False)
    elif published.id == 0:
        OUT.print(f"{shown(biz)} {shown(target)}: sent to who is online.", markup=False)
    else:
        OUT.print(f"{what} is stored.", markup=False)

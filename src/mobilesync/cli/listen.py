"""`mobilesync listen`: be a device, and show what arrives."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from mobilesync.cli.access import Door, app_option, door_of, parse_server
from mobilesync.cli.console import OUT, marked, say, shown, shown_payload, write_json
from mobilesync.cli.development import Development, require_development
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed
from mobilesync.cli.options import config_option, data_folder, data_option, json_option
from mobilesync.cli.running import run_async
from mobilesync.client import (
    ChannelReset,
    Client,
    ClientEvent,
    Connected,
    Connecting,
    Parked,
    ReceivedNotice,
    ReceivedOplog,
    Stopped,
    Waiting,
)
from mobilesync.client.credentials import TokenSource
from mobilesync.engine.tokens import sign_token

DEVELOPMENT_TOKEN_MS = 3600 * 1000


class Listening(Struct, frozen=True):
    """What one run of the command is about."""

    door: Door
    app: str
    user: str
    device: str
    token: TokenSource
    store: str
    bizzes: tuple[str, ...]
    count: int
    timeout_s: float
    as_json: bool


@click.command(
    "listen",
    epilog="""
    \b
    Examples:
      mobilesync listen CHAT
      mobilesync listen CHAT PAYMENT --user bob --device bobs-tablet
      mobilesync listen CHAT --count 1 --timeout-s 10 --json
      mobilesync listen FLAGS --server sync.example.com:7443 --app shop \\
          --user ada --device phone-1 --token-file token.txt

    What was received is remembered in a local store: the next run with the same device goes on
    where this one stops. With --forget it begins anew and gets everything that is still valid.
    """,
)
@click.argument("bizzes", metavar="BIZ...", nargs=-1, required=True)
@click.option("--user", default="alice", show_default=True, help='Who is logged in; "" for nobody.')
@click.option("--device", default="", help="The device's id.  [default: <user>-terminal]")
@app_option
@click.option("--server", default="", help="HOST:PORT.  [default: the development server]")
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False),
    help="Trust this authority or certificate, besides the machine's own.",
)
@click.option("--fingerprint", help="Trust only the certificate with this SHA-256.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the device's token, read again when the server wants a new one.  "
    "[default: signed with the development server's secret]",
)
@click.option(
    "--store",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The device's local store.  [default: in the data folder]",
)
@click.option("--forget", is_flag=True, help="Begin without a local store, in memory.")
@click.option("--count", type=click.IntRange(min=0), default=0, help="End after so many oplogs.")
@click.option(
    "--timeout-s",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Fail when that takes longer.  [default: no limit]",
)
@config_option
@data_option
@json_option
def command(
    bizzes: tuple[str, ...],
    user: str,
    device: str,
    app: str,
    server: str,
    ca_file: str | None,
    fingerprint: str | None,
    token_file: Path | None,
    store: Path | None,
    forget: bool,
    count: int,
    timeout_s: float,
    config: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Connect as a device and print the oplogs of each BIZ as they arrive.

    It trusts the certificate of a development server on this machine, and signs its own token.
    """
    folder = data_folder(config, data)
    needs_left = not (server and app and token_file)
    left = require_development(folder) if needs_left else None
    device = device or f"{user or 'nobody'}-terminal"
    if server:
        host, port = parse_server(server)
        door = Door(host, port, ca_file, fingerprint)
    else:
        assert left is not None
        door = door_of(left)
    kept = store or folder / "listen" / f"{_file_name(app, device)}.db"
    if not forget:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    listening = Listening(
        door,
        app or (left.app if left else ""),
        user,
        device,
        _token_source(left, user, device, app, token_file),
        ":memory:" if forget else str(kept),
        bizzes,
        count,
        timeout_s,
        as_json,
    )
    run_async(_listen(listening))


async def _listen(listening: Listening) -> None:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    door = listening.door
    client = Client(
        door.host,
        door.port,
        app=listening.app,
        device=listening.device,
        user=listening.user,
        token=listening.token,
        store=listening.store,
        ca_file=door.ca_file,
        fingerprint=door.fingerprint,
        os="cli",
    )
    link = Link()
    _register(client, listening, ended, link)
    async with client:
        try:
            async with asyncio.timeout(listening.timeout_s or None):
                await ended
        except TimeoutError:
            within = f"within {listening.timeout_s:g} s"
            raise CommandFailed(
                f"not connected {within}: {link.trouble}"
                if link.trouble
                else f"not enough oplogs arrived {within}",
                hint="is this the port for devices of a running server, and the token good?"
                if link.trouble
                else "were they published to this user or device, and to these bizzes?",
                code="TIMEOUT",
                exit_code=ExitCode.RETRY,
            ) from None


class Link:
    """What is known of the connection."""

    trouble = ""
    """Why there is none; empty while there is one, and before the first attempt failed."""

    def note(self, event: ClientEvent) -> bool:
        """Take note of `event`; whether it is worth a line: the same trouble is told once."""
        before = self.trouble
        match event:
            case Connected():
                self.trouble = ""
            case Waiting(_, why):
                self.trouble = shown(why)
                return self.trouble != before
        return True


def _register(
    client: Client, listening: Listening, ended: "asyncio.Future[None]", link: Link
) -> None:
    arrived = 0

    def show_oplog(oplog: ReceivedOplog) -> None:
        nonlocal arrived
        if ended.done():
            # Not shown, so not done: the next run gets it.
            raise CommandFailed("this run has shown as many as it was asked for")
        with _ending_with_the_reader(ended):
            _show_oplog(oplog, listening.as_json)
        arrived += 1
        if listening.count and arrived >= listening.count:
            ended.set_result(None)

    def show_notice(notice: ReceivedNotice) -> None:
        with _ending_with_the_reader(ended):
            _show_notice(notice, listening.as_json)

    def show_reset(reset: ChannelReset) -> None:
        with _ending_with_the_reader(ended):
            _show_reset(reset, listening.as_json)

    def show_state(event: ClientEvent) -> None:
        is_new = link.note(event)
        if isinstance(event, Stopped) and not ended.done():
            who = "the server sent this device away" if event.code else "this device gave up"
            ended.set_exception(
                CommandFailed(
                    f"{who}: {shown(event.reason)}",
                    hint=shown(event.hint),
                    code=f"CLOSED_{event.code}",
                    exit_code=ExitCode.REFUSED,
                )
            )
        elif is_new and not listening.as_json and not ended.done():
            _say_state(event, listening)

    for biz in dict.fromkeys(listening.bizzes):
        client.on(biz)(show_oplog)
        client.on_notice(biz)(show_notice)
    client.on_reset(show_reset)
    client.on_state(show_state)


@contextlib.contextmanager
def _ending_with_the_reader(ended: "asyncio.Future[None]") -> Iterator[None]:
    """Nobody reads any more (`… | head`): end. What was not shown is not done."""
    try:
        yield
    except BrokenPipeError as error:
        if not ended.done():
            ended.set_exception(error)
        raise


def _show_oplog(oplog: ReceivedOplog, as_json: bool) -> None:
    now_ms = time.time_ns() // 1_000_000
    if as_json:
        facts = {"id": oplog.id, "message_id": oplog.message_id, "attempt": oplog.attempt}
        write_json(_line("oplog", oplog, now_ms) | facts)
        return
    took = f"{_span(now_ms - oplog.published_at_ms)} after publish" if oplog.published_at_ms else ""
    OUT.print(
        f"[dim]{_clock()}[/dim]  [bold]{marked(oplog.biz)}[/bold]  [cyan]{marked(oplog.target)}"
        f" #{oplog.id}[/cyan]  {marked(shown_payload(oplog.payload))}  [dim]{took}[/dim]",
        soft_wrap=True,
    )


def _show_notice(notice: ReceivedNotice, as_json: bool) -> None:
    if as_json:
        write_json(_line("notice", notice, time.time_ns() // 1_000_000))
        return
    text = marked(shown_payload(notice.payload))
    OUT.print(f"[dim]{_clock()}[/dim]  [bold]{marked(notice.biz)}[/bold]  notice  {text}")


def _show_reset(reset: ChannelReset, as_json: bool) -> None:
    if as_json:
        facts = {"epoch": reset.epoch, "floor": reset.floor, "reason": reset.reason}
        write_json({"type": "reset", "biz": reset.biz, "target": reset.target, **facts})
        return
    what = "goes on" if reset.lossless else f"begins anew after #{reset.floor}"
    OUT.print(f"[dim]{_clock()}[/dim]  {marked(reset.biz)} {marked(reset.target)} {what}")


def _say_state(event: ClientEvent, listening: Listening) -> None:
    match event:
        case Connecting(attempt) if attempt == 1:
            say(f"[dim]connecting to {listening.door.host} port {listening.door.port} …[/dim]")
        case Connected(user):
            who = f"{marked(listening.device)} of {marked(user) or 'nobody'}"
            say(f"[green]connected[/green] as {who}; waiting for {', '.join(listening.bizzes)}")
        case Waiting(_, why):
            say(f"[yellow]not connected[/yellow]: {marked(why)}; trying again by itself")
        case Parked(parked):
            say(f"[red]parked[/red] #{parked.oplog.id}: {marked(parked.error)}")


def _token_source(
    left: Development | None, user: str, device: str, app: str, token_file: Path | None
) -> TokenSource:
    if token_file is not None:
        return lambda: token_file.read_text().strip()
    assert left is not None
    return development_token(left, user, device, app)


def development_token(left: Development, user: str, device: str, app: str = "") -> TokenSource:
    """Signs a new token each time it is asked. Raises CommandFailed without a secret for it."""
    if not left.hs256_secret:
        raise CommandFailed(
            "the server's apps have keys of their own, so this command cannot sign a token",
            hint="give one with --token-file",
            code="NO_TOKEN",
            exit_code=ExitCode.USAGE,
        )
    secret, name = left.hs256_secret, app or left.app

    def sign() -> str:
        now_ms = time.time_ns() // 1_000_000
        return sign_token(
            secret.encode(),
            app=name,
            user=user,
            device=device,
            issued_at_ms=now_ms,
            expires_at_ms=now_ms + DEVELOPMENT_TOKEN_MS,
        )

    return sign


def _line(kind: str, arrived: ReceivedOplog | ReceivedNotice, now_ms: int) -> dict[str, Any]:
    line: dict[str, Any] = {"type": kind, "biz": arrived.biz, "target": arrived.target}
    try:
        line["payload"] = arrived.payload.decode()
    except UnicodeDecodeError:
        line["payload_base64"] = arrived.payload  # msgspec writes bytes as base64
    return line | {"published_at_ms": arrived.published_at_ms, "arrived_at_ms": now_ms}


def _file_name(*parts: str) -> str:
    """A file name that no user or device id can escape from."""
    return "_".join(
        "".join(char if char.isalnum() or char in "-." else f"%{ord(char):x}" for char in part)
        for part in parts
        if part
    )


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _span(span_ms: int) -> str:
    if span_ms < 10_000:
        return f"{span_ms} ms"
    if span_ms < 120_000:
        return f"{span_ms // 1000} s"
    return f"{span_ms // 60_000} min"

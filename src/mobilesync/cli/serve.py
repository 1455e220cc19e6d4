"""`mobilesync serve`: run the server until it is told to stop."""

import asyncio
import contextlib
import gc
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import structlog

from mobilesync import __version__
from mobilesync.cli.configuration import Configuration
from mobilesync.cli.console import program, say, write_json
from mobilesync.cli.logs import set_up_logs
from mobilesync.cli.options import config_option, configuration, settings_options
from mobilesync.cli.running import run_async
from mobilesync.cli.server import Server
from mobilesync.domain.errors import InvalidRequest

log = structlog.get_logger(__name__)

SWITCH_INTERVAL_S = 0.0005
COLLECTOR_THRESHOLDS = (50_000, 20, 50)


@click.command(
    "serve",
    epilog="""
    \b
    Examples:
      mobilesync serve
      mobilesync serve --port 0 --api-port 0 --ready-file ready.json
      mobilesync serve --config /etc/mobilesync.toml

    SIGTERM and Ctrl-C drain: devices are told when to come back, requests finish, the store is
    closed. A second one ends the process at once. SIGHUP reads the certificate again.
    """,
)
@config_option
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the ports there, as JSON, once it serves.",
)
@click.option("--json", "as_json", is_flag=True, help="Say that it serves as a line of JSON.")
@settings_options
def command(config: Path | None, ready_file: Path | None, as_json: bool, **flags: Any) -> None:
    """Run the server.

    Without any setting it is for development: it keeps its data in ./mobilesync-data, makes a
    self-signed certificate, an app called demo and an API key, and says what to do next.
    """
    chosen = configuration(config, flags)
    set_up_logs(chosen.settings.log_format, chosen.settings.log_level)
    _allow_open_files()
    run_async(_serve(chosen, ready_file, as_json))


async def _serve(chosen: Configuration, ready_file: Path | None, as_json: bool) -> None:
    stopped = asyncio.Event()
    server = Server(chosen)
    with _signals(server, stopped):
        await server.start()
        try:
            _calm_collector()
            # The store's thread needs the interpreter for a moment before and after each sync, and
            # would wait for ten times as long by default, with every publisher.
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            _say_ready(server, ready_file, as_json)
            await stopped.wait()
        finally:
            await server.stop()
    log.info("stopped")


def _calm_collector() -> None:
    """Have the garbage collector look seldom, and never at what was there from the start.

    Sessions are freed by reference counts. A full collection walks over all of them, and at 50,000
    stops the loop for about half a second; cycles are few, and can wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def _allow_open_files() -> None:
    """As many as the machine allows this process: each device is one (doctor tells the limit)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _signals(server: Server, stopped: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # The next one finds no handler and ends the process: somebody is in a hurry.
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stopped.set()

    def renew() -> None:
        try:
            server.renew_certificate()
            log.info("certificate_renewed")
        except InvalidRequest as error:
            log.warning("certificate_not_renewed", reason=error.message, hint=error.hint)

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGHUP, renew)
    try:
        yield
    finally:
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(each)


def _say_ready(server: Server, ready_file: Path | None, as_json: bool) -> None:
    settings = server.settings
    facts = {
        "mode": settings.mode,
        "host": settings.host,
        "port": server.port,
        "api_url": server.api_url,
        "data": str(settings.data),
    }
    log.info("serving", version=__version__, **facts)
    if ready_file is not None:
        draft = ready_file.with_name(f"{ready_file.name}.new")
        draft.write_bytes(msgspec.json.encode(facts) + b"\n")
        draft.replace(ready_file)
    if as_json:
        write_json(facts)
    elif server.development is not None:
        _say_next_steps(server)


def _say_next_steps(server: Server) -> None:
    settings = server.settings
    left = server.development
    assert left is not None
    where = "" if settings.data == Path("mobilesync-data") else f" --data {settings.data}"
    say("")
    say(f"[bold]Mobilesync {__version__}[/bold] serves, for development only")
    say(f"  devices  {left.host} port {server.port}, TLS with a self-signed certificate")
    say(f"  API      {left.api_url}  (its key is in {settings.data}/development.json)")
    say(f"  data     {settings.data.absolute()}")
    say("")
    say("In a second terminal, be alice's phone:")
    say(f"  [bold]{program()} listen CHAT{where}[/bold]")
    say("In a third one, be the business server:")
    say(f'  [bold]{program()} publish CHAT user:alice "Hello, Alice"{where}[/bold]')
    say("Then stop listening, publish some more, and listen again. Ctrl-C stops the server.")
    say("")

"""`mobilesync demo`: the whole path at work, live, on a server of its own."""

import asyncio
import contextlib
import itertools
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from mobilesync.cli.api_client import ApiAccess
from mobilesync.cli.configuration import Configuration
from mobilesync.cli.console import OUT, program
from mobilesync.cli.demo_cast import Business, Device
from mobilesync.cli.demo_proof import Proof
from mobilesync.cli.development import Development
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.logs import set_up_logs
from mobilesync.cli.running import run_async
from mobilesync.cli.server import Server
from mobilesync.cli.settings import Settings
from mobilesync.cli.timeline import Timeline
from mobilesync.client import NotConnected
from mobilesync.publishing import AsyncPublisher

BURST = 100
EVERY_S = 2.0
PAUSE_S = 0.5

_SMALL_TALK = ("Lunch?", "In ten minutes.", "The usual place.", "See you there.", "On my way.")


@click.command(
    "demo",
    epilog="""
    \b
    Examples:
      mobilesync demo
      mobilesync demo --once      (ends after the story; 0 means that everything was right)
    """,
)
@click.option("--once", is_flag=True, help="End after the story instead of publishing on.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the data there.  [default: a temporary folder]",
)
def command(once: bool, data: Path | None) -> int:
    """Start a server, a business and three devices of two users, and watch what reaches whom.

    One device goes offline, misses some, comes back and has them all: over TLS, from an embedded
    store that answers only what is on the disk.
    """
    set_up_logs("console", "error")
    with _folder(data) as folder:
        return run_async(_demo(folder, once))


async def _demo(folder: Path, once: bool) -> int:
    server = Server(_configuration(folder))
    await server.start()
    try:
        left = server.development
        assert left is not None
        async with AsyncPublisher(left.api_url, app=left.app, key=left.api_key) as publisher:
            return await _play(publisher, left, folder, once)
    finally:
        await server.stop()


async def _play(publisher: AsyncPublisher, left: Development, folder: Path, once: bool) -> int:
    timeline = Timeline()
    business = Business(publisher, timeline, 0.0 if once else PAUSE_S)
    names = (("alice", "alice-phone"), ("alice", "alice-tablet"), ("bob", "bob-phone"))
    devices = [
        Device(user, name, left=left, folder=folder, business=business, timeline=timeline)
        for user, name in names
    ]
    proof = Proof(ApiAccess(left.api_url, left.api_key, left.app))
    await proof.begin()
    try:
        try:
            await _story(devices, business, timeline)
        except TimeoutError:
            timeline.tell("demo", "waited in vain: oplogs are missing")
        except NotConnected as error:
            timeline.tell("demo", f"waited in vain: {error}")
        is_right = await proof.show(devices)
        if not once and is_right:
            await _publish_on(business, timeline, folder)
            is_right = await proof.show(devices)
        return ExitCode.OK if is_right else ExitCode.FAILURE
    finally:
        for device in devices:
            device.quiet = True
            await device.go_offline()


async def _story(devices: Sequence[Device], business: Business, timeline: Timeline) -> None:
    phone, tablet, bob = devices
    timeline.title("1  Three devices come online, and get what is published, as it is published")
    for device in devices:
        await device.go_online()
    await business.publish("CHAT", "user:alice", "are you there?")
    await business.publish("PAYMENT", "user:bob", "order 42 is paid")
    await business.publish("FLAGS", "everyone", "checkout = on")
    await business.publish("CHAT", "device:bob-phone", "just for you")
    await _all_have(devices, business)

    timeline.title("2  alice-tablet goes offline, and the business goes on")
    await tablet.go_offline()
    for text in ("still there?", "at the corner", "never mind"):
        await business.publish("CHAT", "user:alice", text)
    await business.publish("PAYMENT", "user:alice", "order 43 is paid")
    await business.publish("FLAGS", "everyone", "checkout = off")
    await _all_have([phone, bob], business)
    timeline.tell("alice-tablet", f"is offline, and lacks {tablet.lacks(business.published)}")

    timeline.title("3  alice-tablet comes back, and has them all, in order")
    await tablet.go_online()
    await _all_have(devices, business)

    timeline.title(f"4  {BURST} at once, to everyone")
    for device in devices:
        device.quiet = True
    began_s = time.perf_counter()
    await business.publish_many("FLAGS", "everyone", [f"flag-{n} = on" for n in range(BURST)])
    await _all_have(devices, business)
    took_ms = (time.perf_counter() - began_s) * 1000
    count = BURST * len(devices)
    timeline.tell(
        "devices",
        f"have handled all {count}",
        f"{took_ms:.0f} ms after the publish began",
        brief=f"{took_ms:.0f} ms",
    )
    for device in devices:
        device.quiet = False


async def _publish_on(business: Business, timeline: Timeline, folder: Path) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    timeline.title("5  Now it is your turn; Ctrl-C ends the demo")
    listen = f"{program()} listen CHAT FLAGS --data {folder}"
    publish = f'{program()} publish CHAT user:alice "Hello from outside" --data {folder}'
    OUT.print("In a second terminal, be another device of alice, or publish something yourself:")
    OUT.print(f"  [bold]{listen}[/bold]\n  [bold]{publish}[/bold]\n", soft_wrap=True)
    try:
        for number, text in enumerate(itertools.cycle(_SMALL_TALK)):
            user = ("alice", "bob")[number % 2]
            await business.publish("CHAT", f"user:{user}", text)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), EVERY_S)
            if stopped.is_set():
                return
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)


async def _all_have(devices: Sequence[Device], business: Business) -> None:
    for device in devices:
        await device.has_all(business.published)


def _configuration(folder: Path) -> Configuration:
    settings = Settings(data=folder, port=0, api_port=0, drain_s=1.0)
    return Configuration(settings, (), {}, None)


@contextlib.contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="mobilesync-demo-") as folder:
        yield Path(folder)

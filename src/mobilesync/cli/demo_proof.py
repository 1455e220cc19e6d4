"""Whether the demo was right: what the devices' handlers saw, beside what the server holds.

Strategy: the server is asked through its API, as an operator would ask it: the heads of the
channels say what there is, the devices' sync points say what was processed. Both must agree with
what the handlers wrote down: all, once, in order, and nothing else. Oplogs that somebody publishes
from another terminal count as well.
"""

import asyncio
import time
from collections.abc import Sequence

from rich.markup import escape

from mobilesync.cli.api_client import ApiAccess, ApiClient
from mobilesync.cli.console import OUT
from mobilesync.cli.demo_cast import BIZZES, ChannelName, Device
from mobilesync.cli.failures import CommandFailed

ACK_WAIT_S = 10.0
_ASK_EVERY_S = 0.05
_ROW = "  {:<13} {:<22} {:>9} {:>9} {:>9}  "


class Proof:
    """Compares devices with the server."""

    def __init__(self, access: ApiAccess) -> None:
        self._access = access
        self._base: dict[ChannelName, int] = {}

    async def begin(self) -> None:
        """What the store holds already, from an earlier run, is not part of the story."""
        self._base = await asyncio.to_thread(self._everyones_heads)

    async def show(self, devices: Sequence[Device]) -> bool:
        """Print the table; whether all of it agrees. Waits a little for the last acks."""
        OUT.print("\n[bold]What was published, handled by the app, and proven by its acks[/bold]")
        OUT.print(_ROW.format("device", "channel", "published", "handled", "proven"), style="dim")
        all_right = True
        for device in devices:
            expected, processed = await self._settled(device)
            strays = set(device.handled) - set(expected)
            for channel, ids in sorted(expected.items()):
                handled = device.handled.get(channel, [])
                proven = processed.get(channel, 0)
                is_right = handled == ids and proven == ids[-1] and not strays
                all_right = all_right and is_right
                row = (device.name, " ".join(channel), len(ids), len(handled), f"to #{proven}")
                verdict = "[green]complete[/green]" if is_right else "[red]wrong[/red]"
                OUT.print(escape(_ROW.format(*row)) + verdict, soft_wrap=True)
            all_right = all_right and bool(expected) and not strays
        _show_latencies(devices)
        verdict = "[green]Nothing lost, nothing twice, nothing out of order.[/green]"
        OUT.print(verdict if all_right else "[red]Something is wrong: see the table.[/red]")
        return all_right

    async def _settled(
        self, device: Device
    ) -> tuple[dict[ChannelName, list[int]], dict[ChannelName, int]]:
        """What `device` should have, and what the server knows that it has processed."""
        deadline_s = time.monotonic() + ACK_WAIT_S
        while True:
            expected = await asyncio.to_thread(self._expected, device)
            processed = await asyncio.to_thread(self._processed, device.name)
            is_settled = all(
                processed.get(channel, 0) >= ids[-1]
                and len(device.handled.get(channel, [])) >= len(ids)
                for channel, ids in expected.items()
            )
            if is_settled or time.monotonic() > deadline_s:
                return expected, processed
            await asyncio.sleep(_ASK_EVERY_S)

    def _expected(self, device: Device) -> dict[ChannelName, list[int]]:
        """The ids that `device` should have handled, by channel. Ids have no gaps."""
        expected = {}
        for target in device.targets():
            for channel, last in self._heads(target).items():
                ids = list(range(self._base.get(channel, 0) + 1, last + 1))
                if ids:
                    expected[channel] = ids
        return expected

    def _everyones_heads(self) -> dict[ChannelName, int]:
        targets = ("user:alice", "user:bob", "device:bob-phone", "everyone")
        return {key: last for target in targets for key, last in self._heads(target).items()}

    def _heads(self, target: str) -> dict[ChannelName, int]:
        with ApiClient(self._access) as api:
            path = f"/v1/apps/{self._access.app}/channels"
            channels = api.get(path, target=target)["channels"]
        heads = {(each["biz"], each["target"]): each["last"] for each in channels}
        return {channel: last for channel, last in heads.items() if channel[0] in BIZZES}

    def _processed(self, device: str) -> dict[ChannelName, int]:
        try:
            with ApiClient(self._access) as api:
                points = api.get(f"/v1/apps/{self._access.app}/devices/{device}")["points"]
        except CommandFailed:
            return {}  # it was never there: the table will show that
        return {(point["biz"], point["target"]): point["processed"] for point in points}


def _show_latencies(devices: Sequence[Device]) -> None:
    latencies = sorted(each for device in devices for each in device.latencies_ms)
    if latencies:
        p50, p99 = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
        OUT.print(f"From publish to handler: median {p50:.1f} ms, 99 % within {p99:.1f} ms.")

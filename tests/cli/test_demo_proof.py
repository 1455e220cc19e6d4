"""The demo's proof finds what is wrong."""

from pathlib import Path
from typing import Any

import pytest

from mobilesync.cli import demo_proof
from mobilesync.cli.api_client import ApiAccess
from mobilesync.cli.demo_cast import Business, ChannelName, Device
from mobilesync.cli.demo_proof import Proof
from mobilesync.cli.development import Development
from mobilesync.cli.timeline import Timeline

CHAT, FLAGS = ("CHAT", "user:alice"), ("FLAGS", "everyone")


class ToldProof(Proof):
    """Asks no server."""

    def __init__(self, heads: dict[ChannelName, int], processed: dict[ChannelName, int]) -> None:
        super().__init__(ApiAccess("", "", ""))
        self.heads, self.processed = heads, processed

    def _heads(self, target: str) -> dict[ChannelName, int]:
        return {name: last for name, last in self.heads.items() if name[1] == target}

    def _processed(self, device: str) -> dict[ChannelName, int]:
        return self.processed


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_proof, "ACK_WAIT_S", 0.0)


def _device(handled: dict[ChannelName, list[int]]) -> Device:
    unused: Any = None
    timeline = Timeline()
    device = Device(
        "alice",
        "alice-phone",
        left=Development(hs256_secret="s"),
        folder=Path(),
        business=Business(unused, timeline, 0.0),
        timeline=timeline,
    )
    device.handled = handled
    device.latencies_ms = [1.0, 2.0, 3.0]
    return device


@pytest.mark.parametrize(
    "heads, handled, processed, is_right",
    [
        ({CHAT: 3, FLAGS: 1}, {CHAT: [1, 2, 3], FLAGS: [1]}, {CHAT: 3, FLAGS: 1}, True),
        ({CHAT: 3}, {CHAT: [1, 3]}, {CHAT: 3}, False),
        ({CHAT: 3}, {CHAT: [1, 3, 2]}, {CHAT: 3}, False),
        ({CHAT: 3}, {CHAT: [1, 2, 2, 3]}, {CHAT: 3}, False),
        ({CHAT: 3}, {CHAT: [1, 2, 3]}, {CHAT: 2}, False),
        ({CHAT: 3}, {CHAT: [1, 2, 3]}, {}, False),
        ({CHAT: 3}, {CHAT: [1, 2, 3], ("CHAT", "user:bob"): [1]}, {CHAT: 3}, False),
        ({}, {}, {}, False),
    ],
)
async def test_verdicts(
    heads: dict[ChannelName, int],
    handled: dict[ChannelName, list[int]],
    processed: dict[ChannelName, int],
    is_right: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await ToldProof(heads, processed).show([_device(handled)]) is is_right
    out = capsys.readouterr().out
    assert ("Nothing lost" in out) is is_right
    assert "median 2.0 ms" in out


async def test_an_earlier_run_is_not_part_of_the_story() -> None:
    proof = ToldProof({CHAT: 2}, {CHAT: 4})
    await proof.begin()
    proof.heads = {CHAT: 4}
    assert await proof.show([_device({CHAT: [3, 4]})])
    assert not await proof.show([_device({CHAT: [1, 2, 3, 4]})])

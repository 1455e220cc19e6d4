"""What one oplog costs from publish to saved sync point, in calls and in writes to the link."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.guard import counting, judge
from mobilesync.api.publish import PublishBody, publications_of
from mobilesync.domain.channel import user_target
from tests.engine.world import World, options, settle, simulated

DEVICES = 20
BATCHES = 5
BUDGETS = {
    "live": {"calls per oplog": 164.0, "writes per oplog": 1.0},
    "from the store": {"calls per oplog": 179.4, "writes per oplog": 1.0},
}
"""Publish → pump → push → ack → advance over the memory store, one oplog per device and batch;
pushed from the tail, as what is live, and without one. The device's half of the codec is counted as
well: it is the same code."""

READING = 1.04
"""From the body of an HTTP request, of 100 oplogs, to what the publisher takes."""


@pytest.mark.parametrize("path, tail_bytes", [("live", 1 << 20), ("from the store", 0)])
def test_an_oplog_costs_what_its_budget_says(path: str, tail_bytes: int) -> None:
    _measure(path, tail_bytes)


@simulated
async def _measure(path: str, tail_bytes: int) -> None:
    budgets = BUDGETS[path]
    async with World(replace(options(), tail_bytes=tail_bytes)) as world:
        devices = [await world.online(f"d{n}", f"u{n}") for n in range(DEVICES)]
        # What the first oplog of a channel costs more is no cost of each.
        for number in range(DEVICES):
            await world.publish(f"user:u{number}", b"first")
        await settle()
        writes = sum(device.link.writes for device in devices)
        with counting() as calls:
            for _ in range(BATCHES):
                for number in range(DEVICES):
                    await world.publish(f"user:u{number}", b"x" * 200)
                await settle()
        for number, device in enumerate(devices):
            assert device.received("CHAT", f"user:u{number}") == BATCHES + 1
        oplogs = DEVICES * BATCHES
        found = {
            "calls per oplog": calls.total() / oplogs,
            "writes per oplog": (sum(each.link.writes for each in devices) - writes) / oplogs,
        }
        missed = [judge(f"{path}: {name}", found[name], budgets[name], calls) for name in budgets]
        assert not any(missed), "\n".join(filter(None, missed))


def test_a_plain_batch_is_read_at_the_price_of_its_budget() -> None:
    item = {"biz": "CHAT", "target": "user:u1", "payload_base64": "eHh4" * 50}
    form = PublishBody()
    with counting() as calls:
        read = form.decode(json.dumps([item] * 100).encode())
        assert isinstance(read, list)
        publications = publications_of(read)
    assert len(publications) == 100
    missed = judge("reading: calls per oplog", calls.total() / 100, READING, calls)
    assert missed is None, missed


def test_only_the_servers_own_calls_are_counted() -> None:
    with counting() as calls:
        user_target("u1")
        pytest.approx(1)
    assert calls["domain/channel.py:user_target"] == 1
    assert all(where.startswith("domain/") for where in calls)


@pytest.mark.parametrize("found, says", [(106.0, "costs more"), (94.0, "costs less")])
def test_a_missed_budget_says_what_to_do(found: float, says: str) -> None:
    told = judge("calls", found, 100.0, Counter({"engine/pump.py:run": 9}))
    assert told is not None
    assert says in told
    assert "test_guard.py" in told
    assert "engine/pump.py:run" in told


def test_a_little_more_or_less_is_within_the_budget() -> None:
    assert judge("calls", 104.0, 100.0, Counter()) is None
    assert judge("calls", 96.0, 100.0, Counter()) is None

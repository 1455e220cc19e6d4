"""Heads are shown as they are durable, whatever the caches hold."""

from random import Random

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import Head
from mobilesync.storage.embedded import keys, rows
from mobilesync.storage.embedded.heads import Heads
from mobilesync.storage.embedded.tables import Tables

ADA = Channel("shop", "CHAT", "user:ada")
PAY = Channel("shop", "PAY", "user:ada")


def write(tables: Tables, heads: dict[Channel, Head]) -> None:
    batch = tables.batch()
    for channel, head in heads.items():
        batch.put(keys.channel_prefix(channel), rows.encode(head), tables.in_heads)
    tables.write(batch)


@pytest.mark.parametrize("cached", [False, True])
def test_what_is_written_is_hidden_until_it_is_settled(tables: Tables, cached: bool) -> None:
    heads = Heads(tables, 10, 10)
    write(tables, {ADA: Head(1, 7)})
    if cached:
        assert heads.of(ADA) == Head(1, 7)
        assert heads.of(PAY) is None
        assert heads.of_target("shop", "user:ada") == {ADA: Head(1, 7)}
    written = {ADA: Head(2, 7), PAY: Head(1, 7)}
    heads.write(ADA, Head(1, 7))
    heads.write(PAY, None)
    write(tables, written)
    assert heads.of(ADA) == Head(1, 7)
    assert heads.of(PAY) is None
    assert heads.of_target("shop", "user:ada") == {ADA: Head(1, 7)}
    heads.settle(written)
    assert heads.of(ADA) == Head(2, 7)
    assert heads.of(PAY) == Head(1, 7)
    assert heads.of_target("shop", "user:ada") == written
    tables.close()


def test_caches_keep_their_bounds_and_the_truth(tables: Tables) -> None:
    heads = Heads(tables, 3, 5)
    truth: dict[Channel, Head] = {}
    chance = Random(1)
    channels = [Channel("shop", biz, f"user:{n}") for n in range(8) for biz in ("A", "B")]
    for round_ in range(300):
        channel = chance.choice(channels)
        written = {channel: Head(round_ + 1, 7)}
        heads.write(channel, truth.get(channel))
        write(tables, written)
        probe = chance.choice(channels)
        assert heads.of(probe) == truth.get(probe)
        expected = {each: head for each, head in truth.items() if each.target == probe.target}
        assert heads.of_target("shop", probe.target) == expected
        heads.settle(written)
        truth.update(written)
        assert heads.of(channel) == truth[channel]
        assert len(heads._channels) <= 5
        assert len(heads._cached) <= 3
    tables.close()

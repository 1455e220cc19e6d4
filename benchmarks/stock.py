"""A data folder that holds many oplogs already, as a server finds it that has run for long.

Strategy: append through the embedded store's own API, in this process and in batches, with message
ids and payloads by chance. They are other users' oplogs, spread over many channels, with months to
live: a device that is measured later is not pushed them, and pays only for their being there; who
publishes to their users (`u<FIRST>` and following) finds channels that have oplogs.
"""

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from random import Random

from mobilesync.cli.control import STORE_NAME
from mobilesync.cli.development import APP
from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Draft
from mobilesync.storage.embedded import EmbeddedOptions, EmbeddedStore, open_embedded

BIZ = "BENCH"
PAYLOAD_BYTES = 200
USERS = 100_000
FIRST = 1_000_000
GROUP = 2_000
AT_ONCE = 4
CACHE_BYTES = 1024**3
"""So that looking message ids up does not wait for the disk, as it comes to do at millions."""
TELL_EVERY = 1_000_000
FAR_MS = 10**13


def fill(data: Path, count: int, say: Callable[[str], None]) -> None:
    """Make the data folder of a server with `count` oplogs stored. It must not be there yet."""
    asyncio.run(_fill(data, count, say))


async def _fill(data: Path, count: int, say: Callable[[str], None]) -> None:
    data.mkdir(mode=0o700, parents=True)
    # Nobody is promised these, so the disk need not be waited for.
    options = EmbeddedOptions(durability="none", block_cache_bytes=CACHE_BYTES)
    store = await open_embedded(data / STORE_NAME, random=Random(1), options=options)
    chance = Random(count)
    channels = [Channel(APP, BIZ, f"user:u{FIRST + number}") for number in range(USERS)]
    gc.freeze()
    told, stored = 0, 0
    while stored < count:
        sizes = [min(GROUP, count - stored - GROUP * number) for number in range(AT_ONCE)]
        stored += await _append(store, channels, [size for size in sizes if size > 0], chance)
        if stored // TELL_EVERY > told:
            told = stored // TELL_EVERY
            say(f"stored {stored:,} of {count:,} oplogs")
    gc.unfreeze()
    await store.close()


async def _append(
    store: EmbeddedStore, channels: list[Channel], sizes: list[int], chance: Random
) -> int:
    groups = [[_draft(channels, chance) for _ in range(size)] for size in sizes]
    await asyncio.gather(*(store.append(group) for group in groups))
    return sum(sizes)


def _draft(channels: list[Channel], chance: Random) -> Draft:
    message_id = f"{chance.getrandbits(96):024x}"
    channel = channels[chance.randrange(len(channels))]
    return Draft(channel, chance.randbytes(PAYLOAD_BYTES), message_id, 1, FAR_MS)

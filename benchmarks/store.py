"""How fast the embedded store is, beside a floor measured in the same run.

    python -m benchmarks.store [--quick] [--rounds N] [--folder PATH]

Strategy: append N oplogs of 200 bytes in groups of 1, 10, 100 and 1,000, each group awaited before
the next, to as many channels as a business has users; then the same with ten publishers at once.
The floor writes the same payloads to a plain file with the same grouping, one fdatasync per group:
no store that keeps its word can be faster with one publisher. Figures are medians of several
rounds, floor and store in turn, so that both see the same machine. The processor time per oplog
is told too: unlike the rates, it hardly changes when others use the machine.
"""

import argparse
import asyncio
import gc
import os
import shutil
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from time import perf_counter, process_time

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Draft
from mobilesync.domain.sync_point import Advance
from mobilesync.storage.embedded import EmbeddedOptions, EmbeddedStore, open_embedded

PAYLOAD_BYTES = 200
USERS = 100_000
PUBLISHERS = 10
GROUPS = (1, 10, 100, 1000)
FAR_MS = 10**13
Rate = float


def drafts_of(count: int, group: int, seed: int) -> list[list[Draft]]:
    """Drafts for random users, in groups."""
    chance = Random(seed)
    payload = chance.randbytes(PAYLOAD_BYTES)
    drafts = [
        Draft(
            Channel("shop", "CHAT", f"user:{chance.randrange(USERS)}"),
            payload,
            f"{chance.getrandbits(96):024x}",
            1,
            FAR_MS,
        )
        for _ in range(count)
    ]
    return [drafts[begin : begin + group] for begin in range(0, count, group)]


def floor(folder: Path, count: int, group: int) -> Rate:
    """Oplogs per second into a plain file."""
    payload = os.urandom(PAYLOAD_BYTES) * group
    descriptor = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    begin = perf_counter()
    for _ in range(count // group):
        os.write(descriptor, payload)
        os.fdatasync(descriptor)
    took = perf_counter() - begin
    os.close(descriptor)
    return count / took


async def one_publisher(store: EmbeddedStore, groups: list[list[Draft]]) -> None:
    for drafts in groups:
        await store.append(drafts)


async def many_publishers(store: EmbeddedStore, groups: list[list[Draft]]) -> None:
    await asyncio.gather(
        *(one_publisher(store, groups[number::PUBLISHERS]) for number in range(PUBLISHERS))
    )


async def append_rate(
    folder: Path,
    count: int,
    group: int,
    publish: Callable[[EmbeddedStore, list[list[Draft]]], Awaitable[None]],
) -> tuple[Rate, float]:
    """Oplogs per second, and microseconds of processor time for each."""
    path = folder / "store"
    shutil.rmtree(path, ignore_errors=True)
    store = await open_embedded(path, random=Random(1), options=EmbeddedOptions())
    # So that the first groups do not pay for what is made once.
    await one_publisher(store, drafts_of(2000, 500, seed=99))
    groups = drafts_of(count, group, seed=group)
    # What the benchmark itself holds is no garbage to be looked for in the store's time.
    gc.collect()
    gc.freeze()
    begin, busy = perf_counter(), process_time()
    await publish(store, groups)
    took, busy = perf_counter() - begin, process_time() - busy
    gc.unfreeze()
    await store.close()
    return count / took, busy / count * 1e6


async def read_rates(folder: Path, stored: int, asked: int) -> dict[str, Rate]:
    """Reads per second from a store that was closed and opened, so that files are read."""
    path = folder / "store"
    shutil.rmtree(path, ignore_errors=True)
    store = await open_embedded(path, random=Random(1))
    await one_publisher(store, drafts_of(stored, 1000, seed=5))
    everyone = Channel("shop", "NEWS", "everyone")
    await store.append([Draft(everyone, b"x" * 200, f"m{n}", 1, FAR_MS) for n in range(1000)])
    await store.close()
    store = await open_embedded(path, random=Random(1))
    chance = Random(6)
    users = [f"user:{chance.randrange(USERS)}" for _ in range(asked)]
    rates: dict[str, Rate] = {}

    async def measure(name: str, work: Callable[[str], Awaitable[object]], each: int = 1) -> None:
        begin = perf_counter()
        for user in users:
            await work(user)
        rates[name] = asked * each / (perf_counter() - begin)

    async def heads(user: str) -> None:
        await store.heads("shop", [user, "device:none", "everyone"])

    async def tail(user: str) -> None:
        await store.read(Channel("shop", "CHAT", user), 0, 100, 1 << 20)

    async def page(user: str) -> None:
        await store.read(everyone, 900, 100, 1 << 20)

    async def advance(user: str) -> None:
        channel = Channel("shop", "CHAT", user)
        store.advance([Advance(channel, f"of-{user}", store.lineage[-1], 1, 1, 5)])

    await measure("heads of three targets, cold, per second", heads)
    await measure("heads of three targets, known, per second", heads)
    await measure("backlog of one user, per second", tail)
    await measure("oplogs in pages of 100, per second", page, each=100)
    await measure("advances, per second", advance)
    await store.close()
    return rates


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary one)")
    arguments = parser.parse_args()
    scale = 10 if arguments.quick else 1
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        print(f"durable appends of {PAYLOAD_BYTES} B, median of {arguments.rounds}, per second")
        print(
            f"{'group':>6} {'floor':>10} {'store':>10} {'of floor':>9}"
            f" {'10 publishers':>14} {'CPU us':>7}"
        )
        for group in GROUPS:
            count = min(100_000, 3000 * group) // scale // group * group
            floors, singles, manies = [], [], []
            for _ in range(arguments.rounds):
                floors.append(floor(folder, count, group))
                singles.append(await append_rate(folder, count, group, one_publisher))
                manies.append(await append_rate(folder, count, group, many_publishers))
            low = statistics.median(floors)
            one = statistics.median(rate for rate, _ in singles)
            ten = statistics.median(rate for rate, _ in manies)
            busy = statistics.median(busy for _, busy in manies)
            print(
                f"{group:>6} {low:>10,.0f} {one:>10,.0f} {one / low:>9.2f}"
                f" {ten:>14,.0f} {busy:>7.1f}",
                flush=True,
            )
        rounds = [
            await read_rates(folder, 200_000 // scale, 20_000 // scale)
            for _ in range(max(1, arguments.rounds // 2))
        ]
        for name in rounds[0]:
            print(f"{statistics.median(rates[name] for rates in rounds):>12,.0f}  {name}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(main())

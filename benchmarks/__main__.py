"""Run the benchmarks: `python -m benchmarks [--quick]`. Ends with one line for each figure.

The store and the HTTP API first, each by itself, then the whole path. Whatever is printed names
what it was measured beside; absolute figures say more about the machine.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import msgspec
import uvloop

from benchmarks import end_to_end
from benchmarks.end_to_end import Outcome, Work
from benchmarks.processes import pin_load


async def rounds_of(work: Work, rounds: int) -> list[tuple[Outcome, Outcome]]:
    """(Mobilesync, floor) of each round, in turns."""
    pairs: list[tuple[Outcome, Outcome]] = []
    for number in range(rounds):
        ours = await end_to_end.measure_mobilesync(work)
        floor = await end_to_end.measure_floor(work)
        print(f"round {number + 1}: {ours}\n  floor: {floor}", flush=True)
        pairs.append((ours, floor))
    return pairs


def main() -> None:
    """Run, print, and keep the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results.json"))
    arguments = parser.parse_args()
    seconds = 3.0 if arguments.quick else 8.0
    work = Work(devices=arguments.devices, latency_s=seconds, throughput_s=seconds)
    for part in ("benchmarks.store", "benchmarks.http_publish"):
        print(f"== {part}", flush=True)
        quick = ["--quick"] if arguments.quick else []
        subprocess.run([sys.executable, "-m", part, *quick], check=True)
    print("== benchmarks.end_to_end", flush=True)
    pin_load()
    pairs = uvloop.run(rounds_of(work, 1 if arguments.quick else 5))

    assert not any(mine.out_of_order for mine, _ in pairs), "oplogs came out of order"
    figures = [name for name in Outcome.__struct_fields__ if name != "out_of_order"]
    rows = {name: medians(name, pairs) for name in figures}
    result = {"machine": _machine(), "commit": _commit(), "work": msgspec.to_builtins(work)}
    arguments.out.write_text(json.dumps({**result, "medians": rows}, indent=1) + "\n")
    print(f"\n{result['machine']}, commit {result['commit']}, {work.devices} devices")
    for name, (ours, floor, ratio) in rows.items():
        print(f"E2E {name}={ours:.2f} floor={floor:.2f} ratio={ratio:.2f}")


def medians(name: str, pairs: list[tuple[Outcome, Outcome]]) -> tuple[float, float, float]:
    """Of one figure: ours, the floor's, and their ratio round by round."""
    both = [(float(getattr(mine, name)), float(getattr(bare, name))) for mine, bare in pairs]
    return (
        statistics.median(mine for mine, _ in both),
        statistics.median(bare for _, bare in both),
        statistics.median(mine / bare for mine, bare in both),
    )


def _machine() -> str:
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} processors, {system}, Python {platform.python_version()}"


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()

"""Run the benchmarks: `python -m benchmarks [--quick] [--work W1 …]`.

All works by default, every system in turns; it ends with one line for each work. The results are
kept as JSON; those of a whole run are also made into docs/benchmarks/.
"""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import page, results, scale
from benchmarks.live import LiveBench, versions
from benchmarks.native.build import BuildError
from benchmarks.results import Results, WorkResult
from benchmarks.works import broadcast, idle, latency, publish, storm, unicast
from benchmarks.works.turns import Bench, Say
from tools.compile import CompileFailed, compile_package

WORKS = ("W1", "W2", "W3", "W4", "W5", "W6", "SCALE")
QUICK_RESULTS = Path("build/bench-quick.json")


def run_works(bench: Bench, wanted: Sequence[str], quick: bool, say: Say) -> Iterator[WorkResult]:
    """The results of the works, one after the other, as they are there."""
    maxima: dict[str, float] = {}
    if "W1" in wanted or "W6" in wanted:
        first = unicast.measure(bench, unicast.QUICK if quick else unicast.FULL, say)
        maxima = unicast.maxima(first)
        yield first
    if "W2" in wanted:
        yield broadcast.measure(bench, broadcast.QUICK if quick else broadcast.FULL, say)
    if "W3" in wanted:
        yield storm.measure(bench, storm.QUICK if quick else storm.FULL, say)
    if "W4" in wanted:
        yield idle.measure(bench, idle.QUICK if quick else idle.FULL, say)
    if "W5" in wanted:
        yield publish.measure(bench, publish.QUICK if quick else publish.FULL, say)
    if "W6" in wanted:
        yield latency.measure(bench, latency.QUICK if quick else latency.FULL, maxima, say)
    if "SCALE" in wanted:
        yield scale.measure(scale.QUICK if quick else scale.FULL, say)


def main() -> None:
    """Run, keep the results, and print the last lines."""
    arguments = _arguments()
    quick: bool = arguments.quick
    if arguments.compiled:
        use_compiled()
    # The scale needs minutes even when it is quick, so a quick run has it only when asked.
    wanted = arguments.work or (WORKS[:-1] if quick else WORKS)
    out: Path = arguments.out or (QUICK_RESULTS if quick else page.RESULTS)
    begin_s = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin_s:6.0f} s  {text}", flush=True)

    found = Results(
        at=results.now(),
        command=shlex.join(("python", "-m", "benchmarks", *sys.argv[1:])),
        quick=quick,
        commit=results.commit(),
        machine=results.machine(Path.cwd()),
        versions=versions(),
        works=[],
    )
    found.machine["our server"] = "compiled hot path" if arguments.compiled else "pure Python"
    for name, value in found.machine.items():
        say(f"{name}: {value}")
    try:
        for work in run_works(LiveBench(), wanted, quick, say):
            found.works.append(work)
            say(work.line)
            # After each, so that a run that is ended early leaves what it found.
            results.write(found, out)
    except BuildError as missing:
        sys.exit(str(missing))
    if arguments.page or out == page.RESULTS:
        page.write_page(found, out.parent)
    for work in found.works:
        print(work.line)


def use_compiled() -> None:
    """Have servers that are started from now on use the compiled copy of the package, which is made
    if need be. Exits when that fails."""
    try:
        folder = compile_package()
    except CompileFailed as failed:
        sys.exit(str(failed))
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), others)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within five minutes, proving little")
    parser.add_argument(
        "--work", nargs="+", choices=WORKS, help="only these; W6 needs and brings W1"
    )
    parser.add_argument(
        "--compiled", action="store_true", help="run our server with its hot path compiled"
    )
    parser.add_argument("--out", type=Path, help="where the results are kept, as JSON")
    parser.add_argument("--page", action="store_true", help="make the page beside them as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Run the benchmarks: `python -m benchmarks [--quick | --short] [--work W1 …] [--keep]`.

All works by default, every system in turns; it ends with one line for each work. The results are
kept as JSON; those of a whole or a short run are also made into docs/benchmarks/. With --keep, the
works that are not measured stay as an earlier run has left them there.
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
from benchmarks.results import Results, Size, WorkResult
from benchmarks.works import broadcast, idle, latency, publish, storm, unicast
from benchmarks.works.turns import Bench, Say
from tools.compile import CompileFailed, compile_package

WORKS = ("W1", "W2", "W3", "W4", "W5", "W6", "SCALE")
QUICK_RESULTS = Path("build/bench-quick.json")


def run_works(bench: Bench, wanted: Sequence[str], size: Size, say: Say) -> Iterator[WorkResult]:
    """The results of the works, one after the other, as they are there."""
    maxima: dict[str, float] = {}
    if "W1" in wanted or "W6" in wanted:
        first = unicast.measure(bench, unicast.EXTENTS[size], say)
        maxima = unicast.maxima(first)
        yield first
    if "W2" in wanted:
        yield broadcast.measure(bench, broadcast.EXTENTS[size], say)
    if "W3" in wanted:
        yield storm.measure(bench, storm.EXTENTS[size], say)
    if "W4" in wanted:
        yield idle.measure(bench, idle.EXTENTS[size], say)
    if "W5" in wanted:
        yield publish.measure(bench, publish.EXTENTS[size], say)
    if "W6" in wanted:
        yield latency.measure(bench, latency.EXTENTS[size], maxima, say)
    if "SCALE" in wanted:
        yield scale.measure(scale.EXTENTS[size], say)


def main() -> None:
    """Run, keep the results, and print the last lines."""
    arguments = read_arguments(sys.argv[1:])
    if arguments.compiled:
        use_compiled()
    out: Path = arguments.out
    # Read before anything is measured: what cannot be kept is known at once.
    earlier = results.read(out) if arguments.keep and out.exists() else None
    begin_s = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin_s:6.0f} s  {text}", flush=True)

    found = _begun(arguments)
    for name, value in found.machine.items():
        say(f"{name}: {value}")
    measured: list[WorkResult] = []
    try:
        for work in run_works(LiveBench(), arguments.work, arguments.size, say):
            measured.append(found.sign(work))
            say(work.line)
            # After each, so that a run that is ended early leaves what it found.
            found.works = in_order(results.joined(measured, earlier))
            results.write(found, out)
    except BuildError as missing:
        sys.exit(str(missing))
    if arguments.page or out == page.RESULTS:
        page.write_page(found, out.parent)
    for work in measured:
        print(work.line)


def _begun(arguments: argparse.Namespace) -> Results:
    """The results of a run that has measured nothing yet."""
    found = Results(
        at=results.now(),
        command=shlex.join(("python", "-m", "benchmarks", *sys.argv[1:])),
        quick=arguments.size is Size.QUICK,
        short=arguments.size is Size.SHORT,
        commit=results.commit(),
        machine=results.machine(Path.cwd()),
        versions=versions(),
        works=[],
    )
    found.machine["our server"] = "compiled hot path" if arguments.compiled else "pure Python"
    return found


def in_order(works: Sequence[WorkResult]) -> list[WorkResult]:
    """As they are measured, whichever run measured them."""
    return sorted(works, key=lambda work: WORKS.index(work.work))


def use_compiled() -> None:
    """Have servers that are started from now on use the compiled copy of the package, which is made
    if need be. Exits when that fails."""
    try:
        folder = compile_package()
    except CompileFailed as failed:
        sys.exit(str(failed))
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), others)))


def read_arguments(words: Sequence[str]) -> argparse.Namespace:
    """What is asked for, with everything that follows from the size of the run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    sizes = parser.add_mutually_exclusive_group()
    for size, means in (
        (Size.QUICK, "within five minutes, proving little"),
        (Size.SHORT, "within about 25 minutes, with fewer rounds, seconds and systems"),
    ):
        sizes.add_argument(f"--{size}", action="store_const", dest="size", const=size, help=means)
    parser.add_argument(
        "--work", nargs="+", choices=WORKS, help="only these; W6 needs and brings W1"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep what the results have of works not measured now"
    )
    parser.add_argument(
        "--compiled", action="store_true", help="run our server with its hot path compiled"
    )
    parser.add_argument("--out", type=Path, help="where the results are kept, as JSON")
    parser.add_argument("--page", action="store_true", help="make the page beside them as well")
    parser.set_defaults(size=Size.WHOLE)
    arguments = parser.parse_args(words)
    # The scale needs minutes even when it is quick, so only a whole run has it unasked.
    arguments.work = arguments.work or (WORKS if arguments.size is Size.WHOLE else WORKS[:-1])
    if arguments.out is None:
        arguments.out = QUICK_RESULTS if arguments.size is Size.QUICK else page.RESULTS
    return arguments


if __name__ == "__main__":
    main()

"""`mobilesync sim`: the whole system under faults, in virtual time, replayed by seed."""

import os
import random
from typing import Any

import click
import msgspec

from mobilesync.cli.console import ERR, OUT, write_json
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.sim.plants import PLANTS
from mobilesync.sim.run import Report, SimOptions, run_seeds

SEED_MAX = 2**32 - 1
TRACE_LINES = 10_000_000


@click.command(
    "sim",
    epilog="""
    \b
    Examples:
      mobilesync sim --seeds 500
      mobilesync sim --seed 4711 --trace
      mobilesync sim --seeds 200 --plant NAME

    A seed runs the same way every time and everywhere. Exits with 1 when a guarantee was broken;
    each broken seed is named, with the command that replays it.
    """,
)
@click.option("--seed", type=click.IntRange(0, SEED_MAX), help="The first seed.  [default: 0]")
@click.option("--random-seed", is_flag=True, help="Begin at a seed that nobody chose.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="How many.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one for each core]")
@click.option(
    "--plant", type=click.Choice(sorted(PLANTS)), help="Plant this bug: it must be found."
)
@click.option("--trace", is_flag=True, help="Write what happened, line by line.")
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each seed.")
def command(
    seed: int | None,
    random_seed: bool,
    seeds: int,
    jobs: int | None,
    plant: str | None,
    trace: bool,
    as_json: bool,
) -> int:
    """Simulate server, links, devices, disks and clocks, with faults, and check every guarantee."""
    first = random.SystemRandom().randrange(SEED_MAX) if random_seed else seed or 0
    options = SimOptions(plant=plant or "")
    if trace:
        options = SimOptions(plant=plant or "", trace_lines_max=TRACE_LINES)
    broken: list[int] = []
    done = 0
    for report in run_seeds(first, seeds, jobs or os.cpu_count() or 1, options):
        done += 1
        if as_json:
            write_json(_facts(report))
        elif trace:
            for line in report.trace_tail:
                OUT.print(line, markup=False, soft_wrap=True)
        if not report.passed:
            broken.append(report.seed)
            if not as_json:
                _show_broken(report, plant)
        if ERR.is_terminal and not as_json:
            ERR.print(f"{done} of {seeds} seeds, {len(broken)} broken", end="\r")
    if not as_json:
        OUT.print(f"{done} seeds, {len(broken)} broken a guarantee.".replace("broken a", "broke a"))
    return ExitCode.FAILURE if broken else ExitCode.OK


def _show_broken(report: Report, plant: str | None) -> None:
    planted = f" --plant {plant}" if plant else ""
    OUT.print(f"\nSeed {report.seed}: replay with mobilesync sim --seed {report.seed}{planted}")
    for finding in report.findings:
        OUT.print(f"  {finding}", markup=False, soft_wrap=True)
    for line in report.trace_tail[-30:]:
        OUT.print(f"    {line}", markup=False, soft_wrap=True)


def _facts(report: Report) -> dict[str, Any]:
    return {
        "seed": report.seed,
        "passed": report.passed,
        "findings": [msgspec.to_builtins(finding) for finding in report.findings],
        "trace_hash": report.trace_hash,
        "steps": report.steps,
        "virtual_s": report.virtual_s,
        "faults": report.faults,
    }

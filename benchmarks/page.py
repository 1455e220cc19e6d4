"""The page of the benchmarks, and its charts, made from the results of a run.

    python -m benchmarks.page [--results docs/benchmarks/results.json] [--into docs/benchmarks]

Nothing is measured here, and nothing on the page comes from elsewhere than the results and the
words of sections.py.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.bars import judged
from benchmarks.plots import Mark, Row, bars, lines, told
from benchmarks.ratios import FLOOR, OURS, Spread
from benchmarks.results import Results, Size, WorkResult, read
from benchmarks.sections import FAIRNESS, SECTIONS, Chart, Column, Section
from benchmarks.systems import ALL, titled
from benchmarks.works.unicast import CEILING, PER_S

RESULTS = Path("docs/benchmarks/results.json")
PAGE = "README.md"


def write_page(results: Results, folder: Path) -> None:
    """Write the page and its charts; charts of an earlier run are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for section in SECTIONS:
        for old in folder.glob(f"{section.work.lower()}-*.svg"):
            old.unlink()
    charts: dict[str, str] = {}
    text = page(results, charts)
    for name, chart in charts.items():
        (folder / name).write_text(chart)
    (folder / PAGE).write_text(text)


def page(results: Results, charts: dict[str, str]) -> str:
    """The page in Markdown; what it shows as pictures is put into `charts` by file name."""
    parts = ["# Benchmarks", *_head(results), *_bars(results)]
    for section in SECTIONS:
        for work in results.works:
            if work.work == section.work:
                parts += _section(section, work, charts, _origin(results, work))
    parts += [*_load(results), *_systems(results), *_how(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(results: Results) -> Iterator[str]:
    yield (
        "Made from [results.json](results.json) by `python -m benchmarks.page`; run "
        f"`{results.command}` for your own. {results.at}, commit {results.commit}."
    )
    if results.quick:
        yield (
            "**This was a quick run**: one short round of each, with fewer devices. It shows that"
            " everything runs; its figures prove little."
        )
    if results.short:
        yield (
            "**This was a short run**: fewer rounds, seconds, devices and systems than in a whole"
            " run."
        )
    if earlier := [_named(work) for work in results.works if results.is_earlier(work)]:
        yield (
            f"Of earlier runs, as their sections say: {', '.join(earlier)}."
            " The machine and the versions are told as they were in the last run."
        )
    yield _table(["machine", ""], [[name, value] for name, value in results.machine.items()])


def _named(work: WorkResult) -> str:
    partial = work.size in (Size.QUICK, Size.SHORT)
    return f"{work.work} ({work.size} run)" if partial else work.work


def _bars(results: Results) -> Iterator[str]:
    yield "## The bars"
    yield "Ours over theirs, in the median of the rounds, against what we demand of ourselves."
    verdicts = {True: "met", False: "**not met**", None: "not measured"}
    rows = [
        [work.work, bar.says, bar.told, "n/a" if value is None else f"{value:.2f}", verdicts[met]]
        for work in results.works
        for bar, value, met in judged(work.work, work.figures)
    ]
    yield _table(["work", "figure", "bar", "found", ""], rows)
    yield "```\n" + "\n".join(work.line for work in results.works) + "\n```"


def _origin(results: Results, work: WorkResult) -> str:
    """Which run measured it, if that was another than the one that the page is of."""
    if not results.is_earlier(work):
        return ""
    size = f", a {work.size} run" if work.size else ""
    return f"Of an earlier run: {work.at}, commit {work.commit}, by `{work.command}`{size}."


def _section(
    section: Section, work: WorkResult, charts: dict[str, str], origin: str
) -> Iterator[str]:
    yield f"## {section.work} · {section.title}"
    yield origin
    yield section.how
    yield "; ".join(f"{name}: {value}" for name, value in work.settings.items()) + "."
    for number, chart in enumerate(section.charts):
        name = f"{section.work.lower()}-{number + 1}"
        if section.is_line_chart:
            drawn = {"": _lines(chart, work)}
        else:
            drawn = {case: _chart(chart, work, case) for case in chart.cases or work.medians}
        for index, (case, svg) in enumerate(drawn.items()):
            if svg:
                file = f"{name}-{index + 1}.svg"
                charts[file] = svg
                yield f"![{chart.title}{', ' if case else ''}{case}]({file})"
    for case in work.medians:
        yield f"**{case}**"
        yield _figures(section.columns, work, case)
    if work.missing:
        told = [f"{titled(each.system)}, {each.case}: {each.why}" for each in work.missing]
        yield "Not measured:\n\n" + "\n".join(f"- {_flat(each)}" for each in told)


def _chart(chart: Chart, work: WorkResult, case: str) -> str:
    found = work.spreads(case, chart.figure)
    if OURS not in found:
        return ""
    rows = [
        Row(titled(system), _divided(spread, chart.divisor), system == OURS)
        for system, spread in _ordered(found)
    ]
    return bars(f"{chart.title}, {case}", chart.unit, rows, _mark(chart, found))


def _mark(chart: Chart, found: Mapping[str, Spread]) -> Mark | None:
    """Where our bar should end."""
    if chart.bar is None:
        return None
    if not chart.peers:
        return Mark(chart.bar, f"bar: {chart.bar:g} {chart.unit}")
    theirs = [found[peer].median for peer in chart.peers if peer in found]
    if not theirs:
        return None
    best = max(theirs) if chart.more_is_better else min(theirs)
    whose = "the best that syncs first" if len(chart.peers) > 1 else titled(*chart.peers)
    if "nats" in chart.peers:
        whose = "the best peer"
    return Mark(chart.bar * best / chart.divisor, f"bar: {chart.bar:g} × {whose}")


def _lines(chart: Chart, work: WorkResult) -> str:
    along = list(work.medians)
    names = [system.name for system in ALL]
    series: dict[str, list[float | None]] = {}
    for name in names:
        found = [work.spreads(case, chart.figure).get(name) for case in along]
        if any(found):
            series[titled(name)] = [each.median / chart.divisor if each else None for each in found]
    return lines(chart.title, chart.unit, along, series) if series else ""


def _figures(columns: Sequence[Column], work: WorkResult, case: str) -> str:
    known = [column for column in columns if work.spreads(case, column.figure)]
    names = [name for name, _ in _ordered(work.spreads(case, known[0].figure))] if known else []
    rows = [
        [
            f"**{titled(name)}**" if name == OURS else titled(name),
            *(_cell(work.spreads(case, column.figure).get(name), column) for column in known),
        ]
        for name in names
    ]
    return _table(["", *(column.title for column in known)], rows)


def _cell(spread: Spread | None, column: Column) -> str:
    if spread is None:
        return ""
    median, least, most = (
        told(each / column.divisor) for each in (spread.median, spread.least, spread.most)
    )
    return median if least == most else f"{median} ({least}–{most})"


def _ordered(found: Mapping[str, Spread]) -> list[tuple[str, Spread]]:
    names = [system.name for system in ALL]
    return sorted(found.items(), key=lambda each: names.index(each[0]))


def _divided(spread: Spread, divisor: float) -> Spread:
    return Spread(spread.median / divisor, spread.least / divisor, spread.most / divisor)


def _load(results: Results) -> Iterator[str]:
    """That the load is not what limits: its own share, and what it does with a cheaper server."""
    unicast = next((work for work in results.works if work.work == "W1"), None)
    if unicast is None:
        return
    yield "## Is the load the limit?"
    yield (
        "The load is a C program on the other processors, in one thread. Its share of a processor"
        " says whether it had time left; the C floor, which costs little, shows how much it gets"
        " through when the server does not limit it."
    )
    ceiling = unicast.spreads(CEILING, PER_S).get(FLOOR)
    rows: list[list[str]] = []
    for case in unicast.medians:
        shares, rates = unicast.spreads(case, "load_cpu_share"), unicast.spreads(case, PER_S)
        for name, rate in _ordered(rates):
            share = f"{shares[name].most:.2f}" if name in shares else ""
            part = f"{rate.median / ceiling.median:.2f}" if ceiling else "n/a"
            rows.append([case, titled(name), told(rate.median), part, share])
    yield _table(["", "system", "oplogs/s", "of the load's most", "load's share, at most"], rows)


def _systems(results: Results) -> Iterator[str]:
    yield "## The systems"
    rows = [[system.title, results.versions.get(system.name, ""), system.answers] for system in ALL]
    yield _table(["", "version", "an oplog whose publisher is answered is …"], rows)


def _how(results: Results) -> Iterator[str]:
    yield "## How it is measured"
    yield FAIRNESS
    yield f"The command: `{results.command}`. Every run of it is in [results.json](results.json)."


def _flat(text: str) -> str:
    """On one line, and short enough for a page."""
    return " ".join(text.split())[:300]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Make the page again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--into", type=Path, default=RESULTS.parent)
    arguments = parser.parse_args()
    write_page(read(arguments.results), arguments.into)


if __name__ == "__main__":
    main()

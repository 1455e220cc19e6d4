"""The page shows what was found, missed and not measured, and its charts are beside it."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.page import page, write_page
from benchmarks.results import Missing, Results, Run, Size, WorkResult
from benchmarks.works import idle, latency, unicast


def _unicast() -> WorkResult:
    runs = [
        Run(
            system,
            "1,000 devices",
            number,
            {
                unicast.PER_S: rate * (number + 1),
                unicast.CPU_US: 20.0,
                "load_cpu_share": 0.4,
                "p99_us": 2_000.0,
            },
        )
        for number in range(2)
        for system, rate in (("mobilesync", 30_000.0), ("floor", 60_000.0), ("redis", 20_000.0))
    ]
    runs.append(Run("floor", unicast.CEILING, 0, {unicast.PER_S: 180_000.0}))
    figures = {"throughput_vs_durable_peer": 1.5, "cpu_vs_durable_peer": 0.5, "cpu_vs_floor": None}
    missing = [Missing("mosquitto", "1,000 devices", "mosquitto is\nmissing")]
    return WorkResult.of("W1", {"rounds": 2}, figures, runs, missing)


def _latency() -> WorkResult:
    runs = [
        Run(system, latency.case(percent), 0, {latency.P99_US: 1_000.0 * percent})
        for system in ("mobilesync", "redis")
        for percent in (25, 50, 75)
    ]
    return WorkResult.of("W6", {}, {"p99_vs_durable_peer": 1.0}, runs, [])


def _idle() -> WorkResult:
    runs = [Run("mobilesync", "10 connections", 0, {idle.KB: 18.0, idle.CPU_S: 0.1})]
    return WorkResult.of("W4", {}, {"kb_per_connection": 18.0}, runs, [])


def _results(quick: bool = False, short: bool = False) -> Results:
    return Results(
        at="2030-01-01 10:00 UTC",
        command="make bench",
        quick=quick,
        short=short,
        commit="abc123",
        machine={"processors": "2 × fast"},
        versions={"redis": "7.0.15"},
        works=[_unicast(), _idle(), _latency()],
    )


def test_every_bar_is_judged() -> None:
    text = page(_results(), {})
    assert "over the best peer that syncs before it answers | ≥ 2 | 1.50 | **not met** |" in text
    assert "≤ 0.6 | 0.50 | met |" in text
    assert "| ≤ 2.5 | n/a | not measured |" in text
    assert "W4 kb_per_connection=18.00" in text


def test_tables_show_medians_and_spread() -> None:
    text = page(_results(), {})
    assert "| **Mobilesync** | 45,000 (30,000–60,000) | 20 | 2 |" in text
    assert "- Mosquitto, 1,000 devices: mosquitto is missing" in text
    assert "| Redis Streams, AOF always | 7.0.15 |" in text


def test_the_load_is_shown_beside_the_floor() -> None:
    assert "| 1,000 devices | Mobilesync | 45,000 | 0.25 | 0.40 |" in page(_results(), {})


def test_a_quick_run_says_so() -> None:
    assert "This was a quick run" in page(_results(quick=True), {})
    assert "This was a quick run" not in page(_results(), {})


def test_a_short_run_says_so() -> None:
    assert "This was a short run" in page(_results(short=True), {})
    assert "This was a short run" not in page(_results(quick=True), {})
    assert "This was a short run" not in page(_results(), {})


def test_a_kept_work_says_which_run_it_is_of() -> None:
    results = _results()
    for work in results.works:
        results.sign(work)
    assert "earlier run" not in page(results, {})
    results.works[1].at, results.works[1].size = "2029-12-31 10:00 UTC", Size.SHORT
    text = page(results, {})
    told = "Of an earlier run: 2029-12-31 10:00 UTC, commit abc123, by `make bench`, a short run."
    assert text.count("Of an earlier run") == 1
    assert told in text.partition("## W4")[2].partition("## W6")[0]
    assert "Of earlier runs, as their sections say: W4 (short run)." in text


def test_charts_are_beside_the_page_and_old_ones_are_gone(tmp_path: Path) -> None:
    (tmp_path / "w2-7-1.svg").write_text("")
    (tmp_path / "logo.svg").write_text("")
    write_page(_results(), tmp_path)
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (tmp_path / "README.md").read_text())
    assert sorted(shown) == sorted(path.name for path in tmp_path.glob("w*.svg"))
    assert (tmp_path / "logo.svg").exists(), "it is none of ours"
    assert len(shown) == 2 + 2 + 1, "two of W1, two of W4, and W6's lines"
    for name in shown:
        ET.fromstring((tmp_path / name).read_text())
    assert "bar: 2 × the best that syncs first" in (tmp_path / "w1-1-1.svg").read_text()

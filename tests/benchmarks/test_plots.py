"""Charts are well-formed, show what they are given, and survive odd values."""

from xml.etree import ElementTree as ET

import pytest

from benchmarks.plots import Mark, Row, bars, lines, told
from benchmarks.ratios import Spread

SVG = "{http://www.w3.org/2000/svg}"


def _texts(chart: str) -> list[str]:
    return ["".join(each.itertext()) for each in ET.fromstring(chart).iter(f"{SVG}text")]


def test_bars_show_medians_and_spread() -> None:
    rows = [
        Row("Mobilesync", Spread(30_000.0, 20_000.0, 31_000.0), is_ours=True),
        Row("A & B <peer>", Spread(10.0, 10.0, 10.0)),
    ]
    chart = bars("Throughput", "oplogs/s", rows, Mark(20_000.0, "bar: 2 × the best"))
    texts = _texts(chart)
    assert texts[0] == "Throughput, oplogs/s"
    assert {"Mobilesync", "30,000", "A & B <peer>", "10", "bar: 2 × the best"} <= set(texts)
    root = ET.fromstring(chart)
    assert len([each for each in root.iter(f"{SVG}line") if each.get("class") == "spread"]) == 3
    assert len([each for each in root.iter(f"{SVG}rect") if each.get("class") == "ours"]) == 1


def test_bars_of_nothing_but_zeros() -> None:
    ET.fromstring(bars("Idle", "s", [Row("x", Spread(0.0, 0.0, 0.0))]))


def test_lines_leave_out_what_is_missing() -> None:
    chart = lines("p99", "ms", ["25 %", "50 %"], {"ours": [1.0, 20.0], "peer": [None, 3.0]})
    drawn = [
        (each.get("points") or "").split() for each in ET.fromstring(chart).iter(f"{SVG}polyline")
    ]
    assert [len(points) for points in drawn] == [2, 1]
    assert {"25 %", "50 %", "ours", "peer", "1", "100"} <= set(_texts(chart))


def test_a_chart_is_readable_in_the_dark() -> None:
    assert "prefers-color-scheme:dark" in bars("x", "s", [Row("x", Spread(1.0, 1.0, 1.0))])


@pytest.mark.parametrize(
    "value, text", [(12_345.6, "12,346"), (123.4, "123"), (1.234, "1.23"), (0.05, "0.05")]
)
def test_values_are_short(value: float, text: str) -> None:
    assert told(value) == text

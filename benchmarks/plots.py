"""Charts as SVG, made by hand: bars with their spread, and lines over a logarithmic axis.

Strategy: a chart is a list of elements with a style sheet inside. The style follows the reader's
preference for light or dark, and the chart brings its own background, so that it can be read on any
page. Ours is in the strong colour; everything else is told apart by its label.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.ratios import Spread

WIDTH = 760
_LABELS = 190
_RIGHT = 110
_ROW = 28
_TOP = 44
_STYLE = """
.ground{fill:#fff}.title{font:600 14px sans-serif;fill:#1f2328}
.label,.value{font:12px sans-serif;fill:#1f2328}.quiet{font:11px sans-serif;fill:#59636e}
.ours{fill:#0b62d6;stroke:#0b62d6}.peer{fill:#a8b1bb;stroke:#a8b1bb}
.spread{stroke:#1f2328;stroke-width:1.5}.bar{stroke:#c4262e;stroke-dasharray:4 3;stroke-width:1.5}
.grid{stroke:#d8dee4}.line{fill:none;stroke-width:2.5}
.s0{stroke:#0b62d6;fill:#0b62d6}.s1{stroke:#b35900;fill:#b35900}.s2{stroke:#1a7f37;fill:#1a7f37}
.s3{stroke:#8250df;fill:#8250df}.s4{stroke:#bf3989;fill:#bf3989}.s5{stroke:#6e7781;fill:#6e7781}
@media (prefers-color-scheme:dark){
.ground{fill:#0d1117}.title,.label,.value{fill:#e6edf3}.quiet{fill:#9198a1}
.ours{fill:#4c9aff;stroke:#4c9aff}.peer{fill:#59636e;stroke:#59636e}.spread{stroke:#e6edf3}
.bar{stroke:#ff7b72}.grid{stroke:#30363d}
.s0{stroke:#4c9aff;fill:#4c9aff}.s1{stroke:#f0883e;fill:#f0883e}.s2{stroke:#3fb950;fill:#3fb950}
.s3{stroke:#bc8cff;fill:#bc8cff}.s4{stroke:#f778ba;fill:#f778ba}.s5{stroke:#9198a1;fill:#9198a1}
}
.line{fill:none}
"""


@dataclass(frozen=True)
class Row:
    """One bar: whose, and how long."""

    label: str
    spread: Spread
    is_ours: bool = False


@dataclass(frozen=True)
class Mark:
    """A value to be held, drawn across all bars."""

    value: float
    label: str


def bars(title: str, unit: str, rows: Sequence[Row], mark: Mark | None = None) -> str:
    """Horizontal bars of the medians; a whisker from the least to the most of the rounds."""
    assert rows
    ends = [row.spread.most for row in rows] + ([mark.value] if mark else [])
    scale = (WIDTH - _LABELS - _RIGHT) / (max(ends) or 1.0)
    height = _TOP + _ROW * len(rows) + (34 if mark else 14)
    parts: list[str] = []
    for number, row in enumerate(rows):
        parts += _bar(row, _TOP + _ROW * number, scale)
    if mark:
        across, bottom = _LABELS + mark.value * scale, _TOP + _ROW * len(rows)
        parts.append(_line(across, _TOP - 6, across, bottom + 4, "bar"))
        parts.append(_text(across, bottom + 18, mark.label, "quiet", "middle"))
    return _svg(f"{title}, {unit}", height, parts)


def _bar(row: Row, top: float, scale: float) -> Iterator[str]:
    middle, kind = top + _ROW / 2 - 3, "ours" if row.is_ours else "peer"
    width = max(row.spread.median * scale, 1.0)
    least, most = (_LABELS + end * scale for end in (row.spread.least, row.spread.most))
    yield _text(_LABELS - 8, middle + 4, row.label, "label", "end")
    yield (
        f'<rect class="{kind}" x="{_LABELS}" y="{top:.1f}" width="{width:.1f}"'
        f' height="{_ROW - 8}" rx="2"/>'
    )
    if most - least >= 1:
        yield _line(least, middle, most, middle, "spread")
        for end in (least, most):
            yield _line(end, middle - 4, end, middle + 4, "spread")
    yield _text(max(_LABELS + width, most) + 8, middle + 4, told(row.spread.median), "value")


def lines(
    title: str, unit: str, along: Sequence[str], series: Mapping[str, Sequence[float | None]]
) -> str:
    """A line for each of `series` over the steps `along`, on a logarithmic axis.

    The first is drawn as ours. A value that is missing is left out of its line.
    """
    values = [value for each in series.values() for value in each if value]
    assert values
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    bottom = _TOP + 240
    left, right = 70, WIDTH - 210
    step = (right - left) / max(len(along) - 1, 1)

    def place(number: int, value: float) -> tuple[float, float]:
        up = (math.log10(value) - low) / (high - low)
        return left + number * step, bottom - up * (bottom - _TOP)

    parts: list[str] = []
    for power in range(low, high + 1):
        _, up = place(0, 10.0**power)
        parts.append(_line(left, up, right, up, "grid"))
        parts.append(_text(left - 8, up + 4, told(10.0**power), "quiet", "end"))
    for number, label in enumerate(along):
        parts.append(_text(left + number * step, bottom + 20, label, "quiet", "middle"))
    ends: list[tuple[float, str, int]] = []
    for number, (name, each) in enumerate(series.items()):
        points = [place(at, value) for at, value in enumerate(each) if value]
        if points:
            drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline class="s{number % 6} line" points="{drawn}"/>')
            parts += [_dot(x, y, number) for x, y in points]
            ends.append((points[-1][1], name, number))
    parts += _names(ends, right + 12)
    return _svg(f"{title}, {unit}", bottom + 34, parts)


def _dot(x: float, y: float, number: int) -> str:
    return f'<circle class="s{number % 6}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'


def _names(ends: list[tuple[float, str, int]], x: float) -> Iterator[str]:
    """The names at the ends of the lines, pushed apart where they would overlap."""
    lowest = -math.inf
    for y, name, number in sorted(ends):
        lowest = max(y, lowest + 16)
        yield _dot(x, lowest, number)
        yield _text(x + 10, lowest + 4, name, "label")


def told(value: float) -> str:
    """A value in a few characters, as a person would say it."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height:.0f}"/>',
        _text(16, 24, title, "title"),
    )
    return "\n".join((*head, *parts, "</svg>")) + "\n"

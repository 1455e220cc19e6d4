"""Every work has a section, and what a chart shows is in the section's tables too."""

from benchmarks.__main__ import WORKS
from benchmarks.bars import BARS
from benchmarks.sections import SECTIONS


def test_every_work_has_a_section_and_bars() -> None:
    assert tuple(section.work for section in SECTIONS) == WORKS
    assert set(BARS) == set(WORKS)


def test_charts_show_what_tables_hold() -> None:
    for section in SECTIONS:
        columns = {column.figure for column in section.columns}
        assert {chart.figure for chart in section.charts} <= columns, section.work

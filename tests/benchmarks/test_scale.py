"""Scale compares pairs round by round and tells one line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import scale
from benchmarks.results import Size
from benchmarks.works.turns import Options
from tests.benchmarks.canned import silent


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, Options]]:
    """What the load was asked; servers and folders are not real."""
    found: list[tuple[str, Options]] = []
    folders: list[str] = []

    @contextmanager
    def ours(data: str = "") -> Iterator[str]:
        folders.append(data)
        yield data

    def drive(server: str, work: str, options: Options) -> Mapping[str, float]:
        found.append((work, options))
        if work == "idle":
            return {scale.KB: 18.0}
        if work == "publish":
            return {scale.CPU_US: 30.0 if "10000000" in server else 20.0, scale.PUBLISH_PER_S: 9.0}
        cost = 10.0 if "10000000" in server or options["devices"] == 10_000 else 8.0
        return {scale.CPU_US: cost}

    def fill(data: Path, _count: int, _say: Callable[[str], None]) -> None:
        data.mkdir()

    parts: dict[str, Any] = {"ours": ours, "drive": drive, "fill": fill}
    for name, part in parts.items():
        monkeypatch.setattr(scale, name, part)
    monkeypatch.setattr(scale, "publish_one", lambda _server: None)
    monkeypatch.setattr(scale, "SETTLE_S", 0.0)
    monkeypatch.chdir(tmp_path)
    return found


def test_the_line_and_what_was_asked(asked: list[tuple[str, Options]]) -> None:
    result = scale.measure(replace(scale.FULL, rounds=2), silent)
    assert result.line.startswith("SCALE channels=1.25 stored=1.50 kb_per_session=18.00 restart_s=")
    unicasts = [options for work, options in asked if work == "unicast"]
    assert len(unicasts) == 2 * 4
    assert all((each["rate"], each["ack_ms"]) == (2_000, 0) for each in unicasts)
    assert [each["first"] for each in unicasts if "first" in each] == [0, 0, 1_000, 1_000]
    assert set(result.medians) == {
        "100 channels",
        "10,000 channels",
        "10,000 stored",
        "10,000,000 stored",
        scale.IDLE,
    }


def test_a_short_run_has_as_many_channels_and_fewer_stored(
    asked: list[tuple[str, Options]],
) -> None:
    result = scale.measure(scale.EXTENTS[Size.SHORT], silent)
    assert "1,000,000 stored" in result.medians
    assert "10,000 channels" in result.medians
    assert asked

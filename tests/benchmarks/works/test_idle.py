"""W4 has as many connections as the machine allows, and says so when they are fewer."""

import resource

import pytest

from benchmarks.works import idle
from mobilesync.engine.options import SessionOptions
from tests.benchmarks.canned import CannedBench, silent

FIGURES = {name: {idle.KB: 19.0} for name in ("mobilesync", "floor", "mosquitto")}


@pytest.mark.parametrize(
    "files, devices", [(20_000, 18_000), (resource.RLIM_INFINITY, 28_000), (100, 1)]
)
def test_limits_of_the_machine(monkeypatch: pytest.MonkeyPatch, files: int, devices: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (files, files))
    assert idle.possible(50_000) == devices
    result = idle.measure(CannedBench(FIGURES), idle.FULL, silent)
    assert result.line == "W4 kb_per_connection=19.00"
    assert f"allow {devices:,}" in str(result.settings["meant"])


def test_what_is_possible_is_not_remarked() -> None:
    assert "meant" not in idle.measure(CannedBench(FIGURES), idle.QUICK, silent).settings


def test_each_device_beats_once_in_a_short_run() -> None:
    assert idle.SHORT.seconds >= idle.SHORT.beat_s == SessionOptions().beat_min_s

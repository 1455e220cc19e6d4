"""What the load reports is checked before it counts; versions are found in what programs say."""

from pathlib import Path

import pytest

from benchmarks.live import checked, folder_mb, serving, version_of, versions
from benchmarks.load import LoadFailed, Report
from benchmarks.peers.peer import PeerMissing, Recipe
from benchmarks.systems import System

REPORT = Report(
    speak="redis", work="unicast", devices=10, delivered_per_s=5.0, lost=0, out_of_order=0
)


def test_figures_are_numbers_and_the_rate_is_one_of_them() -> None:
    assert checked(REPORT, {"rate": 100}) == {
        "devices": 10.0,
        "delivered_per_s": 5.0,
        "lost": 0.0,
        "out_of_order": 0.0,
        "offered_per_s": 100.0,
    }
    assert "offered_per_s" not in checked(REPORT, {})


@pytest.mark.parametrize("broken, says", [("lost", "3 oplogs lost"), ("out_of_order", "of order")])
def test_lost_or_disordered_oplogs_void_a_run(broken: str, says: str) -> None:
    report = Report(speak="redis", work="unicast", devices=10, **{broken: 3})
    with pytest.raises(LoadFailed, match=says):
        checked(report, {})


def test_a_run_in_which_nothing_happened_counts_for_nothing() -> None:
    with pytest.raises(LoadFailed, match="nothing was answered"):
        checked(Report(speak="jetstream", work="publish", devices=0, published=0), {})


def test_a_missing_system_is_not_served() -> None:
    recipe = Recipe("none", "no-such-server", None, None, lambda _place, _path: ())
    with pytest.raises(PeerMissing), serving(System("none", "None", "mqtt", "", recipe)):
        pass


@pytest.mark.parametrize(
    "text, version",
    [
        ("mosquitto version 2.0.11\n\nmosquitto is an MQTT v5.0/v3.1.1/v3.1 broker.", "2.0.11"),
        ("nats-server: v2.15.1\n", "2.15.1"),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "7.0.15"),
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18"),
        ("homemade\nand more", "homemade"),
    ],
)
def test_versions_as_programs_tell_them(text: str, version: str) -> None:
    assert version_of(text) == version


def test_our_own_version_is_always_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.live.ALL", ())
    assert set(versions()) == {"mobilesync"}


def test_a_folder_is_as_large_as_its_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(bytes(1024**2))
    assert folder_mb(tmp_path) == 1.0

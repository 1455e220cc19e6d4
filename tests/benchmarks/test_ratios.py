"""Ratios round by round, the best peer, and the last lines."""

import pytest

from benchmarks.ratios import (
    Spread,
    best_ratio,
    broadcast_figures,
    idle_figures,
    latency_figures,
    line,
    publish_figures,
    ratio,
    spread,
    storm_figures,
    unicast_figures,
)

PER_S = {
    "mobilesync": [300.0, 200.0, 400.0],
    "floor": [900.0, 800.0, 700.0],
    "mosquitto": [150.0, 200.0, 200.0],
    "jetstream-always": [100.0, 100.0, 100.0],
    "redis": [200.0, 200.0, 200.0],
}
CPU_US = {
    "mobilesync": [30.0],
    "floor": [15.0],
    "mosquitto": [40.0],
    "jetstream-always": [60.0],
    "redis": [50.0],
}


def test_spread_is_the_median_and_the_ends() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(median=3.0, least=1.0, most=10.0)


def test_a_ratio_is_taken_round_by_round() -> None:
    rounds = {"mobilesync": [1.0, 8.0, 9.0], "redis": [1.0, 1.0, 9.0]}
    assert ratio(rounds, "redis") == 1.0, "the ratio of the medians would be 8"


def test_what_was_not_measured_has_no_ratio() -> None:
    assert ratio({"mobilesync": [1.0]}, "redis") is None
    assert ratio({"redis": [1.0]}, "redis") is None
    assert best_ratio({"mobilesync": [1.0]}, ["redis"], "more") is None


def test_rounds_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="mobilesync ran 1 rounds and redis 2"):
        ratio({"mobilesync": [1.0], "redis": [1.0, 2.0]}, "redis")


def test_the_best_peer_is_the_harder_bar() -> None:
    peers = ("jetstream-always", "redis")
    assert best_ratio(PER_S, peers, "more") == 1.5, "redis publishes more"
    assert best_ratio(CPU_US, peers, "less") == 0.6, "redis costs less"


def test_the_last_line_of_each_work() -> None:
    assert line("W1", unicast_figures([PER_S], [CPU_US])) == (
        "W1 throughput_vs_durable_peer=1.50 cpu_vs_durable_peer=0.60"
        " throughput_vs_mosquitto=2.00 cpu_vs_mosquitto=0.75 cpu_vs_floor=2.00"
    )
    two = {"mobilesync": [3.0], "mosquitto": [6.0], "nats": [4.0], "postgresql": [2.0]}
    assert line("W2", broadcast_figures(two)) == "W2 cpu_vs_best_peer=0.75"
    assert line("W3", storm_figures(two)) == "W3 time_vs_mosquitto=0.50"
    assert line("W4", idle_figures(two)) == "W4 kb_per_connection=3.00"
    told = line("W5", publish_figures(two, two))
    assert told == "W5 batch_vs_postgresql=1.50 single_vs_postgresql=1.50"
    assert line("W6", latency_figures(CPU_US)) == "W6 p99_vs_durable_peer=0.60"


def test_unicast_tells_the_harder_number_of_devices() -> None:
    slow = {name: [value / 2 for value in values] for name, values in PER_S.items()}
    slow["mobilesync"] = [10.0, 10.0, 10.0]
    figures = unicast_figures([PER_S, slow], [CPU_US, {"mobilesync": [90.0], "floor": [30.0]}])
    assert figures["throughput_vs_durable_peer"] == 0.1
    assert figures["cpu_vs_floor"] == 3.0
    assert figures["cpu_vs_mosquitto"] == 0.75, "it was not measured with more devices"


def test_a_missing_peer_is_told_in_the_last_line() -> None:
    assert line("W3", storm_figures({"mobilesync": [3.0]})) == "W3 time_vs_mosquitto=n/a"
    assert line("W4", idle_figures({})) == "W4 kb_per_connection=n/a"

"""Metrics: complete, cumulative where they must be, and without anybody's data."""

from mobilesync.engine.metrics import Histogram, Metrics


def _family(metrics: Metrics, name: str) -> list[tuple[str, dict[str, str], float]]:
    return next(family.samples for family in metrics.families() if family.name == name)


def test_histogram_buckets_are_cumulative_and_inclusive() -> None:
    histogram = Histogram((1, 2, 5))
    histogram.observe(1)
    histogram.observe(1.5)
    histogram.observe(100, times=3)
    assert histogram.samples("h") == [
        ("h_bucket", {"le": "1"}, 1),
        ("h_bucket", {"le": "2"}, 2),
        ("h_bucket", {"le": "5"}, 2),
        ("h_bucket", {"le": "+Inf"}, 5),
        ("h_sum", {}, 302.5),
        ("h_count", {}, 5),
    ]


def test_every_field_is_shown() -> None:
    metrics = Metrics()
    fields = [name for name in vars(metrics) if not name.startswith("_")]
    for field in fields:
        value = getattr(metrics, field)
        if isinstance(value, int):
            setattr(metrics, field, 3)
        elif isinstance(value, dict):
            value["X"] = 3
        else:
            value.observe(0.5, times=3)
    shown = [family for family in metrics.families() if any(s[2] == 3 for s in family.samples)]
    assert len(shown) == len(fields) == len(list(metrics.families()))


def test_names_are_unique_and_well_formed() -> None:
    families = list(Metrics().families())
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.name.startswith("mobilesync_")
        assert family.help
        if family.kind == "counter":
            assert family.name.endswith("_total")


def test_counts_by_code_carry_the_code_only() -> None:
    metrics = Metrics()
    metrics.closes[1001] = 2
    assert _family(metrics, "mobilesync_closes_total") == [
        ("mobilesync_closes_total", {"code": "1001"}, 2)
    ]


def test_gauges_and_counters_are_read_when_asked_for() -> None:
    metrics = Metrics()
    value = 1.0
    metrics.gauge("g", "a gauge", lambda: value)
    metrics.counter("c_total", "a counter", lambda: value * 10)
    value = 2.0
    assert _family(metrics, "g") == [("g", {}, 2.0)]
    assert _family(metrics, "c_total") == [("c_total", {}, 20.0)]

"""Settings that contradict each other are refused where they are made."""

import pytest

from mobilesync.storage.embedded.options import EmbeddedOptions


def test_defaults_are_durable_and_bounded() -> None:
    options = EmbeddedOptions()
    assert options.durability == "fsync"
    assert options.group_bytes_max <= options.queue_bytes_max


@pytest.mark.parametrize(
    "wrong",
    [
        {"group_bytes_max": 2, "queue_bytes_max": 1},
        {"group_bytes_max": 0},
        {"memtable_bytes": 0},
        {"memtable_bytes": 2, "wal_bytes_max": 1},
        {"advances_max": 0},
        {"cached_targets_max": 0},
        {"cached_channels_max": 0},
    ],
)
def test_contradictions_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(AssertionError):
        EmbeddedOptions(**wrong)  # type: ignore[arg-type]  # all are of type int

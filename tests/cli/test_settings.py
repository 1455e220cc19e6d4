"""The table of settings: complete, within its own bounds, and what the engine accepts."""

from typing import Any

from mobilesync.cli.server import service_options
from mobilesync.cli.settings import SETTINGS, Settings
from mobilesync.engine.options import AuditOptions, PublisherLimits, SessionOptions
from mobilesync.storage.embedded.options import EmbeddedOptions


def test_every_setting_says_what_it_is_and_who_turns_it() -> None:
    for setting in SETTINGS:
        assert setting.purpose.endswith("."), setting.name
        assert setting.turned.endswith("."), setting.name
        assert setting.group


def test_every_default_is_a_good_value() -> None:
    for setting in SETTINGS:
        for value in (setting.default, setting.production):
            assert setting.read(setting.show(value), "the table") == value


def test_names_are_unique_in_every_source() -> None:
    assert len({setting.flag for setting in SETTINGS}) == len(SETTINGS)
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


def test_defaults_are_those_of_the_engine_and_the_store() -> None:
    """Else a page and the code would tell two stories."""
    made = service_options(Settings())
    assert made.publisher == PublisherLimits()
    assert made.session == SessionOptions()
    assert made.audit == AuditOptions()
    assert Settings().queue_bytes_max == EmbeddedOptions().queue_bytes_max
    assert Settings().block_cache_bytes == EmbeddedOptions().block_cache_bytes
    assert Settings().durability == EmbeddedOptions().durability


def test_the_engine_takes_both_ends_of_every_bound() -> None:
    rows = {setting.name: setting for setting in SETTINGS}
    numbers = [name for name, row in rows.items() if isinstance(row.default, int | float)]
    tied: dict[str, dict[str, Any]] = {
        "beat_min_s": {"beat_max_s": 3600},
        "beat_max_s": {"beat_min_s": 5},
        "payload_bytes_max": {},
        "batch_bytes_max": {"payload_bytes_max": 1},
        "batch_items_max": {"publish_burst": 10_000},
        "publish_burst": {"batch_items_max": 1},
    }
    for name in numbers:
        row = rows[name]
        if row.kind == "switch":
            continue
        for end in (row.low, row.high):
            number: Any = int(end) if isinstance(row.default, int) else end
            service_options(Settings(**{**tied.get(name, {}), name: number}))

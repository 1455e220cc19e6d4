"""The rules of a biz: what is refused before it is stored."""

from typing import Any

import pytest

from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.sync_config import (
    PRIORITY_MAX,
    RETENTION_S_MAX,
    SyncConfig,
    check_sync_config,
)


def test_the_defaults_are_thirty_days_online_and_kept() -> None:
    config = check_sync_config(SyncConfig(biz="CHAT"))
    assert (config.retention_s, config.status, config.persistent) == (2_592_000, "online", True)


@pytest.mark.parametrize("retention_s", [1, RETENTION_S_MAX])
def test_retention_at_its_bounds(retention_s: int) -> None:
    check_sync_config(SyncConfig(biz="CHAT", retention_s=retention_s))


@pytest.mark.parametrize(
    "field, value",
    [
        ("biz", ""),
        ("biz", "a/b"),
        ("retention_s", 0),
        ("retention_s", -1),
        ("retention_s", RETENTION_S_MAX + 1),
        ("description", "x" * 1001),
        ("status", "paused"),
        ("priority", PRIORITY_MAX + 1),
        ("priority", -PRIORITY_MAX - 1),
    ],
)
def test_what_makes_no_sense_is_refused(field: str, value: Any) -> None:
    fields: dict[str, Any] = {"biz": "CHAT", field: value}
    with pytest.raises(InvalidRequest) as caught:
        check_sync_config(SyncConfig(**fields))
    assert caught.value.field == field
    assert caught.value.hint

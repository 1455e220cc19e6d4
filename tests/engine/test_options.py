"""Options that contradict each other, or the protocol, are refused when they are made."""

from typing import Any

import pytest

from mobilesync.engine.options import (
    OPLOG_OVERHEAD_BYTES,
    AuditOptions,
    PublisherLimits,
    ServiceOptions,
    SessionOptions,
    WebhookOptions,
)
from mobilesync.protocol import limits
from mobilesync.protocol.codec import encode_oplog
from mobilesync.protocol.messages import PushedOplog


def test_the_defaults_hold_together() -> None:
    options = ServiceOptions()
    assert options.publisher.payload_bytes_max <= options.session.buffered_bytes_max


@pytest.mark.parametrize(
    "wrong",
    [
        {"payload_bytes_max": 0},
        {"payload_bytes_max": 2048, "batch_bytes_max": 1024},
        {"payload_bytes_max": limits.PAYLOAD_BYTES_MAX + 1},
        {"batch_items_max": 0},
        {"batch_items_max": 10_001, "burst": 20_000},
        {"batch_items_max": 100, "burst": 99},
        {"rate_per_s": -1.0},
    ],
)
def test_publisher_limits_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        PublisherLimits(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sessions_max": 0},
        {"logins_max": 0},
        {"messages_per_s_max": 0},
        {"hello_timeout_s": 0.0},
        {"ack_timeout_s": 0.0},
        {"close_linger_s": 0.0},
        {"buffered_bytes_max": 0},
        {"beat_min_s": 0},
        {"beat_min_s": 100, "beat_max_s": 99},
        {"beat_max_s": limits.BEAT_S_MAX + 1},
        {"push_bytes": 2048, "window_bytes": 1024},
        {"push_count": 11, "window_count": 10},
        {"push_count": limits.OPLOGS_MAX + 1, "window_count": 10**6},
        {"push_bytes": limits.CLIENT_FRAME_BYTES_MAX, "window_bytes": 10**8},
    ],
)
def test_session_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        SessionOptions(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"pump_workers": 0}, {"wheel_tick_s": 0.0}, {"sweep_slices": 0}, {"trim_channels": 0}],
)
def test_service_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        ServiceOptions(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"queue_max": 99},
        {"batch_max": 0},
        {"batch_bytes": 0},
        {"retry_first_s": 0.0},
        {"retry_first_s": 601.0},
        {"age_max_s": 600.0},
        {"slow_s": 11.0},
        {"slow_s": 0.0},
        {"tick_s": 0.0},
        {"workers": 1},
    ],
)
def test_webhook_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        WebhookOptions(**wrong)


def test_the_overhead_of_an_oplog_is_not_underestimated() -> None:
    largest = PushedOplog(
        limits.ID_MAX, limits.ID_MAX, b"p" * 70_000, "m" * limits.MESSAGE_ID_CHARS_MAX
    )
    assert len(encode_oplog(largest)) <= 70_000 + OPLOG_OVERHEAD_BYTES


@pytest.mark.parametrize("wrong", [{"age_s": 0}, {"entries_max": 0}, {"prune_interval_s": 0.0}])
def test_an_audit_that_keeps_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        AuditOptions(**wrong)

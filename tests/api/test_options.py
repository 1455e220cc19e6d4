"""Bounds that make no sense together are refused where they are made."""

import pytest

from mobilesync.api.options import ApiOptions, MssOptions
from mobilesync.engine.options import PublisherLimits


@pytest.mark.parametrize(
    "bounds", [{"body_bytes_max": 0}, {"bodies_bytes_max": 5}, {"requests_max": 0}]
)
def test_relations(bounds: dict[str, int]) -> None:
    with pytest.raises(AssertionError):
        ApiOptions(**bounds)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(AssertionError):
        MssOptions(payload_chars_max=0)


def test_the_largest_batch_fits_into_a_body() -> None:
    limits = PublisherLimits()
    as_base64 = limits.batch_bytes_max * 4 // 3
    around = limits.batch_items_max * 1000
    assert as_base64 + around <= ApiOptions().body_bytes_max

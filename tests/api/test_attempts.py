"""Failed attempts: counted by address, forgiven in time, bounded."""

import pytest

from mobilesync.api import attempts as module
from mobilesync.api.attempts import FAILURES_MAX, FORGIVEN_PER_S, Attempts
from mobilesync.api.errors import HttpError
from tests.api.fakes import FakeClock


def test_one_address_does_not_slow_another(clock: FakeClock) -> None:
    attempts = Attempts(clock)
    for _ in range(FAILURES_MAX):
        attempts.check("bad")
        attempts.failed("bad")
    with pytest.raises(HttpError) as caught:
        attempts.check("bad")
    assert caught.value.retry_after_s == pytest.approx(1 / FORGIVEN_PER_S)
    attempts.check("good")


def test_failures_are_forgiven_in_time(clock: FakeClock) -> None:
    attempts = Attempts(clock)
    for _ in range(FAILURES_MAX):
        attempts.failed("bad")
    clock.now_s += 1 / FORGIVEN_PER_S
    attempts.check("bad")


def test_addresses_are_bounded(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PEERS_MAX", 3)
    attempts = Attempts(clock)
    for peer in "abcd":
        for _ in range(FAILURES_MAX):
            attempts.failed(peer)
    assert len(attempts._buckets) == 3
    attempts.check("a")
    with pytest.raises(HttpError):
        attempts.check("d")

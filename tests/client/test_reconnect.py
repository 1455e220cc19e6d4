"""When to come back."""

import random

from hypothesis import given
from hypothesis import strategies as st

from mobilesync.client.reconnect import RESUMES_MAX, Ended, Reconnect, Wait
from mobilesync.protocol.codes import CloseCode

FIRST_S, LONGEST_S, STABLE_S = 0.5, 120.0, 60.0


def policy(seed: int = 1) -> Reconnect:
    return Reconnect(FIRST_S, LONGEST_S, STABLE_S, random.Random(seed))


@given(st.integers(), st.integers(1, 200))
def test_own_waits_are_jittered_under_a_doubling_bound(seed: int, rounds: int) -> None:
    reconnect = policy(seed)
    for n in range(rounds):
        wait = reconnect.after(Ended("lost"))
        assert 0 <= wait.seconds <= min(LONGEST_S, FIRST_S * 2 ** min(n, 60))
        assert wait.advised_s == 0


def test_the_bound_is_used_up() -> None:
    reconnect = policy()
    waits = [reconnect.after(Ended("lost")).seconds for _ in range(300)]
    assert max(waits) > LONGEST_S * 0.9
    assert min(waits[20:]) < LONGEST_S * 0.1


def test_devices_do_not_come_back_together() -> None:
    assert len({policy(seed).after(Ended("lost")).seconds for seed in range(50)}) == 50


@given(st.integers(), st.integers(0, 60_000), st.integers(0, 60_000), st.integers(0, 20))
def test_nobody_comes_before_the_servers_advice(
    seed: int, after_ms: int, spread_ms: int, failures: int
) -> None:
    reconnect = policy(seed)
    reconnect.failures = failures
    wait = reconnect.after(Ended("draining", 1001, after_ms, spread_ms))
    assert after_ms / 1000 <= wait.advised_s <= (after_ms + spread_ms) / 1000
    assert wait.seconds >= wait.advised_s


def test_the_advice_is_spread() -> None:
    ended = Ended("draining", 1001, 1_000, 30_000)
    waits = [policy(seed).after(ended).advised_s for seed in range(200)]
    assert max(waits) - min(waits) > 25


def test_only_a_session_that_lasted_begins_anew() -> None:
    reconnect = policy()
    for _ in range(5):
        reconnect.after(Ended("lost", lasted_s=59.9))
    assert reconnect.failures == 5
    reconnect.after(Ended("lost", lasted_s=60.0))
    assert reconnect.failures == 1
    reconnect.forgive()
    assert reconnect.failures == 0


def test_a_server_that_wants_a_new_hello_gets_it_at_once() -> None:
    reconnect = policy()
    for _ in range(3):
        reconnect.after(Ended("lost"))
    resume = Ended("rewind", CloseCode.RESUME)
    for _ in range(RESUMES_MAX):
        assert reconnect.after(resume) == Wait(0.0, 0.0)
    assert reconnect.failures == 3
    # It is no reason to stay away longer, but the server may ask for that.
    reconnect.after(Ended("lost"))
    advised = Ended("rewind", CloseCode.RESUME, 2_000)
    assert reconnect.after(advised) == Wait(2.0, 2.0)


def test_a_server_that_cannot_stop_wanting_a_new_hello_is_not_hammered() -> None:
    reconnect = policy()
    resume = Ended("rewind", CloseCode.RESUME)
    waits = [reconnect.after(resume).seconds for _ in range(RESUMES_MAX + 50)]
    assert sum(waits[:RESUMES_MAX]) == 0
    assert all(each > 0 for each in waits[RESUMES_MAX:])
    assert max(waits) > LONGEST_S * 0.8
    for ended in (Ended("rewind", CloseCode.RESUME, lasted_s=STABLE_S), Ended("lost")):
        reconnect.after(ended)
        assert reconnect.after(resume).seconds == 0
    reconnect.after(Ended("lost"))


def test_a_new_token_costs_no_wait_once() -> None:
    reconnect = policy()
    assert reconnect.after(Ended("expired", 2001), at_once_once=True).seconds == 0
    waits = [reconnect.after(Ended("expired", 2001), at_once_once=True) for _ in range(9)]
    assert sum(each.seconds for each in waits) > 1


def test_a_token_is_not_shown_by_accident() -> None:
    ended = Ended("expired").of_session(3.0, "secret-token")
    assert (ended.lasted_s, ended.token) == (3.0, "secret-token")
    assert "secret-token" not in repr(ended)

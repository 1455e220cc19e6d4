"""What a campaign judges by itself, beside the checkers: on histories made by hand."""

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from tests.crash.campaign import untrue_refusals

CHANNEL = Channel("demo", "CHAT", "everyone")
SERVED = h.ServerStarted(0, (1,))


def asked(call: int) -> h.Asked:
    return h.Asked(call, call, CHANNEL, "m1", "digest")


def test_a_refusal_and_then_a_first_answer_is_true() -> None:
    history = [SERVED, asked(1), h.Denied(2, 1, ""), asked(3), h.Answered(4, 3, 1)]
    assert untrue_refusals(history) == []


def test_a_refusal_of_what_was_stored_is_found() -> None:
    answered = h.Answered(4, 3, 1, duplicate=True)
    history = [SERVED, asked(1), h.Denied(2, 1, ""), asked(3), answered]
    assert [finding.guarantee for finding in untrue_refusals(history)] == ["G1"]


def test_who_got_no_answer_may_have_stored_it() -> None:
    answered = h.Answered(6, 5, 1, duplicate=True)
    denied = [asked(1), h.Denied(2, 1, ""), asked(3), h.Unanswered(4, 3), asked(5), answered]
    assert untrue_refusals([SERVED, *denied]) == []


def test_one_that_is_under_way_may_have_stored_it() -> None:
    answered = h.Answered(6, 5, 1, duplicate=True)
    history = [SERVED, asked(1), h.Denied(2, 1, ""), asked(3), asked(5), answered]
    assert untrue_refusals(history) == []

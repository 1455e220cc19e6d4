"""Reasons: their numbers stand in journals, so none may ever change its meaning."""

import re

from mobilesync.domain.reasons import OFFERED_AGAIN, SENTENCES, Reason

# Written down a second time on purpose: a number, once stored, means this for ever.
NUMBERS = {
    "OS": 1,
    "VERSION": 2,
    "ATTRIBUTES": 3,
    "AUDIENCE": 4,
    "ROLLOUT": 5,
    "OTHER_DEVICE": 6,
    "EXPIRED": 7,
    "SUPERSEDED": 8,
    "OVER_THRESHOLD": 9,
    "RECALLED": 10,
    "CONSUMED": 11,
    "ELSEWHERE": 12,
    "OFFERED": 13,
    "NOT_ASKED": 14,
    "CONFIG_OFFLINE": 40,
    "USER_CHECK": 41,
    "NO_USER": 42,
    "NOT_NEWEST": 43,
    "NO_SUCH_OPLOG": 60,
    "SCHEDULED": 61,
    "TRIMMED": 62,
    "NEVER_CONNECTED": 63,
    "WRONG_USER": 64,
    "WRONG_DEVICE": 65,
    "OFFLINE": 66,
    "QUEUED": 67,
    "SENT": 68,
    "NO_HANDLER": 69,
    "HANDLER_FAILED": 70,
    "PROCESSING": 71,
    "PROCESSED": 72,
    "NOT_KEPT": 73,
}


def test_no_stored_number_changes_its_meaning() -> None:
    found = {reason.name: int(reason) for reason in Reason}
    assert {name: found.get(name) for name in NUMBERS} == NUMBERS


def test_every_reason_has_a_number_of_its_own_in_one_of_the_three_ranges() -> None:
    # An alias would be a member of the same number under a second name.
    assert len(Reason.__members__) == len(Reason)
    assert all(1 <= reason <= 39 or 40 <= reason <= 59 or 60 <= reason <= 99 for reason in Reason)


def test_every_reason_has_a_sentence_of_its_own() -> None:
    assert set(SENTENCES) == set(Reason)
    assert len(set(SENTENCES.values())) == len(Reason)
    for sentence in SENTENCES.values():
        assert re.fullmatch(r"[a-z].*[^.\s]", sentence), "it may follow a colon"
        assert len(sentence) <= 100


def test_only_what_a_change_of_the_device_undoes_is_offered_again() -> None:
    assert {Reason.OS, Reason.VERSION, Reason.ATTRIBUTES, Reason.AUDIENCE} == OFFERED_AGAIN
    assert all(reason < Reason.CONFIG_OFFLINE for reason in OFFERED_AGAIN)

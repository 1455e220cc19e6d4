"""Sentences: true without details, and precise with them."""

import pytest

from mobilesync.domain.reasons import SENTENCES, Reason
from mobilesync.engine.sentences import moment, sentence

AT = 1_767_323_045_000


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_without_details_the_bare_sentence_is_left(reason: Reason) -> None:
    assert sentence(reason, {}) == SENTENCES[reason]


def test_times_are_for_people() -> None:
    assert moment(AT) == "2026-01-02 03:04:05 UTC"


@pytest.mark.parametrize(
    "reason, details, facts",
    [
        (Reason.OS, {"os": "", "admitted": ["ios"]}, "none said; it is for ios"),
        (Reason.VERSION, {"app_version": "3.1", "app_version_max": "3.0"}, "3.1 > 3.0"),
        (Reason.VERSION, {"app_version": "1.9", "app_version_min": "1.10"}, "1.9 < 1.10"),
        (
            Reason.VERSION,
            {"app_version": "", "app_version_min": "2", "app_version_max": "3"},
            "none said; it must be ≥ 2 and ≤ 3",
        ),
        (Reason.VERSION, {"app_version": "new", "app_version_max": "3"}, "new; it must be ≤ 3"),
        (
            Reason.ATTRIBUTES,
            {"attribute": "plan", "value": None, "admitted": [*"abcdefg"]},
            "plan is not said; it is for a, b, c, d, e and 2 more",
        ),
        (Reason.AUDIENCE, {"user": ""}, "nobody is logged in"),
        (Reason.ROLLOUT, {"percent": 0.25, "salt": "s"}, "0.25 % by the salt s"),
        (Reason.WRONG_USER, {"target": "user:a", "user": ""}, "user:a; logged in there is nobody"),
        (Reason.OFFLINE, {"since_ms": AT}, f"since {moment(AT)}"),
        (
            Reason.OFFLINE,
            {"since_ms": 0, "last_connected_ms": AT},
            f"it connected last at {moment(AT)}",
        ),
        (Reason.HANDLER_FAILED, {"behind": 3, "since_ms": AT}, f"behind #3, since {moment(AT)}"),
        (Reason.QUEUED, {"under_way": 0}, ""),
        (Reason.NO_SUCH_OPLOG, {"last": 0}, ""),
        (
            Reason.VERSION,
            {"changed": True, "offered_target": "device:d1", "offered_id": 4},
            "the device has changed since; offered again as #4 of device:d1",
        ),
    ],
)
def test_the_facts(reason: Reason, details: dict[str, object], facts: str) -> None:
    bare = SENTENCES[reason]
    assert sentence(reason, details) == (f"{bare}: {facts}" if facts else bare)

"""One call without a network: what each answer leads to, by what trying again would do."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.publishing import calls
from mobilesync.publishing.answers import Explanation, Offered, Published
from mobilesync.publishing.errors import (
    InvalidPublication,
    InvalidRequest,
    NotAllowed,
    NotStored,
    OutcomeUnknown,
    PublishError,
    Unavailable,
    WrongItem,
)
from mobilesync.publishing.exchange import Exchange, Wait
from mobilesync.publishing.publication import Publication
from mobilesync.publishing.retries import Retries


def exchange(*publications: Publication, tries: int = 3) -> Exchange[list[Published]]:
    chosen = publications or (Publication("CHAT", "user:1", "hi", "m1"),)
    entropy = random.Random(1)
    return Exchange(calls.publish("demo", chosen, entropy), Retries(tries=tries), entropy)


def reading(tries: int = 2) -> Exchange[Explanation]:
    call = calls.explain("demo", calls.which_oplog("CHAT", "user:1", 1, ""), "d1")
    return Exchange(call, Retries(tries=tries), random.Random(1))


def offering(tries: int = 5) -> Exchange[Offered]:
    call = calls.offer_again("demo", calls.which_oplog("CHAT", "user:1", 1, ""), "d1")
    return Exchange(call, Retries(tries=tries), random.Random(1))


def refusal(code: str, **members: Any) -> bytes:
    error = {"code": code, "message": "no", "hint": "", "request_id": "r1"} | members
    return json.dumps({"error": error}).encode()


OK = b'[{"id":7,"message_id":"m1","code":"OK"}]'


def test_message_ids_are_made_before_the_first_try() -> None:
    twice = exchange(Publication("CHAT", "user:1", "a"), Publication("CHAT", "user:1", "a"))
    before = twice.call.content
    twice.unanswered("cut", sent=True)
    assert twice.call.content is before
    assert len(set(twice.call.message_ids)) == 2


def test_success_and_duplicate() -> None:
    assert exchange().answered(200, OK) == [Published(7, "m1", duplicate=False)]
    again = OK.replace(b"OK", b"DUPLICATED_BIZ_ID")
    assert exchange().answered(200, again) == [Published(7, "m1", duplicate=True)]
    later = OK.replace(b"OK", b"SCHEDULED").replace(b"7", b"0")
    assert exchange().answered(200, later) == [Published(0, "m1", False, scheduled=True)]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", OK.replace(b"7", b'"x"')])
def test_an_answer_that_cannot_be_read_leaves_it_unknown(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        exchange().answered(200, body)
    assert caught.value.message_ids == ("m1",)


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "MALFORMED_BODY", InvalidPublication),
        (401, "UNAUTHORIZED", NotAllowed),
        (403, "FORBIDDEN", NotAllowed),
        (404, "UNKNOWN_APP", InvalidPublication),
        (409, "BIZ_OFFLINE", InvalidPublication),
        (413, "TOO_LARGE", InvalidPublication),
        (422, "INVALID_BATCH", InvalidPublication),
    ],
)
def test_what_is_not_tried_again(status: int, code: str, kind: type[PublishError]) -> None:
    items = [{"index": 2, "code": "UNKNOWN_BIZ", "message": "m", "hint": "h", "field": "biz"}]
    with pytest.raises(PublishError) as caught:
        exchange().answered(status, refusal(code, field="f", items=items))
    error = caught.value
    assert type(error) is kind
    assert (error.code, error.field, error.request_id) == (code, "f", "r1")
    assert error.items == (WrongItem(2, "UNKNOWN_BIZ", "m", "h", "biz"),)


@pytest.mark.parametrize(
    "status, body, kind",
    [
        (429, refusal("OVERLOADED"), NotStored),
        (429, b"", NotStored),
        (503, refusal("STORE_UNAVAILABLE"), NotStored),
        (503, refusal("OUTCOME_UNKNOWN"), OutcomeUnknown),
        (500, refusal("INTERNAL"), OutcomeUnknown),
        (502, b"<html>bad gateway", OutcomeUnknown),
        (503, b"", OutcomeUnknown),
        (504, b"", OutcomeUnknown),
    ],
)
def test_what_is_tried_again_until_the_tries_are_used_up(
    status: int, body: bytes, kind: type[PublishError]
) -> None:
    call = exchange(tries=3)
    assert isinstance(call.answered(status, body), Wait)
    assert isinstance(call.answered(status, body), Wait)
    with pytest.raises(PublishError) as caught:
        call.answered(status, body)
    assert type(caught.value) is kind
    assert caught.value.message_ids == ("m1",)


def test_the_server_s_advice_is_obeyed() -> None:
    step = exchange().answered(429, refusal("OVERLOADED"), "7")
    assert isinstance(step, Wait)
    assert step.wait_s >= 7
    with pytest.raises(NotStored):
        exchange().answered(429, refusal("OVERLOADED"), "86400")


def test_once_it_may_be_stored_no_refusal_makes_it_certain() -> None:
    call = exchange(tries=2)
    call.unanswered("cut", sent=True)
    with pytest.raises(OutcomeUnknown):
        call.answered(429, refusal("OVERLOADED"))
    call = exchange(tries=2)
    call.unanswered("cut", sent=True)
    with pytest.raises(OutcomeUnknown) as caught:
        call.answered(409, refusal("BIZ_OFFLINE"))
    assert caught.value.code == "BIZ_OFFLINE"


def test_never_connected_is_certainly_not_stored() -> None:
    call = exchange(tries=2)
    call.unanswered("refused", sent=False)
    with pytest.raises(NotStored):
        call.unanswered("refused", sent=False)


def test_a_server_that_is_not_trusted() -> None:
    error = exchange().distrusted("self-signed")
    assert "ca_file" in str(error)
    assert isinstance(error, NotStored)
    assert error.message_ids == ("m1",)


def test_what_only_reads_is_never_in_doubt() -> None:
    call = reading()
    call.unanswered("cut", sent=True)
    with pytest.raises(Unavailable) as caught:
        call.answered(503, refusal("OUTCOME_UNKNOWN"))
    assert type(caught.value) is Unavailable
    with pytest.raises(InvalidRequest) as wrong:
        reading().answered(404, refusal("NOT_FOUND"))
    assert type(wrong.value) is InvalidRequest
    with pytest.raises(Unavailable):
        reading().answered(200, b"<html>")


def test_what_would_be_done_twice_is_not_tried_again_once_it_may_be_done() -> None:
    call = offering()
    assert isinstance(call.unanswered("refused", sent=False), Wait)
    assert isinstance(call.answered(429, refusal("OVERLOADED")), Wait)
    assert isinstance(call.answered(503, refusal("STORE_UNAVAILABLE")), Wait)
    with pytest.raises(OutcomeUnknown):
        call.unanswered("cut", sent=True)
    with pytest.raises(OutcomeUnknown):
        offering().answered(503, refusal("OUTCOME_UNKNOWN"))


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=40)
    | st.sampled_from([refusal("X", items=[{}]), b'{"error":5}', b"[" * 5000]),
    retry_after=st.text(max_size=12),
)
def test_no_answer_breaks_it(status: int, body: bytes, retry_after: str) -> None:
    outcome: Wait | list[Published] | PublishError
    try:
        outcome = exchange().answered(status, body, retry_after)
    except PublishError as error:
        outcome = error
    assert isinstance(outcome, Wait | PublishError)
    if isinstance(outcome, PublishError):
        assert outcome.message_ids == ("m1",)

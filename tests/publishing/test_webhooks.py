"""Receiving webhooks: what is signed well is read, and nothing else is."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.publishing import WebhookEvent, WebhookRefused, verify_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret, of 32 random bytes").decode()
NOW_S = 1_700_000_000
EVENT = {
    "id": "e1",
    "type": "oplog.delivered",
    "app": "demo",
    "at_ms": 1000,
    "biz": "CHAT",
    "data": {"target": "user:u1", "upto": 5},
}
BODY = json.dumps({"webhook": "hook", "events": [EVENT]}).encode()


def _signature(body: bytes = BODY, secret: str = SECRET, at_s: object = NOW_S) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"msg_1.{at_s}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _headers(**changed: str) -> dict[str, str]:
    headers = {"id": "msg_1", "timestamp": str(NOW_S), "signature": _signature()}
    return {f"webhook-{name}": value for name, value in (headers | changed).items()}


def _refused(headers: dict[str, str], body: bytes = BODY, **given: Any) -> str:
    with pytest.raises(WebhookRefused) as caught:
        verify_webhook(SECRET, headers, body, **({"now_s": NOW_S} | given))
    return str(caught.value)


def test_the_events_are_read() -> None:
    request = verify_webhook(SECRET, _headers(), BODY, now_s=NOW_S)
    assert request.webhook == "hook"
    assert request.events == (
        WebhookEvent(
            "e1", "oplog.delivered", "demo", 1000, {"target": "user:u1", "upto": 5}, "CHAT"
        ),
    )


def test_the_vector_of_the_standard() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    # Its body is none of ours, so all that can be wrong with it is what comes after the signature.
    with pytest.raises(WebhookRefused, match="not by Mobilesync"):
        verify_webhook(SECRET, headers, b'{"test": 2432232314}', now_s=1614265330)
    with pytest.raises(WebhookRefused, match="no signature is good"):
        verify_webhook(SECRET, headers, b'{"test": 2432232315}', now_s=1614265330)


def test_headers_may_be_written_in_any_case_and_stand_among_others() -> None:
    headers = {name.title(): value for name, value in _headers().items()}
    assert verify_webhook(SECRET, {**headers, "Host": "x"}, BODY, now_s=NOW_S).events


def test_the_time_is_read_if_it_is_not_given() -> None:
    at_s = int(time.time())
    headers = _headers(timestamp=str(at_s), signature=_signature(at_s=at_s))
    assert verify_webhook(SECRET, headers, BODY).events
    with pytest.raises(WebhookRefused, match="too old"):
        verify_webhook(SECRET, _headers(), BODY)


def test_a_secret_with_or_without_its_prefix() -> None:
    assert verify_webhook(SECRET.removeprefix("whsec_"), _headers(), BODY, now_s=NOW_S).events


def test_two_secrets_while_they_are_changed() -> None:
    for secrets in ([SECRET, OTHER], [OTHER, SECRET]):
        assert verify_webhook(secrets, _headers(), BODY, now_s=NOW_S).events
    with pytest.raises(WebhookRefused):
        verify_webhook([OTHER], _headers(), BODY, now_s=NOW_S)
    with pytest.raises(WebhookRefused):
        verify_webhook([], _headers(), BODY, now_s=NOW_S)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "ä"])
def test_a_secret_that_is_none_is_the_programs_fault(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify_webhook(secret, _headers(), BODY, now_s=NOW_S)


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_no_header_may_be_missing(name: str) -> None:
    headers = _headers()
    del headers[f"webhook-{name}"]
    assert f"webhook-{name}" in _refused(headers)


@pytest.mark.parametrize("late_s, good", [(300, True), (301, False), (-300, True), (-301, False)])
def test_neither_old_nor_future(late_s: int, good: bool) -> None:
    if good:
        assert verify_webhook(SECRET, _headers(), BODY, now_s=NOW_S + late_s).events
    else:
        assert "too old" in _refused(_headers(), now_s=NOW_S + late_s)


def test_the_tolerance_may_be_another() -> None:
    assert "too old" in _refused(_headers(), now_s=NOW_S + 11, tolerance_s=10)


@pytest.mark.parametrize("stamp", ["", "now", "1e9", "-1", "1.5", "٣", "9" * 16, "nan"])
def test_times_that_are_none(stamp: str) -> None:
    signature = _signature(at_s=stamp)
    assert "no time" in _refused(_headers(timestamp=stamp, signature=signature))


def test_whatever_is_signed_may_not_be_changed() -> None:
    assert "no signature" in _refused(_headers(id="msg_2"))
    assert "no signature" in _refused(_headers(timestamp=str(NOW_S + 1)))
    assert "no signature" in _refused(_headers(), BODY + b" ")
    assert "no signature" in _refused(_headers(signature=_signature(secret=OTHER)))


@pytest.mark.parametrize(
    "signature",
    ["", "v1", "v1,", "v1,x", "v1,ä", _signature().removeprefix("v1,"), "v1a" + _signature()[2:],
     "v2" + _signature()[2:], _signature()[:-4], "V1" + _signature()[2:]],
)  # fmt: skip
def test_what_is_no_good_signature(signature: str) -> None:
    assert "no signature" in _refused(_headers(signature=signature))


def test_one_good_signature_among_others_is_enough() -> None:
    others = f"v1a,xxxx {_signature(secret=OTHER)} {_signature()} v1,x"
    assert verify_webhook(SECRET, _headers(signature=others), BODY, now_s=NOW_S).events


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"webhook": "x", "events": [1]}', b"\xff"])
def test_a_body_that_somebody_else_has_signed(body: bytes) -> None:
    headers = _headers(signature=_signature(body))
    assert "not by Mobilesync" in _refused(headers, body)


def test_what_later_versions_add_is_passed_over() -> None:
    body = json.dumps({"webhook": "h", "new": 1, "events": [{**EVENT, "new": 1}]}).encode()
    headers = _headers(signature=_signature(body))
    assert verify_webhook(SECRET, headers, body, now_s=NOW_S).events[0].id == "e1"


headers = st.dictionaries(
    st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()
)


@given(headers, st.binary())
def test_whatever_comes_is_refused_and_nothing_worse(headers: dict[str, str], body: bytes) -> None:
    _refused(headers, body)

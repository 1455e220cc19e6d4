"""Signing, by the vector of the Standard Webhooks libraries, and secrets that are worth signing
with."""

import base64
import random

import pytest

from mobilesync.domain.errors import InvalidRequest
from mobilesync.engine.signature import (
    SECRET_BYTES_MAX,
    SECRET_BYTES_MIN,
    check_secret,
    make_secret,
    sign,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'


def _secret(size: int) -> str:
    return "whsec_" + base64.b64encode(b"k" * size).decode()


def test_the_vector_of_the_standard() -> None:
    assert sign(SECRET, ID, 1614265330, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_everything_that_is_signed_changes_the_signature() -> None:
    others = [
        sign(_secret(24), ID, 1, BODY),
        sign(SECRET, "msg_2", 1, BODY),
        sign(SECRET, ID, 2, BODY),
        sign(SECRET, ID, 1, BODY + b" "),
        sign(SECRET, ID, 1, BODY),
    ]
    assert len({headers["webhook-signature"] for headers in others}) == 5


def test_an_id_cannot_shift_what_is_signed() -> None:
    with pytest.raises(AssertionError):
        sign(SECRET, "msg.1", 1, BODY)


def test_a_made_secret_is_good_and_not_the_last_one() -> None:
    entropy = random.Random(1)
    one, other = make_secret(entropy), make_secret(entropy)
    assert check_secret(one) == one
    assert one != other


@pytest.mark.parametrize("size", [SECRET_BYTES_MIN, SECRET_BYTES_MAX])
def test_secrets_of_the_standards_sizes(size: int) -> None:
    assert check_secret(_secret(size)) == _secret(size)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        _secret(SECRET_BYTES_MIN - 1),
        _secret(SECRET_BYTES_MAX + 1),
        _secret(32).removeprefix("whsec_"),
        _secret(32) + "!",
        _secret(32)[:-1],
        "whsec_ä" + _secret(32),
    ],
)
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_secret(text)
    assert caught.value.field == "secret"
    assert "whsec_" in caught.value.hint
    assert not text or text not in str(caught.value), "it may be a real one, misspelled"

"""Apps and keys: weak, foreign and misplaced keys do not get in, and secrets do not get out."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mobilesync.domain.errors import InvalidRequest, UnknownApp
from mobilesync.engine.apps import (
    KEYS_MAX,
    App,
    Apps,
    KeyUrl,
    PublicKey,
    SecretKey,
    UserCallback,
    load_public_key,
)

SECRET = SecretKey(b"s" * 32)
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def _pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="at least 32 bytes"):
        SecretKey(b"s" * 31)


def test_a_public_key_is_refused_as_a_secret() -> None:
    """Else anybody who has the public key could sign with it."""
    pem = _pem(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(InvalidRequest) as caught:
        SecretKey(pem)
    assert "public_key_file" in caught.value.hint


def test_no_secret_in_representations() -> None:
    app = App("demo", (SecretKey(b"very-secret-very-secret-very-secret", kid="one"),))
    assert "very-secret" not in repr(app) + str(app)
    assert "one" in repr(app)


def test_rsa_and_p256_keys_load_and_fix_their_algorithm() -> None:
    assert load_public_key(_pem(rsa.generate_private_key(65537, 2048))).algorithm == "RS256"
    assert load_public_key(_pem(ec.generate_private_key(ec.SECP256R1())), "k").kid == "k"
    assert load_public_key(_pem(ec.generate_private_key(ec.SECP256R1()))).algorithm == "ES256"
    assert SECRET.algorithm == "HS256"


def test_weak_and_foreign_keys_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="wrong size"):
        load_public_key(_pem(rsa.generate_private_key(65537, 1024)))
    with pytest.raises(InvalidRequest, match="another curve"):
        load_public_key(_pem(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(InvalidRequest, match="another kind"):
        load_public_key(_pem(ed25519.Ed25519PrivateKey.generate()))


def test_a_private_key_and_garbage_are_refused_as_public_keys() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(InvalidRequest, match="private key"):
        load_public_key(pem)
    for garbage in (b"", b"hello", _pem(private)[:60]):
        with pytest.raises(InvalidRequest, match="no public key"):
            load_public_key(garbage)


@pytest.mark.parametrize("url", ["", "ftp://host/keys", "file:///keys", "https://" + "a" * 2000])
def test_a_key_address_is_http(url: str) -> None:
    with pytest.raises(InvalidRequest, match="key address"):
        KeyUrl(url)


CALLBACK = UserCallback("https://shop.example/check?key=hidden", WHSEC, "PROD_SHOP")


def test_a_callback_shows_neither_its_secret_nor_its_address() -> None:
    app = App("shop", (SECRET,), user_check=CALLBACK)
    assert WHSEC not in repr(app)
    assert "hidden" not in repr(app)
    assert "PROD_SHOP" in repr(app)


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"url": ""}, "user_check_url"),
        ({"url": "ftp://shop.example"}, "user_check_url"),
        ({"url": "https://"}, "user_check_url"),
        ({"url": "https://[::1"}, "user_check_url"),
        ({"url": "https://shop.example:99999/"}, "user_check_url"),
        ({"url": "https://shop.example/a b"}, "user_check_url"),
        ({"url": "https://shop.example/\n"}, "user_check_url"),
        ({"url": f"https://shop.example/{'a' * 2000}"}, "user_check_url"),
        ({"secret": "short"}, "secret"),
        ({"timeout_s": 0.0}, "user_check_timeout_s"),
        ({"timeout_s": 31.0}, "user_check_timeout_s"),
        ({"timeout_s": float("nan")}, "user_check_timeout_s"),
        ({"attempts": 0}, "user_check_attempts"),
        ({"attempts": 11}, "user_check_attempts"),
        ({"concurrent_max": 0}, "user_check_concurrent_max"),
        ({"concurrent_max": 1001}, "user_check_concurrent_max"),
    ],
)
def test_a_callback_out_of_bounds_is_refused(changes: dict[str, Any], field: str) -> None:
    made = {"url": CALLBACK.url, "secret": WHSEC, "instance": "x", **changes}
    with pytest.raises(InvalidRequest) as caught:
        UserCallback(**made)
    assert caught.value.field == field
    assert caught.value.hint


def test_an_app_has_a_good_name_and_some_keys() -> None:
    App("demo", (SECRET, KeyUrl("https://issuer.example/keys")))
    with pytest.raises(InvalidRequest, match="no keys"):
        App("demo", ())
    with pytest.raises(InvalidRequest, match="too many"):
        App("demo", (SECRET,) * (KEYS_MAX + 1))
    with pytest.raises(InvalidRequest, match="app name"):
        App("Demo App", (SECRET,))


def test_apps_by_name() -> None:
    apps = Apps([App("b", (SECRET,)), App("a", (SECRET,))])
    assert apps.names() == ["a", "b"]
    assert apps.get("a").name == "a"
    with pytest.raises(UnknownApp) as caught:
        apps.get("<script>")
    assert "<script>" not in str(caught.value)
    with pytest.raises(InvalidRequest, match="twice"):
        Apps([App("a", (SECRET,)), App("a", (SECRET,))])


def test_a_public_key_shows_its_kind() -> None:
    key = PublicKey(ec.generate_private_key(ec.SECP256R1()).public_key(), "k1")
    assert repr(key) == "PublicKey(ES256, kid='k1')"

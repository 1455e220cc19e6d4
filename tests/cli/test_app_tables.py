"""Apps as a settings file defines them."""

import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mobilesync.cli.app_tables import APP_KEYS, read_apps, read_mss
from mobilesync.cli.setting import BadSetting
from mobilesync.engine.apps import App, KeyUrl, PublicKey, SecretKey, UserCallback

SECRET = "0123456789abcdef0123456789abcdef"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "user_check_url = 'https://a.example'"


def _read(text: str) -> list[App]:
    return read_apps(tomllib.loads(text)["apps"], "a.toml")


def test_every_kind_of_key(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"\n  {SECRET}\n")
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    (app,) = _read(f"""
        [apps.shop]
        hs256_secret = "{SECRET}"
        hs256_secret_file = "{tmp_path / "secret"}"
        public_key_file = ["{tmp_path / "key.pem"}"]
        jwks_url = ["https://a.example/keys", "https://b.example/keys"]
        issuer = "me"
        audience = "us"
        device_claim_required = false
    """)
    kinds = [type(key) for key in app.keys]
    assert kinds == [SecretKey, SecretKey, PublicKey, KeyUrl, KeyUrl]
    assert app.keys[0] == app.keys[1] == SecretKey(SECRET.encode())
    assert (app.name, app.issuer, app.audience) == ("shop", "me", "us")
    assert not app.device_claim_required


def test_several_apps_keep_their_order() -> None:
    text = f'[apps.b]\nhs256_secret = "{SECRET}"\n[apps.a]\nhs256_secret = "{SECRET}"'
    assert [app.name for app in _read(text)] == ["b", "a"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("apps = 3", "no table"),
        ("apps = []", "no table"),
        ("[apps]\nshop = 1", r"\[apps.shop\] in a.toml is no table"),
        ("[apps.shop]", "no keys"),
        ('[apps.shop]\nhs256_secret = "short"', "at least 32 bytes"),
        ("[apps.shop]\nhs256_secret = 7", "neither text nor a list"),
        ("[apps.shop]\nhs256_secret = ['']", "neither text nor a list"),
        ("[apps.shop]\nhs256_secret_file = '/nowhere'", "cannot read /nowhere"),
        ("[apps.shop]\npublic_key_file = '/dev/null'", "no public key"),
        ("[apps.shop]\njwks_url = 'ftp://x'", "key address"),
        ("[apps.Shop]\njwks_url = 'https://x'", "app name"),
        ("[apps.shop]\njwks_url = 'https://x'\nissuer = 1", "issuer is no text"),
        ("[apps.shop]\njwks_url = 'https://x'\ndevice_claim_required = 'no'", "neither true"),
    ],
)
def test_mistakes_name_the_table(text: str, words: str) -> None:
    with pytest.raises(BadSetting, match=words) as caught:
        _read(text)
    assert caught.value.field == "apps"


def test_a_misspelled_key_gets_a_suggestion() -> None:
    with pytest.raises(BadSetting) as caught:
        _read(f'[apps.shop]\nhs256_secert = "{SECRET}"')
    assert "hs256_secert" in caught.value.message
    assert caught.value.hint == "did you mean hs256_secret?"


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(BadSetting) as caught:
        _read('[apps.shop]\nhs256_secret = "too-short-to-be-good"')
    assert "too-short" not in f"{caught.value} {caught.value.hint}"


def test_names_for_callers_of_mss() -> None:
    tables = tomllib.loads(f"""
        [apps.shop]
        hs256_secret = "{SECRET}"
        mss_instance_id = "PROD_ABC123"
        mss_device_bizzes = ["CONFIG", "COMMAND"]
        [apps.chat]
        hs256_secret = "{SECRET}"
    """)["apps"]
    mss = read_mss(read_apps(tables, "a.toml"), tables, "a.toml")
    assert mss.instances == {"PROD_ABC123": "shop"}
    assert mss.device_bizzes == {"shop/CONFIG", "shop/COMMAND"}


@pytest.mark.parametrize(
    "line, words",
    [
        ("mss_instance_id = 3", "no text"),
        ("mss_device_bizzes = 'CONFIG'", "no list"),
        ("mss_device_bizzes = ['a b']", "biz name"),
    ],
)
def test_mistakes_in_names_for_callers_of_mss(line: str, words: str) -> None:
    tables = tomllib.loads(f'[apps.shop]\nhs256_secret = "{SECRET}"\n{line}')["apps"]
    with pytest.raises(BadSetting, match=words):
        read_mss(read_apps(tables, "a.toml"), tables, "a.toml")


def test_two_apps_cannot_share_a_name_of_mss() -> None:
    row = f'hs256_secret = "{SECRET}"\nmss_instance_id = "X"'
    tables = tomllib.loads(f"[apps.a]\n{row}\n[apps.b]\n{row}")["apps"]
    with pytest.raises(BadSetting, match="another app's"):
        read_mss(read_apps(tables, "a.toml"), tables, "a.toml")


def test_a_user_check(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"\n {WHSEC}\n")
    text = f"""
        [apps.shop]
        hs256_secret = "{SECRET}"
        user_check_url = "https://shop.example/check"
    """
    (app,) = _read(f'{text}\nuser_check_secret = "{WHSEC}"')
    assert app.user_check == UserCallback("https://shop.example/check", WHSEC, "shop")
    (app,) = _read(f"""{text}
        user_check_secret_file = "{tmp_path / "secret"}"
        user_check_timeout_s = 1
        user_check_attempts = 2
        user_check_concurrent_max = 3
        mss_instance_id = "PROD_SHOP"
    """)
    made = UserCallback("https://shop.example/check", WHSEC, "PROD_SHOP", 1, 2, 3)
    assert app.user_check == made
    (app,) = _read(f'[apps.shop]\nhs256_secret = "{SECRET}"')
    assert app.user_check is None


@pytest.mark.parametrize(
    "lines, words",
    [
        (f"user_check_secret = '{WHSEC}'", "without user_check_url"),
        ("user_check_attempts = 2", "user_check_attempts without user_check_url"),
        ("user_check_url = 'https://a'", "needs one secret"),
        (f"{URL}\nuser_check_secret = '{WHSEC}'\nuser_check_secret_file = 'x'", "one secret"),
        (f"{URL}\nuser_check_secret = 'too-short'", "not fit for signatures"),
        (f"{URL}\nuser_check_secret_file = '/nowhere'", "cannot read /nowhere"),
        (f"user_check_url = 'ftp://a'\nuser_check_secret = '{WHSEC}'", "callback address"),
        (f"{URL}\nuser_check_secret = '{WHSEC}'\nuser_check_attempts = 1.5", "whole number"),
        (f"{URL}\nuser_check_secret = '{WHSEC}'\nuser_check_attempts = true", "whole number"),
        (f"{URL}\nuser_check_secret = '{WHSEC}'\nuser_check_timeout_s = '2'", "no number"),
        (f"{URL}\nuser_check_secret = '{WHSEC}'\nuser_check_timeout_s = 99", "out of bounds"),
        (f"{URL}\nuser_check_secret = '{WHSEC}'\nuser_check_concurrent_max = 0", "out of bounds"),
    ],
)
def test_mistakes_in_a_user_check(lines: str, words: str) -> None:
    with pytest.raises(BadSetting, match=words) as caught:
        _read(f'[apps.shop]\nhs256_secret = "{SECRET}"\n{lines}')
    assert "too-short" not in f"{caught.value} {caught.value.hint}"


def test_every_key_is_described() -> None:
    assert all(purpose.endswith((".", "`")) for purpose in APP_KEYS.values())

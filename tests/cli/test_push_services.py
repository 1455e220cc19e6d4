"""Push services of an app: read whole, checked with the settings, made with the server."""

import json
import random
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from mobilesync.cli.app_tables import APP_KEYS, read_apps
from mobilesync.cli.push_services import (
    PUSH_KEYS,
    PushServices,
    make_gateways,
    read_push_services,
)
from mobilesync.cli.setting import BadSetting
from mobilesync.engine.clock import SystemClock

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with what Apple and Google give out."""
    apple = ec.generate_private_key(ec.SECP256R1())
    google = rsa.generate_private_key(65537, 2048)
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "apns.p8").write_bytes(apple.private_bytes(*form))
    account = {
        "type": "service_account",
        "project_id": "shop-1",
        "private_key_id": "k1",
        "private_key": google.private_bytes(*form).decode(),
        "client_email": "push@shop-1.example",
        "token_uri": "https://oauth2.example/token",
    }
    (tmp_path / "fcm.json").write_text(json.dumps(account))
    return tmp_path


def _apns(keys: Path) -> str:
    return (
        f"apns_key_file = '{keys}/apns.p8'\n"
        "apns_key_id = 'ABCDE12345'\napns_team_id = 'TEAMID1234'\n"
        "apns_bundle_id = 'com.example.shop'\n"
    )


def _read(text: str) -> Mapping[str, PushServices]:
    tables = tomllib.loads(f"[apps.shop]\nhs256_secret = '{SECRET}'\n{text}")["apps"]
    return read_push_services(read_apps(tables, "a.toml"), tables, "a.toml", SystemClock())


async def test_both_services_are_made(keys: Path) -> None:
    found = _read(_apns(keys) + f"fcm_service_account_file = '{keys}/fcm.json'")
    services = found["shop"]
    gateways = make_gateways(services, clock=SystemClock(), entropy=random.Random(1))
    assert [gateway.kind for gateway in gateways] == ["apns", "fcm"]
    for gateway in gateways:
        await gateway.close()
    assert "PRIVATE" not in repr(services)


def test_an_app_without_any_has_none(keys: Path) -> None:
    assert _read("") == {}
    assert _read(_apns(keys) + "apns_environment = 'sandbox'")["shop"].apns_environment == "sandbox"


@pytest.mark.parametrize(
    "text, words",
    [
        ("apns_key_id = 'ABCDE12345'", "by half"),
        ("apns_environment = 'moon'", "neither"),
        ("fcm_service_account_file = 3", "no text"),
        ("fcm_service_account_file = '/nowhere'", "cannot read"),
    ],
)
def test_mistakes_are_told_with_their_table(text: str, words: str) -> None:
    with pytest.raises(BadSetting, match=words) as refused:
        _read(text)
    assert "[apps.shop] in a.toml" in str(refused.value)


def test_a_key_that_is_no_key_is_told_before_anything_is_served(keys: Path) -> None:
    (keys / "apns.p8").write_text("nothing")
    with pytest.raises(BadSetting, match="shop"):
        _read(_apns(keys))


def test_every_key_is_one_of_the_apps() -> None:
    assert set(PUSH_KEYS) <= set(APP_KEYS)

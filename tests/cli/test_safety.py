"""Unsafe combinations: each rule has a case that breaks it and nothing else."""

import dataclasses
from typing import Any

import pytest

from mobilesync.cli.safety import RULES, check_safety, is_loopback
from mobilesync.cli.setting import BadSetting
from mobilesync.cli.settings import SETTINGS, Settings
from mobilesync.engine.apps import App, KeyUrl, SecretKey, UserCallback

APPS = (App("shop", (SecretKey(b"s" * 32),)),)
PRODUCTION: dict[str, Any] = {setting.name: setting.production for setting in SETTINGS} | {
    "mode": "production",
    "tls_certificate": "cert.pem",
    "tls_key": "key.pem",
}
SAFE = Settings(**PRODUCTION)


def _checked(url: str) -> App:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    return App("shop", (SecretKey(b"s" * 32),), user_check=UserCallback(url, secret, "shop"))


CASES: list[tuple[str, dict[str, Any], tuple[App, ...]]] = [
    ("self-signed", {"tls_certificate": "", "tls_key": ""}, APPS),
    ("come together", {"mode": "development", "tls_certificate": ""}, APPS),
    ("API key for everything", {"development_key": True}, APPS),
    ("power cut", {"durability": "none"}, APPS),
    ("misspelling", {"create_biz_on_first_use": True}, APPS),
    ("no app", {}, ()),
    ("plain HTTP", {}, (App("shop", (KeyUrl("http://issuer.example/keys"),)),)),
    ("user check over plain HTTP", {}, (_checked("http://shop.example/check"),)),
    ("unencrypted", {"api_host": "0.0.0.0"}, APPS),
    ("unencrypted", {"mode": "development", "api_host": "192.168.1.2"}, APPS),
    ("contradict", {"api_tls": True, "api_behind_proxy": True}, APPS),
    ("one port", {"port": 7480}, APPS),
    ("one port", {"port": 7480, "host": "0.0.0.0"}, APPS),
    ("beat_min_s", {"beat_min_s": 600}, APPS),
    ("payload_bytes_max", {"batch_bytes_max": 1000}, APPS),
    ("publish_burst", {"publish_burst": 999}, APPS),
    ("queue_bytes_max", {"queue_bytes_max": 4 * 1024 * 1024}, APPS),
]


def test_the_defaults_are_safe() -> None:
    check_safety(Settings(), ())
    check_safety(SAFE, APPS)
    check_safety(SAFE, (_checked("http://127.0.0.1/check"), *APPS))
    check_safety(SAFE, (_checked("https://shop.example/check"), *APPS))


@pytest.mark.parametrize("words, changes, apps", CASES)
def test_a_broken_rule_is_told(words: str, changes: dict[str, Any], apps: tuple[App, ...]) -> None:
    with pytest.raises(BadSetting) as caught:
        check_safety(dataclasses.replace(SAFE, **changes), apps)
    assert words in caught.value.message
    assert caught.value.hint
    assert caught.value.field


def test_every_rule_has_a_case() -> None:
    broken: set[str] = set()
    for _, changes, apps in CASES:
        settings = dataclasses.replace(SAFE, **changes)
        broken.update(rule.sentence for rule in RULES if rule.is_broken(settings, apps))
    assert broken == {rule.sentence for rule in RULES}


@pytest.mark.parametrize(
    "changes",
    [
        {"api_host": "0.0.0.0", "api_tls": True},
        {"api_host": "0.0.0.0", "api_behind_proxy": True},
        {"api_host": "::1"},
        {"port": 7480, "host": "192.168.1.2"},
        {"port": 0, "api_port": 0},
        {"mode": "development", "tls_certificate": "", "tls_key": "", "durability": "none"},
    ],
)
def test_what_is_not_refused(changes: dict[str, Any]) -> None:
    check_safety(dataclasses.replace(SAFE, **changes), APPS)


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.com", "")))

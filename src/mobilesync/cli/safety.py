"""Combinations of settings that are refused, each with a sentence that says why.

Strategy: one table of rules. A rule looks at all settings together; the server does not start
while one of them speaks. What is merely unwise is told by `doctor` instead.

Not here: the bounds of single settings (settings.py), weak keys (engine/apps.py).
"""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from mobilesync.cli.setting import BadSetting
from mobilesync.cli.settings import Settings
from mobilesync.engine.apps import App, KeyUrl


class Rule(NamedTuple):
    """Settings for which `is_broken` holds are refused."""

    field: str
    is_broken: Callable[[Settings, Sequence[App]], bool]
    sentence: str
    hint: str


def _production(test: Callable[[Settings], bool]) -> Callable[[Settings, Sequence[App]], bool]:
    return lambda settings, apps: settings.mode == "production" and test(settings)


RULES: tuple[Rule, ...] = (
    Rule(
        "tls_certificate",
        _production(lambda s: not s.tls_certificate or not s.tls_key),
        "production does not run with a self-signed certificate",
        "set tls_certificate and tls_key",
    ),
    Rule(
        "tls_key",
        lambda s, apps: bool(s.tls_certificate) != bool(s.tls_key),
        "a certificate and its key come together",
        "set both tls_certificate and tls_key, or in development none of them",
    ),
    Rule(
        "development_key",
        _production(lambda s: s.development_key),
        "production does not leave an API key for everything in the data folder",
        "leave development_key out, and make keys with: mobilesync key create",
    ),
    Rule(
        "durability",
        _production(lambda s: s.durability == "none"),
        "production does not answer publishes that a power cut would lose",
        "leave durability at fsync",
    ),
    Rule(
        "create_biz_on_first_use",
        _production(lambda s: s.create_biz_on_first_use),
        "production does not create a biz for every misspelling",
        "leave create_biz_on_first_use out, and create bizzes through the API",
    ),
    Rule(
        "apps",
        lambda s, apps: s.mode == "production" and not apps,
        "production has no app that devices could log in to",
        "define one in the settings file: [apps.<name>] with a key",
    ),
    Rule(
        "apps",
        lambda s, apps: s.mode == "production" and any(_plain_addresses(apps)),
        "keys that are fetched over plain HTTP can be replaced on their way",
        "let jwks_url begin with https://",
    ),
    Rule(
        "apps",
        lambda s, apps: s.mode == "production" and any(_plain_callbacks(apps)),
        "users' sessions would be sent to a user check over plain HTTP",
        "let user_check_url begin with https://, unless it is on this machine",
    ),
    Rule(
        "api_host",
        lambda s, apps: not (is_loopback(s.api_host) or s.api_tls or s.api_behind_proxy),
        "API keys and payloads would cross the network unencrypted",
        "set api_tls, or api_behind_proxy if a proxy ends TLS, or api_host = 127.0.0.1",
    ),
    Rule(
        "api_tls",
        lambda s, apps: s.api_tls and s.api_behind_proxy,
        "api_tls and api_behind_proxy contradict each other",
        "set the one that is true",
    ),
    Rule(
        "api_port",
        lambda s, apps: s.port == s.api_port != 0 and _meet(s.host, s.api_host),
        "devices and the API cannot share one port",
        "give port and api_port different values",
    ),
    Rule(
        "beat_min_s",
        lambda s, apps: s.beat_min_s > s.beat_max_s,
        "beat_min_s is above beat_max_s",
        "devices choose a heartbeat between the two",
    ),
    Rule(
        "payload_bytes_max",
        lambda s, apps: s.payload_bytes_max > s.batch_bytes_max,
        "payload_bytes_max is above batch_bytes_max",
        "a request must be able to hold one payload",
    ),
    Rule(
        "publish_burst",
        lambda s, apps: s.publish_burst < s.batch_items_max,
        "publish_burst is below batch_items_max",
        "a full batch could then never be published",
    ),
    Rule(
        "queue_bytes_max",
        lambda s, apps: s.queue_bytes_max < s.batch_bytes_max,
        "queue_bytes_max is below batch_bytes_max",
        "a full batch could then never be stored",
    ),
)


def check_safety(settings: Settings, apps: Sequence[App]) -> None:
    """Raises BadSetting for the first rule that is broken."""
    for rule in RULES:
        if rule.is_broken(settings, apps):
            raise BadSetting(rule.sentence, field=rule.field, hint=rule.hint)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens at `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _plain_addresses(apps: Sequence[App]) -> Iterator[str]:
    for app in apps:
        for key in app.keys:
            if isinstance(key, KeyUrl) and not key.url.startswith("https://"):
                yield key.url


def _plain_callbacks(apps: Sequence[App]) -> Iterator[str]:
    for app in apps:
        url = urlsplit(app.user_check.url if app.user_check is not None else "")
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            yield app.name


def _meet(host: str, other: str) -> bool:
    everywhere = {"0.0.0.0", "::", ""}  # noqa: S104 # compared, not bound to
    return host == other or host in everywhere or other in everywhere

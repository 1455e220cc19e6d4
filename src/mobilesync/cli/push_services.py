"""The push services of an app, as its table in a settings file defines them.

Strategy: the table names files and identifiers; they are read and checked when the settings are, so
that a wrong key is told before anything is served. The gateways themselves are made when the server
starts, since they hold connections.

Not here: how a push service is spoken to (transports/), whom to wake (engine/wake_ups.py).
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from mobilesync.cli.key_file import read_key_file
from mobilesync.cli.setting import BadSetting
from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import InvalidRequest
from mobilesync.engine.apps import App
from mobilesync.engine.push_gateway import PushGateway
from mobilesync.transports.apns import PRODUCTION, SANDBOX, ApnsOptions, load_apns
from mobilesync.transports.fcm import load_fcm

PUSH_KEYS: dict[str, str] = {
    "apns_key_file": "The .p8 file of an APNs key: iOS devices are woken (docs/guides/wake-up.md).",
    "apns_key_id": "The key's id: ten characters.",
    "apns_team_id": "The Apple developer team's id: ten characters.",
    "apns_bundle_id": "The app's bundle id, such as `com.example.shop`.",
    "apns_environment": "`production`, or `sandbox` for builds from Xcode.",
    "fcm_service_account_file": "The JSON file of a Firebase service account: Android devices are "
    "woken.",
}
"""What an app's table may hold of push services, and what each key is."""

_APNS = ("apns_key_id", "apns_team_id", "apns_bundle_id")
_ORIGINS = {"production": PRODUCTION, "sandbox": SANDBOX}


class PushServices(Struct, frozen=True):
    """One app's, checked."""

    apns_key: bytes = b""
    apns_key_id: str = ""
    apns_team_id: str = ""
    apns_bundle_id: str = ""
    apns_environment: str = "production"
    fcm_service_account: bytes = b""

    def __repr__(self) -> str:
        return f"PushServices(apns={bool(self.apns_key)}, fcm={bool(self.fcm_service_account)})"


def read_push_services(
    apps: Sequence[App], tables: Mapping[str, Any], source: str, clock: Clock
) -> dict[str, PushServices]:
    """The push services of those apps that have any. `read_apps` has accepted the tables.

    Raises BadSetting.
    """
    found: dict[str, PushServices] = {}
    for app in apps:
        try:
            services = _read(tables[app.name])
            if services is not None:
                found[app.name] = services
                make_gateways(services, clock=clock, entropy=random.Random(0))
        except InvalidRequest as error:
            where = f"[apps.{app.name}] in {source}"
            raise BadSetting(f"{where}: {error.message}", field="apps", hint=error.hint) from None
    return found


def make_gateways(
    services: PushServices, *, clock: Clock, entropy: random.Random
) -> list[PushGateway]:
    """The gateways, without a connection yet. Raises InvalidRequest."""
    gateways: list[PushGateway] = []
    if services.apns_key:
        gateways.append(
            load_apns(
                services.apns_key,
                key_id=services.apns_key_id,
                team_id=services.apns_team_id,
                bundle_id=services.apns_bundle_id,
                clock=clock,
                entropy=entropy,
                options=ApnsOptions(origin=_ORIGINS[services.apns_environment]),
            )
        )
    if services.fcm_service_account:
        gateways.append(load_fcm(services.fcm_service_account, clock=clock, entropy=entropy))
    return gateways


def _read(table: Mapping[str, Any]) -> PushServices | None:
    texts = {key: _text(table, key) for key in PUSH_KEYS if key in table}
    if not texts:
        return None
    environment = texts.get("apns_environment", "production")
    if environment not in _ORIGINS:
        hint = "production or sandbox"
        raise InvalidRequest("apns_environment is neither of the two", hint=hint)
    key_file = texts.get("apns_key_file", "")
    for name in _APNS:
        if bool(texts.get(name)) != bool(key_file):
            hint = f"apns_key_file, {', '.join(_APNS)}: all four or none"
            raise InvalidRequest("APNs is set up by half", hint=hint)
    account_file = texts.get("fcm_service_account_file", "")
    identifiers = [texts.get(name, "") for name in _APNS]
    return PushServices(
        read_key_file(key_file) if key_file else b"",
        identifiers[0],
        identifiers[1],
        identifiers[2],
        environment,
        read_key_file(account_file) if account_file else b"",
    )


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"{key} is no text")
    return value

"""Apps as a settings file defines them: `[apps.<name>]`.

Strategy: each key of the table that names a secret, a file or an address becomes a verification
key; each may be a list, so that an old and a new key work side by side while an app changes them.
Every mistake is told with the table and the key that it is in.

Not here: what a good key is (engine/apps.py), the other settings (configuration.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mobilesync.api.options import MssOptions
from mobilesync.cli.key_file import read_key_file
from mobilesync.cli.push_services import PUSH_KEYS
from mobilesync.cli.setting import BadSetting
from mobilesync.cli.suggestion import did_you_mean
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_biz
from mobilesync.engine.apps import (
    App,
    KeyUrl,
    SecretKey,
    UserCallback,
    VerificationKey,
    load_public_key,
)
from mobilesync.engine.signature import check_secret

APP_KEYS: dict[str, str] = {
    "hs256_secret": "A secret shared with the business server, at least 32 bytes (HS256).",
    "hs256_secret_file": "The same in a file of its own; spaces and line ends around it are cut.",
    "public_key_file": "The business server's public key in PEM: RSA (RS256) or P-256 (ES256).",
    "jwks_url": "Where the issuer publishes its public keys as a JWK set; `https://`.",
    "issuer": "If set, the `iss` that tokens must have.",
    "audience": "If set, an `aud` that tokens must have; if not, tokens must have none.",
    "device_claim_required": "`false`: a token without `device` is good for any one device.",
    "user_check_url": "Where the app's own server says whether a user's session is good; "
    "`https://`, or `http://` on this machine (docs/guides/user-check.md).",
    "user_check_secret": "Signs what is asked there: `whsec_` and 24 to 64 random bytes in base64.",
    "user_check_secret_file": "The same in a file of its own.",
    "user_check_timeout_s": "How long one try may take; 2 if left out.",
    "user_check_attempts": "Tries in a row before it waits longer; 3 if left out.",
    "user_check_concurrent_max": "Questions at the same time; 16 if left out.",
    **PUSH_KEYS,
    "mss_instance_id": "The `instanceId` by which callers written for MSS name the app, if it "
    "is not the app's name (docs/mss-compatibility.md).",
    "mss_device_bizzes": "Bizzes whose `linkToken` is a device id for such callers.",
}
"""What an app's table may hold, and what each key is."""

_KEY_KINDS = ("hs256_secret", "hs256_secret_file", "public_key_file", "jwks_url")


def read_apps(tables: object, source: str) -> list[App]:
    """The apps in `tables`, the parsed `[apps]` of `source`. Raises BadSetting."""
    if not isinstance(tables, Mapping):
        hint = "write [apps.<name>]"
        raise BadSetting(f"apps ({source}) is no table of apps", field="apps", hint=hint)
    return [_read_app(str(name), table, source) for name, table in tables.items()]


def read_mss(apps: Sequence[App], tables: Mapping[str, Any], source: str) -> MssOptions:
    """How callers written for MSS name these apps. `read_apps` has accepted the tables.

    Raises BadSetting.
    """
    instances: dict[str, str] = {}
    device_bizzes: set[str] = set()
    for app in apps:
        table = tables[app.name]
        where = f"[apps.{app.name}] in {source}"
        try:
            instance = _text(table, "mss_instance_id")
            if instance in instances:
                raise InvalidRequest(f"mss_instance_id {instance!r} is another app's")
            if instance:
                instances[instance] = app.name
            device_bizzes.update(f"{app.name}/{check_biz(biz)}" for biz in _texts(table))
        except InvalidRequest as error:
            raise BadSetting(f"{where}: {error.message}", field="apps", hint=error.hint) from None
    return MssOptions(instances=instances, device_bizzes=frozenset(device_bizzes))


def _read_app(name: str, table: object, source: str) -> App:
    where = f"[apps.{name}] in {source}"
    if not isinstance(table, Mapping):
        raise BadSetting(f"{where} is no table", field="apps", hint=f"write [apps.{name}]")
    for key in table:
        if key not in APP_KEYS:
            hint = did_you_mean(str(key), APP_KEYS)
            raise BadSetting(f"{where}: unknown key {key!r}", field="apps", hint=hint)
    try:
        return App(
            name,
            tuple(_read_keys(table)),
            issuer=_text(table, "issuer"),
            audience=_text(table, "audience"),
            device_claim_required=_switch(table, "device_claim_required"),
            user_check=_read_user_check(name, table),
        )
    except InvalidRequest as error:
        raise BadSetting(f"{where}: {error.message}", field="apps", hint=error.hint) from None


def _read_keys(table: Mapping[str, Any]) -> list[VerificationKey]:
    keys: list[VerificationKey] = []
    for kind in _KEY_KINDS:
        values = table.get(kind, [])
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not value:
                raise InvalidRequest(f"{kind} is neither text nor a list of texts")
            keys.append(_read_key(kind, value))
    return keys


def _read_key(kind: str, value: str) -> VerificationKey:
    match kind:
        case "hs256_secret":
            return SecretKey(value.encode())
        case "hs256_secret_file":
            return SecretKey(read_key_file(value).strip())
        case "public_key_file":
            return load_public_key(read_key_file(value))
    return KeyUrl(value)


def _read_user_check(name: str, table: Mapping[str, Any]) -> UserCallback | None:
    given = [key for key in table if key.startswith("user_check_")]
    url = _text(table, "user_check_url")
    if not url:
        if given:
            raise InvalidRequest(f"{given[0]} without user_check_url", hint="set user_check_url")
        return None
    path, secret = _text(table, "user_check_secret_file"), _text(table, "user_check_secret")
    if bool(path) == bool(secret):
        hint = "set one of user_check_secret and user_check_secret_file"
        raise InvalidRequest("user_check_url needs one secret", hint=hint)
    if path:
        secret = read_key_file(path).strip().decode(errors="replace")
    try:
        check_secret(secret)
    except InvalidRequest:
        hint = 'make one with: echo "whsec_$(openssl rand -base64 32)"'
        raise InvalidRequest("user_check_secret is not fit for signatures", hint=hint) from None
    numbers = {
        field.name: _number(table, f"user_check_{field.name}", field.default)
        for field in msgspec.structs.fields(UserCallback)
        if isinstance(field.default, int | float) and f"user_check_{field.name}" in table
    }
    return UserCallback(url, secret, _text(table, "mss_instance_id") or name, **numbers)


def _number(table: Mapping[str, Any], key: str, like: float) -> Any:
    """A number of the kind of `like`."""
    value = table[key]
    kinds = (int,) if isinstance(like, int) else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise InvalidRequest(f"{key} is no {'whole ' if isinstance(like, int) else ''}number")
    return value


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise InvalidRequest(f"{key} is no text")
    return value


def _texts(table: Mapping[str, Any]) -> list[str]:
    values = table.get("mss_device_bizzes", [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidRequest("mss_device_bizzes is no list of texts")
    return values


def _switch(table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, True)
    if not isinstance(value, bool):
        raise InvalidRequest(f"{key} is neither true nor false")
    return value

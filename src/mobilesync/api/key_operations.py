"""API keys, over HTTP: make, list, revoke.

Invariant: nobody makes a key that may do more than their own: an admin key of one app makes, sees
and revokes keys of that app only.
"""

from typing import Annotated

from msgspec import Meta, Struct

from mobilesync.api.errors import HttpError
from mobilesync.api.keys import ApiKey, Scope, authorize
from mobilesync.api.operations import Desk, NoQuery, Operation, Request
from mobilesync.api.strict_json import JsonBody


class KeyBody(Struct, forbid_unknown_fields=True):
    """A key to make."""

    name: Annotated[str, Meta(description="for people: who uses it")]
    scopes: list[Scope]
    app: Annotated[str, Meta(description="the one app it is for; empty for all")] = ""


class MadeKey(Struct):
    """A new key. `text` is what goes into the Authorization header; it is shown this once."""

    key: ApiKey
    text: str


class KeyList(Struct):
    """Keys, oldest first, without their secrets."""

    keys: list[ApiKey]


async def create_key(desk: Desk, request: Request[KeyBody, NoQuery]) -> MadeKey:
    """Raises InvalidRequest; HttpError (FORBIDDEN) for an app beyond the caller's key."""
    body = request.body
    authorize(_caller(request.key), "admin", body.app)
    if body.app:
        desk.service.apps.get(body.app)
    made = await desk.keys.create(body.name, body.scopes, body.app, who=request.who)
    return MadeKey(made.key, made.text)


async def list_keys(desk: Desk, request: Request[None, NoQuery]) -> KeyList:
    """Those that the caller may see."""
    caller = _caller(request.key)
    return KeyList([key for key in desk.keys.list() if caller.permits("admin", key.app)])


async def revoke_key(desk: Desk, request: Request[None, NoQuery]) -> None:
    """Raises HttpError (NOT_FOUND), also for keys that the caller may not see."""
    caller = _caller(request.key)
    for key in desk.keys.list():
        if key.id == request.path["key"] and caller.permits("admin", key.app):
            return await desk.keys.revoke(key.id, who=request.who)
    raise HttpError("NOT_FOUND", "no such API key", field="key")


def _caller(key: ApiKey | None) -> ApiKey:
    assert key is not None, "these operations need a scope"
    return key


_WRITES = ("STORE_UNAVAILABLE", "OUTCOME_UNKNOWN")

OPERATIONS = (
    Operation(
        "POST",
        "/v1/keys",
        "create_key",
        "Make an API key",
        create_key,
        answer=MadeKey,
        scope="admin",
        body=JsonBody(KeyBody),
        status=201,
        errors=("UNKNOWN_APP", *_WRITES),
        description="The answer is the only place where the key's text is ever shown.",
    ),
    Operation(
        "GET",
        "/v1/keys",
        "list_keys",
        "List API keys",
        list_keys,
        answer=KeyList,
        scope="admin",
    ),
    Operation(
        "DELETE",
        "/v1/keys/{key}",
        "revoke_key",
        "Revoke an API key",
        revoke_key,
        scope="admin",
        status=204,
        errors=("NOT_FOUND", *_WRITES),
        description="It is refused from the moment the answer is sent.",
    ),
)

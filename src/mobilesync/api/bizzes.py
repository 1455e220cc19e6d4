"""The sync configs of an app, over HTTP: which bizzes there are and what their rules are.

Not here: what the rules mean and how they take effect (engine/configs.py).
"""

from typing import Annotated, Any

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from mobilesync.api.operations import Desk, NoQuery, Operation, Request
from mobilesync.api.strict_json import JsonBody
from mobilesync.domain.sync_config import SyncConfig


def _strict(name: str, *first: tuple[str, Any]) -> type[Struct]:
    """The rules of a sync config after the fields `first`; unknown rules are refused."""
    fields: list[Any] = list(first)
    for field in msgspec.structs.fields(SyncConfig):
        if field.name != "biz":
            assert field.default is not NODEFAULT, "each rule has a default"
            fields.append((field.name, field.type, field.default))
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


BizRules = _strict("BizRules")
"""Without the name, which the path says."""
WantedBiz = _strict("WantedBiz", ("biz", str))
"""One of several, as a body that configures an app names it."""


class Bizzes(Struct):
    """All bizzes of an app, by name."""

    bizzes: list[SyncConfig]
    revision: Annotated[str, Meta(description="names this state: what `apply` may ask for")]


async def list_bizzes(desk: Desk, request: Request[None, NoQuery]) -> Bizzes:
    """All of the app's."""
    configs = desk.service.configs
    return Bizzes(configs.list(request.app), configs.revision(request.app))


async def get_biz(desk: Desk, request: Request[None, NoQuery]) -> SyncConfig:
    """Raises UnknownBiz."""
    return desk.service.configs.get(request.app, request.path["biz"])


async def put_biz(desk: Desk, request: Request[Struct, NoQuery]) -> SyncConfig:
    """Create or replace; rules that the body leaves out get their defaults."""
    config = SyncConfig(biz=request.path["biz"], **msgspec.structs.asdict(request.body))
    await desk.service.configs.put(request.app, config, who=request.who)
    return config


async def remove_biz(desk: Desk, request: Request[None, NoQuery]) -> None:
    """Raises UnknownBiz."""
    await desk.service.configs.remove(request.app, request.path["biz"], who=request.who)


_ONE = "/v1/apps/{app}/bizzes/{biz}"
_WRITES = ("STORE_UNAVAILABLE", "OUTCOME_UNKNOWN")

OPERATIONS = (
    Operation(
        "GET",
        "/v1/apps/{app}/bizzes",
        "list_bizzes",
        "List the bizzes of an app",
        list_bizzes,
        answer=Bizzes,
        scope="configure",
    ),
    Operation(
        "GET",
        _ONE,
        "get_biz",
        "Show the sync config of a biz",
        get_biz,
        answer=SyncConfig,
        scope="configure",
        errors=("UNKNOWN_BIZ",),
    ),
    Operation(
        "PUT",
        _ONE,
        "put_biz",
        "Create a biz, or replace its sync config",
        put_biz,
        answer=SyncConfig,
        scope="configure",
        body=JsonBody(BizRules),
        errors=_WRITES,
        description=(
            "In effect, also on connected devices, when the answer comes. With status `offline` "
            "the biz refuses publishes, and its backlog is withheld until it is online again."
        ),
    ),
    Operation(
        "DELETE",
        _ONE,
        "remove_biz",
        "Remove a biz",
        remove_biz,
        scope="configure",
        status=204,
        errors=("UNKNOWN_BIZ", *_WRITES),
        description="It refuses publishes from then on; what is stored ends with its retention.",
    ),
)

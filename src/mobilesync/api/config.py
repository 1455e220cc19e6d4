"""Configure a whole app in one call: look at what would change, then change exactly that.

Strategy: a body says what some bizzes, or with `prune` all of them, shall be. `plan` answers what
that changes, what it means for people, and the revision that it was compared with; `apply` does it
in one commit, and with that revision refuses when somebody was faster. What is wrong with any biz
is told for every biz that is wrong, and then nothing is changed.

Not here: single bizzes (bizzes.py), what a change means (engine/impact.py).
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from mobilesync.api.bizzes import WantedBiz
from mobilesync.api.errors import HttpError
from mobilesync.api.operations import Desk, NoQuery, Operation, Request
from mobilesync.api.strict_json import JsonBody, check_unique_keys, invalid, split_list
from mobilesync.domain.config_change import (
    Action,
    ConfigChange,
    InvalidConfigs,
    RuleChange,
    named,
    wrong_configs,
)
from mobilesync.domain.errors import InvalidRequest, TooLarge
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.impact import Facts, facts_of, impact
from mobilesync.protocol.limits import BIZZES_MAX

BODY_BYTES_MAX = 2 * 1024 * 1024
"""As many bizzes as an app may have, each with the longest description, fit."""


class ConfigBody(Struct, forbid_unknown_fields=True):
    """What an app's bizzes shall be."""

    bizzes: Annotated[
        list[WantedBiz],  # type: ignore[valid-type]  # made from SyncConfig, which mypy cannot see
        Meta(max_length=BIZZES_MAX, description="rules that are left out get their defaults"),
    ]
    prune: Annotated[bool, Meta(description="remove the bizzes that are not listed")] = False
    revision: Annotated[
        str, Meta(description="refuse with CONFLICT unless the configs are in this state")
    ] = ""


class BizChange(Struct):
    """What becomes of one biz."""

    biz: str
    action: Action
    rules: Annotated[
        list[RuleChange],
        Meta(description="of a biz that comes or goes: those that are not the default"),
    ]
    impact: Annotated[list[str], Meta(description="what that means, for people")]


class ConfigPlan(Struct):
    """What changes, biz by biz."""

    changes: list[BizChange]
    revision: Annotated[
        str, Meta(description="names the state that was compared; of `apply`: the new state")
    ]


class _Parts(Struct, forbid_unknown_fields=True):
    """A ConfigBody whose bizzes are not looked at yet."""

    bizzes: Raw
    prune: bool = False
    revision: str = ""


_PARTS = msgspec.json.Decoder(_Parts)
_WANTED: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder(WantedBiz)
_NAMED = msgspec.json.Decoder(dict[str, Any])


class ConfigJson(JsonBody[ConfigBody]):
    """The body, judged biz by biz when it does not fit."""

    def __init__(self) -> None:
        super().__init__(ConfigBody)

    def decode(self, body: bytes) -> ConfigBody:
        """As JsonBody.decode, and TooLarge, and InvalidConfigs when bizzes have wrong types."""
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge("the body is too large", hint=f"at most {BODY_BYTES_MAX} bytes")
        try:
            return super().decode(body)
        except HttpError:
            raise
        except InvalidRequest as error:
            wrong = _judge(body)
            raise InvalidConfigs(wrong) if wrong else error from None


def _judge(body: bytes) -> list[tuple[int, InvalidRequest]]:
    """The bizzes that do not fit, or break a rule; none when something else is wrong.

    Raises HttpError when the text is no JSON.
    """
    check_unique_keys(body)
    try:
        listed = bytes(_PARTS.decode(body).bizzes)
    except msgspec.DecodeError:
        return []
    items = split_list(listed, BIZZES_MAX) if listed.startswith(b"[") else None
    wrong: list[tuple[int, InvalidRequest]] = []
    fitting: list[tuple[int, SyncConfig]] = []
    for place, item in enumerate(items or ()):
        try:
            fitting.append((place, _config(_WANTED.decode(item))))
        except msgspec.ValidationError as error:
            wrong.append((place, named(_name(item, place), invalid(error))))
    return sorted([*wrong, *wrong_configs(fitting)], key=lambda each: each[0])


def _name(item: bytes, place: int) -> str:
    """What to call a biz that does not fit."""
    try:
        name = _NAMED.decode(item).get("biz")
    except msgspec.DecodeError:
        name = None
    return name if isinstance(name, str) else f"bizzes[{place}]"


async def plan_config(desk: Desk, request: Request[ConfigBody, NoQuery]) -> ConfigPlan:
    """What `apply` would do now."""
    body, configs = request.body, desk.service.configs
    changes = configs.plan(request.app, _wanted(body), prune=body.prune, revision=body.revision)
    revision = configs.revision(request.app)
    return _answer(changes, await _facts(desk, request.app), revision)


async def apply_config(desk: Desk, request: Request[ConfigBody, NoQuery]) -> ConfigPlan:
    """Do it, and tell what was done."""
    body, configs = request.body, desk.service.configs
    facts = await _facts(desk, request.app)
    changes = await configs.apply(
        request.app, _wanted(body), prune=body.prune, revision=body.revision, who=request.who
    )
    return _answer(changes, facts, configs.revision(request.app))


def _wanted(body: ConfigBody) -> list[SyncConfig]:
    return [_config(each) for each in body.bizzes]


def _config(wanted: Any) -> SyncConfig:
    return SyncConfig(**msgspec.structs.asdict(wanted))


async def _facts(desk: Desk, app: str) -> Facts:
    service = desk.service
    create = service.options.create_biz_on_first_use
    return await facts_of(app, service.sessions, service.store, creates_on_first_use=create)


def _answer(changes: Sequence[ConfigChange], facts: Facts, revision: str) -> ConfigPlan:
    rows = [
        BizChange(change.biz, change.action, change.rules, impact(change, facts))
        for change in changes
    ]
    return ConfigPlan(rows, revision)


_ERRORS = ("INVALID_BATCH", "CONFLICT", "STORE_UNAVAILABLE")

OPERATIONS = (
    Operation(
        "POST",
        "/v1/apps/{app}/config/plan",
        "plan_config",
        "Say what a change of several sync configs would do",
        plan_config,
        answer=ConfigPlan,
        scope="configure",
        body=ConfigJson(),
        errors=_ERRORS,
        description=(
            "Changes nothing. Each listed biz is compared with what it is now; bizzes that are not "
            "listed stay, or go with `prune`. `impact` says what each change means, with figures "
            "of this server."
        ),
    ),
    Operation(
        "POST",
        "/v1/apps/{app}/config/apply",
        "apply_config",
        "Change several sync configs, all or none",
        apply_config,
        answer=ConfigPlan,
        scope="configure",
        body=ConfigJson(),
        errors=(*_ERRORS, "OUTCOME_UNKNOWN"),
        description=(
            "One commit: in effect, also on connected devices, when the answer comes. With the "
            "`revision` of a plan, it is refused with CONFLICT when anybody changed anything "
            "since. If any biz is invalid, the answer is INVALID_BATCH with every such biz, and "
            "nothing is changed."
        ),
    ),
)

"""What changes when an app's sync configs become what somebody wants them to be.

Strategy: pure comparison. What is wanted is judged whole, so that everybody who is wrong is told at
once; then biz by biz and rule by rule it is set against what is there. A revision names the state
that was compared: whoever has looked at a change can ask for exactly that one, or be refused.

Not here: making a change (engine/configs.py), saying what it means for people (engine/impact.py).
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.sync_config import SyncConfig, check_sync_config

Action = Literal["create", "change", "remove", "none"]
RuleValue = str | int | bool
REVISION_BYTES = 16
NAME_CHARS_SHOWN = 64
"""A name that is none may be of any length; so much of it is repeated."""


class RuleChange(Struct, frozen=True):
    """One rule becomes another; null where the biz is not there, before or after."""

    rule: str
    before: RuleValue | None = msgspec.field(name="from")
    after: RuleValue | None = msgspec.field(name="to")


class ConfigChange(Struct, frozen=True):
    """What becomes of one biz."""

    biz: str
    before: SyncConfig | None
    after: SyncConfig | None

    @property
    def action(self) -> Action:
        """In one word."""
        if self.before == self.after:
            return "none"
        if self.before is None:
            return "create"
        return "change" if self.after is not None else "remove"

    @property
    def rules(self) -> list[RuleChange]:
        """Every rule that differs; of a biz that comes or goes, those that are not the default."""
        before = rules_of(self.before) if self.before is not None else {}
        after = rules_of(self.after) if self.after is not None else {}
        if not before or not after:
            plain = rules_of(SyncConfig(biz=self.biz))
            there = before or after
            return [
                RuleChange(rule, before.get(rule), after.get(rule))
                for rule in there
                if there[rule] != plain[rule]
            ]
        return [
            RuleChange(rule, before[rule], after[rule])
            for rule in before
            if before[rule] != after[rule]
        ]


class InvalidConfigs(InvalidRequest):
    """Some of the wanted configs are wrong; nothing was changed."""

    code = "INVALID_BATCH"

    def __init__(self, items: list[tuple[int, InvalidRequest]]) -> None:
        super().__init__(
            f"{len(items)} invalid biz(zes); nothing was changed",
            field="bizzes",
            hint="see items for what is wrong with each",
        )
        self.items = items


def rules_of(config: SyncConfig) -> dict[str, RuleValue]:
    """Every rule of a config by name, in the order of their table."""
    rules: dict[str, RuleValue] = msgspec.structs.asdict(config)
    del rules["biz"]
    return rules


def own_rules(config: SyncConfig) -> dict[str, RuleValue]:
    """The rules of a config that are not the default."""
    plain = rules_of(SyncConfig(biz=config.biz))
    return {rule: value for rule, value in rules_of(config).items() if value != plain[rule]}


def named(biz: str, error: InvalidRequest) -> InvalidRequest:
    """The same error, which says which biz it is about."""
    message = f"{biz[:NAME_CHARS_SHOWN]}: {error.message}"
    return InvalidRequest(message, field=error.field, hint=error.hint)


def wrong_configs(
    configs: Iterable[tuple[int, SyncConfig]],
) -> list[tuple[int, InvalidRequest]]:
    """Those of `configs` (each with its place) that break a rule, or that stand there twice."""
    wrong: list[tuple[int, InvalidRequest]] = []
    seen: set[str] = set()
    for place, config in configs:
        try:
            check_sync_config(config)
            if config.biz in seen:
                raise InvalidRequest("it stands there twice", field="biz", hint="name it once")
            seen.add(config.biz)
        except InvalidRequest as error:
            wrong.append((place, named(config.biz, error)))
    return wrong


def changes_between(
    current: Sequence[SyncConfig], wanted: Sequence[SyncConfig], *, prune: bool
) -> list[ConfigChange]:
    """What makes `wanted` of `current`, by biz; `prune` removes what is not wanted.

    Raises InvalidConfigs.
    """
    wrong = wrong_configs(enumerate(wanted))
    if wrong:
        raise InvalidConfigs(wrong)
    before = {config.biz: config for config in current}
    after = {config.biz: config for config in wanted}
    bizzes = {*before, *after} if prune else {*after}
    return [ConfigChange(biz, before.get(biz), after.get(biz)) for biz in sorted(bizzes)]


def revision_of(configs: Iterable[SyncConfig]) -> str:
    """A short name for the state of all of an app's configs: equal states, equal names."""
    # Only what differs from the defaults: a new rule, at its default, is no change.
    state = sorted((config.biz, own_rules(config)) for config in configs)
    encoded = msgspec.json.encode(state, order="deterministic")
    return hashlib.blake2b(encoded, digest_size=REVISION_BYTES).hexdigest()

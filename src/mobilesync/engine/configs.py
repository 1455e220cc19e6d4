"""The sync configs of all apps: what a biz's rules are, now.

Strategy: few and small, so all are held in memory; the store keeps them as documents. A change
is durable before it takes effect. Changes are made one after the other, so that none is decided
on what another is about to change. Whatever is changed in one call, and what the audit tells of it,
is one commit: all of it, or nothing.

Not here: what differs (domain/config_change.py), what that means for people (impact.py).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import structlog

from mobilesync.domain.config_change import ConfigChange, changes_between, revision_of
from mobilesync.domain.errors import Conflict, InvalidRequest, UnknownBiz
from mobilesync.domain.names import check_biz
from mobilesync.domain.sync_config import SyncConfig, check_sync_config
from mobilesync.engine.audit import Audit
from mobilesync.protocol.limits import BIZZES_MAX
from mobilesync.storage.contract import Document, Store

log = structlog.get_logger(__name__)

KIND = "sync_config"
FIRST_USE = "first use"
"""Who has created a biz that nobody configured."""


class SyncConfigs:
    """The rules of every biz."""

    def __init__(
        self, store: Store, *, create_on_first_use: bool = False, audit: Audit | None = None
    ) -> None:
        """Without `audit`, nobody is told who changed what."""
        self._store = store
        self._audit = audit
        self._create_on_first_use = create_on_first_use
        self._configs: dict[tuple[str, str], SyncConfig] = {}
        self._changes = asyncio.Lock()
        self._listeners: list[Callable[[str, SyncConfig | None], None]] = []

    async def load(self) -> None:
        """Read all from the store. Call before anything else."""
        for key, value in (await self._store.documents(KIND)).items():
            app, biz = key.split("/", 1)
            self._configs[app, biz] = msgspec.json.decode(value, type=SyncConfig)

    def on_change(self, listener: Callable[[str, SyncConfig | None], None]) -> None:
        """Call `listener(app, config)` after each change; config is None for a removal."""
        self._listeners.append(listener)

    def get(self, app: str, biz: str) -> SyncConfig:
        """The rules of `biz`. Raises UnknownBiz."""
        config = self._configs.get((app, biz))
        if config is None:
            hint = "create it first, with PUT /v1/apps/{app}/bizzes/{biz}"
            raise UnknownBiz(f"app {app} has no biz {biz}", field="biz", hint=hint)
        return config

    def first_use(self, app: str, biz: str) -> SyncConfig:
        """As `get`, but in development mode an unknown biz has the rules that `create` would give
        it. Raises InvalidRequest when it is no name of a biz."""
        if (app, biz) not in self._configs and self._create_on_first_use:
            return SyncConfig(biz=check_biz(biz), description="created on first use")
        return self.get(app, biz)

    async def create(self, app: str, bizzes: Iterable[str]) -> None:
        """Have those of `bizzes` that are unknown come into being, in development mode.

        Raises UnknownBiz, and creates none, when the app would have more than BIZZES_MAX.
        """
        if not self._create_on_first_use:
            return
        wanted = dict.fromkeys(bizzes)
        if all((app, biz) in self._configs for biz in wanted):
            # As always but the first time: nobody has to wait for others' changes.
            return
        async with self._changes:
            fresh = [biz for biz in wanted if (app, biz) not in self._configs]
            changes = [ConfigChange(biz, None, self.first_use(app, biz)) for biz in fresh]
            await self._make(app, changes, FIRST_USE)
        for biz in fresh:
            log.warning(
                "biz_created_on_first_use",
                app=app,
                biz=biz,
                hint="it has the default rules; a misspelled name makes a biz, too",
            )

    def find(self, app: str, biz: str) -> SyncConfig | None:
        """The rules of `biz`, or None when there is no such biz."""
        return self._configs.get((app, biz))

    def priority(self, app: str, biz: str) -> int:
        """What of several bizzes goes first: the higher one."""
        config = self._configs.get((app, biz))
        return config.priority if config is not None else 0

    def list(self, app: str) -> list[SyncConfig]:
        """All of an app, by name."""
        mine = [config for (owner, _), config in self._configs.items() if owner == app]
        return sorted(mine, key=lambda config: config.biz)

    def revision(self, app: str) -> str:
        """The name of the state that all of the app's configs are in."""
        return revision_of(self.list(app))

    def plan(
        self, app: str, wanted: Sequence[SyncConfig], *, prune: bool = False, revision: str = ""
    ) -> Sequence[ConfigChange]:
        """What `apply` would change now. Raises what it raises, but for the store's errors."""
        current = self.list(app)
        if revision and revision != revision_of(current):
            hint = "plan again, and look at what changes now"
            raise Conflict("the configs were changed meanwhile", field="revision", hint=hint)
        changes = changes_between(current, wanted, prune=prune)
        self._check_room(app, changes)
        return changes

    async def apply(
        self,
        app: str,
        wanted: Sequence[SyncConfig],
        *,
        prune: bool = False,
        revision: str = "",
        who: str = "",
    ) -> Sequence[ConfigChange]:
        """Make `wanted` the configs of their bizzes, and with `prune` the only ones.

        All of it is durable, and in effect on living sessions, when it returns; when it raises,
        nothing is changed. `revision`, if given, is the state that may be changed. Answers every
        biz that was looked at.

        Raises InvalidConfigs, InvalidRequest (more than BIZZES_MAX), Conflict, and the store's.
        """
        async with self._changes:
            changes = self.plan(app, wanted, prune=prune, revision=revision)
            await self._make(app, changes, who)
        return changes

    async def put(self, app: str, config: SyncConfig, *, who: str = "") -> None:
        """Create or change a biz. Durable, and in effect on living sessions, when it returns.

        Raises InvalidRequest, also when the app has BIZZES_MAX already.
        """
        check_sync_config(config)
        async with self._changes:
            before = self._configs.get((app, config.biz))
            await self._make(app, [ConfigChange(config.biz, before, config)], who)

    async def remove(self, app: str, biz: str, *, who: str = "") -> None:
        """Forget a biz: it refuses publishes; what is stored ends with its retention.

        Raises UnknownBiz.
        """
        async with self._changes:
            await self._make(app, [ConfigChange(biz, self.get(app, biz), None)], who)

    def _check_room(self, app: str, changes: Sequence[ConfigChange]) -> None:
        # A device's Hello must be able to list a sync point for each of its channels.
        actions = [change.action for change in changes]
        more = actions.count("create") - actions.count("remove")
        if more > 0 and sum(owner == app for owner, _ in self._configs) + more > BIZZES_MAX:
            hint = f"at most {BIZZES_MAX}"
            raise InvalidRequest("the app has too many bizzes", field="biz", hint=hint)

    async def _make(self, app: str, changes: Sequence[ConfigChange], who: str) -> None:
        """Make `changes` durable, then have them take effect."""
        real = [change for change in changes if change.action != "none"]
        if not real:
            return
        self._check_room(app, real)
        documents = [
            Document(KIND, f"{app}/{change.biz}", _encoded(change.after)) for change in real
        ]
        if self._audit is not None:
            deeds = [_deed(change) for change in real]
            documents += await self._audit.documents(app, who, deeds)
        await self._store.put_documents(documents)
        for change in real:
            if change.after is None:
                del self._configs[app, change.biz]
            else:
                self._configs[app, change.biz] = change.after
        # Only now, so that no listener sees one change without the others.
        for change in real:
            for listener in self._listeners:
                listener(app, change.after)


def _encoded(config: SyncConfig | None) -> bytes | None:
    return None if config is None else msgspec.json.encode(config)


def _deed(change: ConfigChange) -> tuple[str, dict[str, Any]]:
    """A change as the audit tells it."""
    rules = change.rules
    details = {"biz": change.biz, "rules": msgspec.to_builtins(rules)}
    if change.action == "create":
        return "biz_created", details
    if change.after is None:
        return "biz_removed", details
    if [each.rule for each in rules] == ["status"]:
        return f"biz_{change.after.status}", {"biz": change.biz}
    return "biz_changed", details

"""The sync configs of all apps: what a biz's rules are, now.

Strategy: few and small, so all are held in memory; the store keeps them as documents. A change
is durable before it takes effect. Changes are made one after the other, so that none is decided
on what another is about to change.
"""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from mobilesync.domain.errors import InvalidRequest, UnknownBiz
from mobilesync.domain.names import check_biz
from mobilesync.domain.sync_config import SyncConfig, check_sync_config
from mobilesync.protocol.limits import BIZZES_MAX
from mobilesync.storage.contract import Document, Store

KIND = "sync_config"


class SyncConfigs:
    """The rules of every biz."""

    def __init__(self, store: Store, *, create_on_first_use: bool = False) -> None:
        self._store = store
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
        async with self._changes:
            fresh = [biz for biz in dict.fromkeys(bizzes) if (app, biz) not in self._configs]
            self._check_room(app, len(fresh))
            for biz in fresh:
                await self._keep(app, self.first_use(app, biz))

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

    async def put(self, app: str, config: SyncConfig) -> None:
        """Create or change a biz. Durable, and in effect on living sessions, when it returns.

        Raises InvalidRequest, also when the app has BIZZES_MAX already.
        """
        check_sync_config(config)
        async with self._changes:
            if (app, config.biz) not in self._configs:
                self._check_room(app, 1)
            await self._keep(app, config)

    async def remove(self, app: str, biz: str) -> None:
        """Forget a biz: it refuses publishes; what is stored ends with its retention.

        Raises UnknownBiz.
        """
        async with self._changes:
            self.get(app, biz)
            await self._store.put_documents([Document(KIND, f"{app}/{biz}", None)])
            del self._configs[app, biz]
            self._tell(app, None)

    def _check_room(self, app: str, count: int) -> None:
        # A device's Hello must be able to list a sync point for each of its channels.
        if count and sum(owner == app for owner, _ in self._configs) + count > BIZZES_MAX:
            hint = f"at most {BIZZES_MAX}"
            raise InvalidRequest("the app has too many bizzes", field="biz", hint=hint)

    async def _keep(self, app: str, config: SyncConfig) -> None:
        value = msgspec.json.encode(config)
        await self._store.put_documents([Document(KIND, f"{app}/{config.biz}", value)])
        self._configs[app, config.biz] = config
        self._tell(app, config)

    def _tell(self, app: str, config: SyncConfig | None) -> None:
        for listener in self._listeners:
            listener(app, config)

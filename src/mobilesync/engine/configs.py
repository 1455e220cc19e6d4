"""The sync configs of all apps: what a biz's rules are, now.

Strategy: few and small, so all are held in memory; the store keeps them as documents. A change
is durable before it takes effect.
"""

from collections.abc import Callable

import msgspec

from mobilesync.domain.errors import UnknownBiz
from mobilesync.domain.names import check_biz
from mobilesync.domain.sync_config import SyncConfig, check_sync_config
from mobilesync.storage.contract import Store

KIND = "sync_config"
BIZZES_MAX = 1000
"""Per app: a device's Hello must be able to list a sync point for each of its channels."""


class SyncConfigs:
    """The rules of every biz."""

    def __init__(self, store: Store, *, create_on_first_use: bool = False) -> None:
        self._store = store
        self._create_on_first_use = create_on_first_use
        self._configs: dict[tuple[str, str], SyncConfig] = {}
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

    async def get_or_create(self, app: str, biz: str) -> SyncConfig:
        """As `get`, but in development mode an unknown biz comes into being with the defaults."""
        if (app, biz) not in self._configs and self._create_on_first_use:
            await self.put(app, SyncConfig(biz=check_biz(biz), description="created on first use"))
        return self.get(app, biz)

    def withheld(self, app: str, biz: str) -> bool:
        """Whether the biz's backlog must not be pushed now."""
        config = self._configs.get((app, biz))
        return config is not None and config.status == "offline"

    def list(self, app: str) -> list[SyncConfig]:
        """All of an app, by name."""
        mine = [config for (owner, _), config in self._configs.items() if owner == app]
        return sorted(mine, key=lambda config: config.biz)

    async def put(self, app: str, config: SyncConfig) -> None:
        """Create or change a biz. Durable, and in effect on living sessions, when it returns.

        Raises InvalidRequest, UnknownBiz when the app has BIZZES_MAX already.
        """
        check_sync_config(config)
        if (app, config.biz) not in self._configs and len(self.list(app)) >= BIZZES_MAX:
            raise UnknownBiz("the app has too many bizzes", hint=f"at most {BIZZES_MAX}")
        await self._store.put_document(KIND, f"{app}/{config.biz}", msgspec.json.encode(config))
        self._configs[app, config.biz] = config
        for listener in self._listeners:
            listener(app, config)

    async def remove(self, app: str, biz: str) -> None:
        """Forget a biz: it refuses publishes; what is stored ends with its retention.

        Raises UnknownBiz.
        """
        self.get(app, biz)
        await self._store.put_document(KIND, f"{app}/{biz}", None)
        del self._configs[app, biz]
        for listener in self._listeners:
            listener(app, None)

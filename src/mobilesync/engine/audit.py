"""Who did what: the operations of operators and businesses, kept for whoever asks later.

Strategy: an entry is a document of the kind `audit/<app>`, so it can be kept in one commit with the
change that it tells of: both, or neither. Its id is its time in microseconds, made unique, and its
key counts down, so that the newest comes first when the store is read. What concerns the whole
server and no app, such as API keys for all apps, is kept under the app "".

Not here: what happens to oplogs and devices by itself. The journal tells that.

Invariants:
- ids of an app grow, whatever the clock does;
- an app has at most `entries_max` entries and SLACK more: the oldest go first, and each goes when
  it is `age_s` old.

One `Audit` for one store: it knows the newest id and the number of entries.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import structlog
from msgspec import Meta, Struct

from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import InvalidRequest, OutcomeUnknown, Refused
from mobilesync.engine.options import AuditOptions
from mobilesync.engine.ticker import pause
from mobilesync.protocol.limits import ID_MAX
from mobilesync.storage.contract import Document, Store

log = structlog.get_logger(__name__)

SERVER = ""
"""In place of an app: what concerns the whole server."""
SLACK = 500
"""Entries over the bound before the oldest are removed, all at once."""
DETAILS_BYTES_MAX = 16 * 1024
"""Two descriptions of a biz, whatever their letters, and the other rules fit."""
_PAGE = 500

ACTIONS: dict[str, str] = {
    "biz_created": "a biz came into being: its rules that are not the default",
    "biz_changed": "rules of a biz were changed: each with what it was and is",
    "biz_removed": "a biz was removed: the rules that it had",
    "biz_online": "a biz was taken online",
    "biz_offline": "a biz was taken offline",
    "webhook_created": "a webhook was made: its name and rules",
    "webhook_changed": "a webhook was changed: each rule with what it was and is",
    "webhook_removed": "a webhook was removed: the rules that it had",
    "key_created": "an API key was made: its id, name, scopes and app",
    "key_revoked": "an API key was revoked: the same",
    "session_ended": "an operator ended the session of a device",
    "oplog_recalled": "an oplog was recalled: its channel and id",
    "oplog_offered": "an oplog was offered again to a device: its channel, id and the device",
    "device_replayed": "a device's sync point was put back: its channel, the device, and to where",
}
"""What is noted, and what the details of an entry tell."""

Details = Mapping[str, Any]


class AuditEntry(Struct, frozen=True, kw_only=True):
    """Somebody did something."""

    id: Annotated[int, Meta(description="its time in microseconds since 1970 UTC, made unique")]
    at_ms: int
    who: Annotated[
        str, Meta(description="`<name of the API key> (<its id>)`, or what acted without a key")
    ]
    action: str
    details: Annotated[dict[str, Any], Meta(description="what there is to tell, by action")]


class Audit:
    """The entries of all apps of one store."""

    def __init__(self, store: Store, clock: Clock, options: AuditOptions | None = None) -> None:
        self._store = store
        self._clock = clock
        self._options = options or AuditOptions()
        self._newest: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._turn = asyncio.Lock()

    async def note(self, app: str, who: str, action: str, details: Details) -> None:
        """Keep an entry. Durable when it returns.

        Raises Overloaded, StoreUnavailable, OutcomeUnknown.
        """
        await self._store.put_documents(await self.documents(app, who, [(action, details)]))

    async def documents(
        self, app: str, who: str, deeds: Sequence[tuple[str, Details]]
    ) -> list[Document]:
        """Entries for `deeds`, each an action with its details, as documents.

        The caller puts them into the store, in one commit with what they tell of.
        Raises StoreUnavailable, OutcomeUnknown.
        """
        if not deeds:
            return []
        async with self._turn:
            await self._make_room(app, len(deeds))
            made: list[Document] = []
            now_ms = self._clock.wall_ms()
            for action, details in deeds:
                assert action in ACTIONS, action
                entry_id = max(now_ms * 1000, self._newest[app] + 1)
                self._newest[app] = entry_id
                entry = AuditEntry(
                    id=entry_id, at_ms=now_ms, who=who, action=action, details=_bounded(details)
                )
                made.append(Document(_kind(app), _key(entry_id), msgspec.json.encode(entry)))
            self._counts[app] += len(made)
        return made

    async def read(
        self,
        app: str,
        *,
        after: int = 0,
        before: int | None = None,
        action: str = "",
        limit: int = 100,
    ) -> list[AuditEntry]:
        """Entries with ids above `after` and below `before`, newest first; at most `limit`.

        Raises InvalidRequest for an action that there is none of, StoreUnavailable.
        """
        if action and action not in ACTIONS:
            raise InvalidRequest("not an action", field="action", hint=", ".join(ACTIONS))
        found: list[AuditEntry] = []
        begin, end = "" if before is None else _key(before - 1), _key(after)
        while len(found) < limit and begin < end:
            page = await self._store.documents(_kind(app), begin, end, _PAGE)
            for value in page.values():
                entry = msgspec.json.decode(value, type=AuditEntry)
                if not action or entry.action == action:
                    found.append(entry)
            if len(page) < _PAGE:
                break
            begin = _next(page)
            await pause(0)
        return found[:limit]

    async def prune(self, apps: Iterable[str]) -> None:
        """Forget what is too old, of `apps` and of the server."""
        cutoff = (self._clock.wall_ms() - self._options.age_s * 1000) * 1000
        try:
            for app in (SERVER, *apps):
                async with self._turn:
                    removed = await self._remove(app, _key(max(0, cutoff)))
                    if app in self._counts:
                        self._counts[app] = max(0, self._counts[app] - removed)
        except (Refused, OutcomeUnknown) as refusal:
            log.warning("audit_prune_refused", reason=refusal.hint)

    async def _make_room(self, app: str, count: int) -> None:
        """Know the app's newest id and its number of entries, and have room for `count` more."""
        entries_max = self._options.entries_max
        if app not in self._counts:
            newest = await self._store.documents(_kind(app), count_max=1)
            self._newest[app] = max((ID_MAX - int(key) for key in newest), default=0)
        elif self._counts[app] + count <= entries_max + SLACK:
            return
        kept, begin = 0, ""
        while kept < entries_max:
            size = min(_PAGE, entries_max - kept)
            page = await self._store.documents(_kind(app), begin, "", size)
            kept += len(page)
            if len(page) < size:
                break
            begin = _next(page)
            await pause(0)
        else:
            await self._remove(app, begin)
        # Only now: a walk that was cut short leaves the app to be walked again.
        self._counts[app] = kept

    async def _remove(self, app: str, begin: str) -> int:
        """Forget all entries from the key `begin` on; answers how many."""
        removed = 0
        while page := await self._store.documents(_kind(app), begin, "", _PAGE):
            await self._store.put_documents([Document(_kind(app), key, None) for key in page])
            removed += len(page)
            await pause(0)
        return removed


def _kind(app: str) -> str:
    return f"audit/{app}"


def _key(entry_id: int) -> str:
    """Keys of newer entries come first."""
    return f"{ID_MAX - entry_id:016d}"


def _next(page: Mapping[str, bytes]) -> str:
    """Where to read on after a page."""
    return f"{int(max(page)) + 1:016d}"


def _bounded(details: Details) -> dict[str, Any]:
    size = len(msgspec.json.encode(details))
    return dict(details) if size <= DETAILS_BYTES_MAX else {"left_out_bytes": size}

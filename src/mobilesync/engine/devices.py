"""The devices that have ever connected: who they are, on which users, since when on- or offline.

Strategy: one small document for each device, written when a session opens and when it ends, and one
for each (user, device) pair. The writes ride along in the next commit: a server that dies loses the
last tenth of a second of them, and the next login says them again. But what a device *is* must be
on the disk before anything is judged by it, or nobody could tell later what it was refused.
Nothing is held in memory.

Not here: sync points (the store's), living sessions (sessions.py).
"""

from msgspec import Struct, field, json

from mobilesync.domain.conditions import Attributes
from mobilesync.storage.contract import Document, Store

KIND = "device"
USER_KIND = "user_device"
_END = "\0"
_AFTER = "\x01"


class KnownDevice(Struct, frozen=True, kw_only=True):
    """What is known of one device."""

    device: str
    user: str = ""
    """Who was logged in last; empty for nobody."""
    os: str = ""
    app_version: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    sdk: str = ""
    first_seen_ms: int = 0
    online_since_ms: int = 0
    """When its last session opened."""
    offline_since_ms: int = 0
    """When that session ended; 0 while it lives, or when the server died with it."""
    owes_offers: bool = False
    """Whether it has changed, and was not offered yet what it could not get before."""

    @property
    def conditions_see(self) -> Attributes:
        """What conditions are judged by."""
        return Attributes(self.os, self.app_version, self.attributes)


_decode = json.Decoder(KnownDevice).decode


class Devices:
    """What the store knows of devices."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, app: str, device: str) -> KnownDevice | None:
        """The device, or None when it has never connected. Raises StoreUnavailable."""
        found = await self._store.document(KIND, _key(app, device))
        return None if found is None else _decode(found)

    async def page(self, app: str, after: str, count_max: int) -> list[KnownDevice]:
        """Up to `count_max` devices of `app` whose id is above `after`, by id."""
        begin = _key(app, after) + _END if after else app + _END
        found = await self._store.documents(KIND, begin, app + _AFTER, count_max)
        return [_decode(value) for value in found.values()]

    async def of_user(self, app: str, user: str, count_max: int, after: str = "") -> list[str]:
        """The ids of up to `count_max` devices on which `user` has been logged in, above `after`,
        in their order."""
        pairs = f"{app}{_END}{user}"
        begin = f"{pairs}{_END}{after}{_END}" if after else pairs + _END
        found = await self._store.documents(USER_KIND, begin, pairs + _AFTER, count_max)
        return [key.rpartition(_END)[2] for key in found]

    async def put(self, app: str, known: KnownDevice) -> None:
        """Remember `known`, whose user may be another than before. Durable when it returns, and
        with it what was advanced and noted before. Raises Refused, OutcomeUnknown."""
        documents = [Document(KIND, _key(app, known.device), json.encode(known))]
        if known.user:
            pair = f"{app}{_END}{known.user}{_END}{known.device}"
            documents.append(Document(USER_KIND, pair, b""))
        await self._store.put_documents(documents)

    def note(self, app: str, known: KnownDevice) -> None:
        """Remember `known`, whose user was put before. Rides along in the next commit."""
        document = Document(KIND, _key(app, known.device), json.encode(known))
        self._store.note_documents([document])


def _key(app: str, device: str) -> str:
    return f"{app}{_END}{device}"

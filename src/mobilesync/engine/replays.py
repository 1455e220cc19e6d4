"""Replays: an operator puts one device's sync point in a channel back.

Strategy: an ack may cross a Reset on a living link, so a replay is kept durably and carried out
inside Welcome, where nothing can cross: a living session is ended with RESUME, and the device comes
back at once. It is done when the device acks from there, or comes with a sync point below the one
it had; until then each Welcome says it again.

All of them are in memory too: there are few, and each login asks.
"""

from msgspec import Struct, json

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import Overloaded
from mobilesync.storage.contract import Document, Store

KIND = "replay"
WAITING_MAX = 10_000


class Replay(Struct, frozen=True):
    """The device's sync point is to be at `floor`."""

    channel: Channel
    device: str
    floor: int
    received_before: int
    """The device's sync point when the operator asked."""
    asked_at_ms: int


class Replays:
    """The replays that are not carried out yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[tuple[str, str], dict[Channel, Replay]] = {}

    def __len__(self) -> int:
        return sum(len(each) for each in self._waiting.values())

    async def load(self) -> None:
        """Read all from the store. Call before anything else."""
        for value in (await self._store.documents(KIND)).values():
            replay = json.decode(value, type=Replay)
            self._of(replay)[replay.channel] = replay

    async def put(self, replay: Replay) -> None:
        """Have `replay` carried out when the device logs in next; a later one of its channel takes
        its place. Durable when it returns. Raises Overloaded, StoreUnavailable, OutcomeUnknown."""
        if len(self) >= WAITING_MAX:
            raise Overloaded("too many replays wait", hint=f"at most {WAITING_MAX}")
        value = json.encode(replay)
        await self._store.put_documents([Document(KIND, _key(replay), value)])
        self._of(replay)[replay.channel] = replay

    def of_device(self, app: str, device: str) -> dict[Channel, Replay]:
        """What waits for the device, by channel."""
        return self._waiting.get((app, device), {})

    def done(self, channel: Channel, device: str) -> None:
        """The device has followed."""
        owner = (channel.app, device)
        waiting = self._waiting.get(owner)
        replay = waiting.pop(channel, None) if waiting is not None else None
        if not waiting:
            self._waiting.pop(owner, None)
        if replay is not None:
            self._store.note_documents([Document(KIND, _key(replay), None)])

    def _of(self, replay: Replay) -> dict[Channel, Replay]:
        return self._waiting.setdefault((replay.channel.app, replay.device), {})


def _key(replay: Replay) -> str:
    return "\0".join((*replay.channel, replay.device))

"""What the storage tests append and ask for, with defaults for the rest."""

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.oplog import Details, Draft, Withdrawal, WithdrawalReason
from mobilesync.domain.sync_point import Advance
from mobilesync.storage.contract import Store

CHAT = Channel("shop", "CHAT", "user:ada")
NEWS = Channel("shop", "NEWS", "everyone")
FAR_MS = 10**12
BIG = 1 << 30


def draft(
    message_id: str,
    channel: Channel = CHAT,
    *,
    payload: bytes = b"payload",
    expires_at_ms: int = FAR_MS,
    by_retention: bool = True,
    conditions: Conditions | None = None,
    key: str = "",
) -> Draft:
    details = Details(key) if key else None
    return Draft(
        channel, payload, message_id, 1000, expires_at_ms, by_retention, conditions, details
    )


def withdrawal(
    message_id: str,
    *ids: tuple[int, int],
    reason: WithdrawalReason = WithdrawalReason.RECALLED,
    channel: Channel = CHAT,
    by: str = "",
) -> Draft:
    """A draft that withdraws the ids from each first one to its last one."""
    details = Details(withdraws=Withdrawal(ids, reason, by))
    return Draft(channel, b"", message_id, 1000, FAR_MS, details=details)


def drafts(count: int, channel: Channel = CHAT, *, begin: int = 1, size: int = 10) -> list[Draft]:
    """Drafts with message ids m<begin> … and payloads of `size` bytes."""
    return [
        draft(f"m{number}", channel, payload=bytes([number % 251]) * size)
        for number in range(begin, begin + count)
    ]


def step(
    epoch: int,
    received: int,
    processed: int = 0,
    *,
    channel: Channel = CHAT,
    device: str = "phone",
    at_ms: int = 5,
    before: int = 0,
) -> Advance:
    """An advance; with `before`, the step of the journal that it becomes."""
    return Advance(channel, device, epoch, received, processed, at_ms, before=before)


async def ids(store: Store, channel: Channel = CHAT, after: int = 0) -> list[int]:
    """The ids that `channel` shows."""
    return [oplog.id for oplog in (await store.read(channel, after, 1000, BIG)).oplogs]


async def last(store: Store, channel: Channel = CHAT) -> int:
    """The last id of `channel`; 0 for none."""
    head = (await store.heads(channel.app, [channel.target])).get(channel)
    return head.last if head else 0

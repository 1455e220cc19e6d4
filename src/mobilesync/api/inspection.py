"""Look inside: channels, their oplogs, and the journal of how sync points moved.

Strategy: each answer is one bounded read of the store, in pages where there may be more.

Not here: devices and users (devices.py), what the journal proves (proof.py).
"""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from mobilesync.api.operations import Desk, Operation, Request, check_channel
from mobilesync.api.oplogs import StoredOplog, stored, weight
from mobilesync.domain.channel import Channel, parse_target
from mobilesync.domain.errors import TooLarge
from mobilesync.domain.reasons import Reason
from mobilesync.domain.sync_point import Advance
from mobilesync.protocol.limits import ID_MAX

LIMIT_MAX = 1000
PAGE_BYTES_MAX = 1024 * 1024
CHANNELS_MAX = 5000
SKIPS_MAX = 10_000
"""Of one page of a journal: a step may have passed over many ranges of ids."""

After = Annotated[int, Meta(ge=0, le=ID_MAX, description="only above this oplog id")]
Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX)]


class TargetQuery(Struct, forbid_unknown_fields=True):
    """Whose channels."""

    target: Annotated[str, Meta(description="`user:<id>`, `device:<id>` or `everyone`")]


class PageQuery(Struct, forbid_unknown_fields=True):
    """A part of one channel."""

    biz: str
    target: str
    after: After = 0
    limit: Limit = 100


class ChannelHead(Struct):
    """How far a channel goes."""

    biz: str
    target: str
    last: Annotated[int, Meta(description="the highest oplog id given")]
    floor: Annotated[int, Meta(description="all up to this one may have ended by retention")]
    epoch: int


class Channels(Struct):
    """The channels of a target, by biz."""

    channels: list[ChannelHead]


class OplogPage(Struct):
    """Oplogs in ascending order."""

    oplogs: list[StoredOplog]
    upto: Annotated[int, Meta(description="complete up to this id; ask on with after=upto")]
    last: Annotated[int, Meta(description="the channel's last id: the end when upto reaches it")]


class PassedOver(Struct):
    """Ids that a sync point moved over without the device getting them."""

    first: int
    last: int
    reason: Annotated[str, Meta(description="one of those in reference/rules.md")]


class JournalStep(Struct, omit_defaults=True):
    """A sync point moved, at that time: everything up to the ids was received, and processed."""

    epoch: int
    received: int
    processed: int
    at_ms: int
    sent: Annotated[int, Meta(description="pushed, and not acked when the session ended")] = 0
    lap: Annotated[int, Meta(description="how often the point had been put back")] = 0
    passed_over: list[PassedOver] = []


class Journal(Struct):
    """Steps of one device's sync point in one channel, oldest first."""

    steps: list[JournalStep]


async def list_channels(desk: Desk, request: Request[None, TargetQuery]) -> Channels:
    """The heads of all channels of a target."""
    target = parse_target(request.query.target)
    heads = await desk.service.store.heads(request.app, [target])
    if len(heads) > CHANNELS_MAX:
        raise TooLarge("too many channels to list", field="target")
    rows = [
        ChannelHead(channel.biz, channel.target, head.last, head.floor, head.epoch)
        for channel, head in sorted(heads.items())
    ]
    return Channels(rows)


async def read_oplogs(desk: Desk, request: Request[None, PageQuery]) -> OplogPage:
    """One page of a channel."""
    query = request.query
    check_channel(query.biz, query.target)
    channel = Channel(request.app, query.biz, query.target)
    store = desk.service.store
    page = await store.read(channel, query.after, query.limit, PAGE_BYTES_MAX)
    head = (await store.heads(request.app, [query.target])).get(channel)
    # The head was read last, so it is not below the page; only an `after` past the end is.
    last = head.last if head else 0
    fitting = _fitting(page.oplogs, weight, PAGE_BYTES_MAX)
    upto = page.upto if len(fitting) == len(page.oplogs) else fitting[-1].id
    return OplogPage([stored(oplog) for oplog in fitting], min(upto, last), last)


async def read_journal(desk: Desk, request: Request[None, PageQuery]) -> Journal:
    """The proof of delivery, step by step."""
    query = request.query
    check_channel(query.biz, query.target)
    channel = Channel(request.app, query.biz, query.target)
    device = request.path["device"]
    steps = await desk.service.store.journal(channel, device, query.after, query.limit)
    return Journal(
        [_step(step) for step in _fitting(steps, lambda step: len(step.skips), SKIPS_MAX)]
    )


_Item = TypeVar("_Item")


def _fitting(
    items: Sequence[_Item], weigh: Callable[[_Item], int], weight_max: int
) -> Sequence[_Item]:
    """As many of `items` as an answer has room for; at least one, if there is one."""
    total = 0
    for count, item in enumerate(items):
        total += weigh(item)
        if count and total > weight_max:
            return items[:count]
    return items


def _step(step: Advance) -> JournalStep:
    skips = [PassedOver(each.first, each.last, Reason(each.reason).name) for each in step.skips]
    return JournalStep(
        step.epoch, step.received, step.processed, step.at_ms, step.sent, step.lap, skips
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/apps/{app}/channels",
        "list_channels",
        "List the channels of a target, with their heads",
        list_channels,
        answer=Channels,
        scope="inspect",
        query=TargetQuery,
        errors=("TOO_LARGE",),
    ),
    Operation(
        "GET",
        "/v1/apps/{app}/oplogs",
        "read_oplogs",
        "Read the oplogs of a channel, page by page",
        read_oplogs,
        answer=OplogPage,
        scope="inspect",
        query=PageQuery,
        description="A page ends early after 1 MiB of content; go on with `after=upto`.",
    ),
    Operation(
        "GET",
        "/v1/apps/{app}/devices/{device}/journal",
        "read_journal",
        "Read how a device's sync point in a channel moved, and when",
        read_journal,
        answer=Journal,
        scope="inspect",
        query=PageQuery,
        description="The proof of delivery: `after` leaves out steps up to that received id.",
    ),
)

"""The events that wait for one webhook: a durable queue, of documents.

Strategy: an event is a document whose key is its *place*, a number that only grows, so that the
queue is read in order, from the first place on. Nothing but a few numbers is in memory. Everything
is noted, not waited for: events become durable with the commit that makes the facts durable that
they tell of, and what a crash takes of both is found, and told, again. Deliveries that a crash
takes are made again.

What is *under way* cannot be changed any more: it is withdrawn later, if its delivery fails.

Not here: which events (outbox.py), sending them (delivery.py).

Invariants:
- no place is given twice: whatever deletes an event notes the next place, in the same commit;
- of one coalescing key at most one event waits that is not under way;
- events beyond the bound are counted, and one event says how many, as soon as there is room.
"""

import sys

import msgspec
from msgspec import Raw, Struct

from mobilesync.domain.clock import Clock
from mobilesync.engine.events import GAP, Event, make_id
from mobilesync.engine.metrics import Metrics
from mobilesync.storage.contract import Document, Store

STATE_KIND = "outbox_state"
PAGE = 1000
"""Documents in one read or one deletion of many."""
_PLACE_DIGITS = 16
_ALL = sys.maxsize
FAILURE_CHARS_MAX = 200


class Waiting(Struct, frozen=True, array_like=True):
    """One event as it is stored."""

    coalesce: str
    at_ms: int
    count: int
    """How many events are lost with it; more than one for a gap."""
    event: Raw


class QueueState(Struct):
    """What is durable of a queue besides its events."""

    next: int = 1
    """The next place. Durable only as far as events were deleted."""
    lost: int = 0
    """Events that nobody has been told of yet."""
    failures: int = 0
    """Deliveries that failed since the last that did not."""
    last_status: int = 0
    """The answer to the last delivery; 0 for none."""
    last_failure: str = ""
    last_try_ms: int = 0


class Batch(Struct, frozen=True):
    """Events under way, with their places, in order."""

    events: list[tuple[int, Waiting]]


def encode_waiting(event: Event, coalesce: str, count: int = 1) -> bytes:
    """`event` as it is stored, the same for every webhook."""
    raw = Raw(msgspec.json.encode(event))
    return msgspec.json.encode(Waiting(coalesce, event.at_ms, count, raw))


class EventQueue:
    """What waits for the webhook `name` of `app`."""

    def __init__(
        self, store: Store, app: str, name: str, *, queue_max: int, clock: Clock, metrics: Metrics
    ) -> None:
        self.app = app
        self.name = name
        self.state = QueueState()
        self.length = 0
        self.is_online = False
        """Whether it takes events, and gives them away."""
        self.busy = False
        """Whether delivery.py has it in hand."""
        self.due_s = 0.0
        """Not to be delivered before."""
        self.is_slow = False
        """Whether the last answer took long."""
        self.tries = 0
        """Since this process began."""
        self._store = store
        self._kind = f"outbox/{app}/{name}"
        self._queue_max = queue_max
        self._clock = clock
        self._metrics = metrics
        self._first = 1
        """Nothing waits below this place."""
        self._places: dict[str, int] = {}
        """Where the event of a coalescing key waits."""
        self._under_way = 0
        """Events below this place are under way; 0 when none is."""
        self._withdrawn: dict[int, None] = {}
        """Of those under way: what must not be sent again."""
        self._cleared = False

    async def load(self) -> None:
        """Find what waits. Call before anything else."""
        states = await self._store.documents(STATE_KIND, self._state_key, count_max=1)
        if self._state_key in states:
            self.state = msgspec.json.decode(states[self._state_key], type=QueueState)
        self._first = 0
        replaced: list[int] = []
        begin = ""
        while page := await self._store.documents(self._kind, begin, count_max=PAGE):
            place = 0
            for key, value in page.items():
                place = int(key)
                self._first = self._first or place
                coalesce = msgspec.json.decode(value, type=Waiting).coalesce
                if coalesce in self._places:
                    # It was under way at the end, and the later one is in its place.
                    replaced.append(self._places[coalesce])
                if coalesce:
                    self._places[coalesce] = place
            self.length += len(page)
            self.state.next = max(self.state.next, place + 1)
            begin = _key(place + 1)
        self._first = self._first or self.state.next
        self._forget(replaced)
        self._tell_gap()

    def add(self, value: bytes, coalesce: str) -> bool:
        """Have an event wait, in place of the one of the same coalescing key if that waits still.
        False when there is no room: it is lost, and counted."""
        place = self._place_of(coalesce)
        if place is not None and place >= self._under_way:
            self._note(Document(self._kind, _key(place), value))
            return True
        if self.length >= self._queue_max:
            self.state.lost += 1
            self._metrics.webhook_events_lost += 1
            self._note(self._state_document())
            return False
        if place is not None:
            self._withdrawn[place] = None
        self._append(value, coalesce)
        return True

    def cancel(self, coalesce: str) -> None:
        """Have the event of this coalescing key not sent, or if it is under way not again."""
        place = self._place_of(coalesce)
        if place is None:
            return
        del self._places[coalesce]
        if place < self._under_way:
            self._withdrawn[place] = None
            return
        self._forget([place])
        self._tell_gap()

    async def take(self, count_max: int, bytes_max: int) -> Batch:
        """The first events, which are under way from now on: say what became of them.

        Raises StoreUnavailable.
        """
        assert not self._under_way, "one delivery at a time"
        # While the store is read nobody knows which they will be.
        self._under_way = _ALL
        next_place = self.state.next
        events: list[tuple[int, Waiting]] = []
        try:
            found = await self._store.documents(self._kind, _key(self._first), count_max=count_max)
            if len(found) < count_max and self.state.next == next_place:
                # What the store had no room for was counted, but never kept.
                self.length = len(found)
            size = 0
            for key, value in found.items():
                waiting = msgspec.json.decode(value, type=Waiting)
                size += len(value)
                if events and size > bytes_max:
                    break
                events.append((int(key), waiting))
        finally:
            events = [each for each in events if each[0] not in self._withdrawn]
            self.release()
        self._under_way = events[-1][0] + 1 if events else 0
        return Batch(events)

    def release(self) -> None:
        """Nothing is under way any more, and nobody knows what became of it."""
        self._under_way = 0
        self._forget(list(self._withdrawn))
        self._withdrawn.clear()

    def delivered(self, batch: Batch, status: int) -> None:
        """The receiver has them."""
        self._under_way = 0
        self._withdrawn.clear()
        self._first = batch.events[-1][0] + 1
        self._note_try(status, "")
        self._metrics.webhook_events_delivered += len(batch.events)
        self._drop(batch.events)
        self._tell_gap()

    def failed(self, batch: Batch, status: int, failure: str, before_ms: int) -> None:
        """The receiver may not have them: they wait on, but for those from before `before_ms`."""
        self._note_try(status, failure)
        kept = [each for each in batch.events if each[0] not in self._withdrawn]
        self.release()
        given_up = [each for each in kept if each[1].at_ms < before_ms]
        count = sum(waiting.count for _, waiting in given_up)
        self.state.lost += count
        self._metrics.webhook_events_expired += count
        self._drop(given_up)
        self._tell_gap()

    async def clear(self) -> bool:
        """Note the deletion of some of what waits; whether there may be more. From then on nothing
        is noted until `reopen`."""
        self._cleared = True
        self.length = 0
        self._places.clear()
        found = await self._store.documents(self._kind, count_max=PAGE)
        deleted = [Document(self._kind, key, None) for key in found]
        self._store.note_documents(deleted or [Document(STATE_KIND, self._state_key, None)])
        return bool(found)

    def reopen(self) -> None:
        """Take events again, after a `clear` that was not the end."""
        self._cleared = False

    async def oldest_ms(self) -> int | None:
        """When the first event that waits happened."""
        found = await self._store.documents(self._kind, _key(self._first), count_max=1)
        for value in found.values():
            return msgspec.json.decode(value, type=Waiting).at_ms
        return None

    @property
    def _state_key(self) -> str:
        return f"{self.app}/{self.name}"

    def _state_document(self) -> Document:
        return Document(STATE_KIND, self._state_key, msgspec.json.encode(self.state))

    def _place_of(self, coalesce: str) -> int | None:
        """Where the event of a coalescing key waits, if there is one."""
        place = self._places.get(coalesce) if coalesce else None
        # Below the first is what the store had no room for: noted, but never kept.
        return None if place is None or place < self._first else place

    def _append(self, value: bytes, coalesce: str) -> None:
        place = self.state.next
        self.state.next += 1
        self.length += 1
        if coalesce:
            self._places[coalesce] = place
        self._metrics.webhook_events += 1
        self._note(Document(self._kind, _key(place), value))

    def _drop(self, events: list[tuple[int, Waiting]]) -> None:
        for place, waiting in events:
            if self._places.get(waiting.coalesce) == place:
                del self._places[waiting.coalesce]
        self._forget([place for place, _ in events])

    def _forget(self, places: list[int]) -> None:
        if places:
            self.length = max(0, self.length - len(places))
            deleted = [Document(self._kind, _key(place), None) for place in places]
            self._note(*deleted, self._state_document())

    def _tell_gap(self) -> None:
        lost = self.state.lost
        if not lost or self.length >= self._queue_max:
            return
        now_ms = self._clock.wall_ms()
        gap = Event(
            id=make_id(GAP, self.app, self.name, self.state.next, now_ms),
            type=GAP,
            app=self.app,
            at_ms=now_ms,
            data={"webhook": self.name, "lost": lost},
        )
        self.state.lost = 0
        self._append(encode_waiting(gap, "", lost), "")
        self._note(self._state_document())

    def _note_try(self, status: int, failure: str) -> None:
        state = self.state
        state.failures = state.failures + 1 if failure else 0
        state.last_status = status
        state.last_failure = failure[:FAILURE_CHARS_MAX]
        state.last_try_ms = self._clock.wall_ms()
        self._note(self._state_document())

    def _note(self, *documents: Document) -> None:
        if not self._cleared:
            self._store.note_documents(documents)


def _key(place: int) -> str:
    return f"{place:0{_PLACE_DIGITS}d}"

"""What rides along in the next commit of a memory store: sync points, their steps, and notes.

Strategy: all of it is shown at once, and put on the disk by the next commit, whatever that is for.
While a commit is in flight, what comes rides in the one after it. A document that is put overtakes
the note of it that waits; until that commit lands, the note is shown all the same.

Not here: when a commit begins (memory.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mobilesync.domain.channel import Channel
from mobilesync.domain.sync_point import Advance, SyncPoint, advanced, is_step, step_to
from mobilesync.storage.contract import Document
from mobilesync.storage.disk import Disk, Owner, Place, select


@dataclass
class _Load:
    moved: dict[tuple[Owner, Channel], SyncPoint] = field(default_factory=dict)
    steps: list[Advance] = field(default_factory=list)
    notes: dict[Place, bytes | None] = field(default_factory=dict)
    overtaken: dict[Place, bytes | None] = field(default_factory=dict)
    """Notes that the commit does not write, since it puts newer values: only shown until then."""


class Riders:
    """What waits for a commit to ride along in, and what rides in the one in flight."""

    def __init__(self, disk: Disk, waiting_max: int) -> None:
        """At most `waiting_max` points, steps and notes each; those beyond it are dropped."""
        self._disk = disk
        self._waiting_max = waiting_max
        self._eras = {epoch: era for era, epoch in enumerate(disk.lineage)}
        self._points: dict[Owner, dict[Channel, SyncPoint]] = {}
        """What is shown of each owner that was asked for."""
        self._waiting = _Load()
        self._boarded = _Load()

    def __bool__(self) -> bool:
        """Whether anything waits for a commit."""
        return bool(self._waiting.moved or self._waiting.notes)

    def advance(self, advances: Iterable[Advance]) -> None:
        """See `Store.advance`."""
        waiting = self._waiting
        for advance in advances:
            if max(len(waiting.steps), len(waiting.moved)) >= self._waiting_max:
                return
            owner = (advance.channel.app, advance.device)
            points = self._of(owner)
            old = points.get(advance.channel)
            point = advanced(old, advance, self._eras)
            if point is None:
                continue
            points[advance.channel] = waiting.moved[owner, advance.channel] = point
            if is_step(old, point):
                waiting.steps.append(step_to(old, point, advance))

    def points(self, owner: Owner) -> dict[Channel, SyncPoint]:
        """All sync points of `owner`, with those that wait."""
        return dict(self._of(owner))

    def note(self, documents: Iterable[Document]) -> None:
        """See `Store.note_documents`."""
        notes = self._waiting.notes
        for each in documents:
            place = (each.kind, each.key)
            if place in notes or len(notes) < self._waiting_max:
                notes[place] = each.value

    def overtake(self, documents: Iterable[Document]) -> None:
        """The next commit puts `documents`, which are newer than any note that waits."""
        waiting = self._waiting
        for each in documents:
            place = (each.kind, each.key)
            if place in waiting.notes:
                waiting.overtaken[place] = waiting.notes.pop(place)

    def document(self, place: Place) -> bytes | None:
        """See `Store.document`."""
        for load in (self._waiting, self._boarded):
            for shown in (load.notes, load.overtaken):
                if place in shown:
                    return shown[place]
        return self._disk.documents.get(place)

    def documents(self, kind: str, begin: str, end: str, count_max: int) -> dict[str, bytes]:
        """See `Store.documents`."""
        shown: dict[Place, bytes | None] = {**self._disk.documents}
        for load in (self._boarded, self._waiting):
            shown.update(load.overtaken)
            shown.update(load.notes)
        return select(shown, kind, begin, end, count_max)

    def board(self) -> None:
        """A commit begins: what waits rides in it."""
        self._boarded, self._waiting = self._waiting, _Load()

    def land(self) -> None:
        """The commit is durable, and what it was for is on the disk."""
        disk, load = self._disk, self._boarded
        for (owner, channel), point in load.moved.items():
            disk.points.setdefault(owner, {})[channel] = point
        for step in load.steps:
            disk.step(step)
        for (kind, key), value in load.notes.items():
            disk.keep(Document(kind, key, value))
        self._boarded = _Load()

    def forget(self) -> None:
        """The store has failed: nothing more will be written."""
        self._boarded, self._waiting = _Load(), _Load()

    def _of(self, owner: Owner) -> dict[Channel, SyncPoint]:
        if owner not in self._points:
            self._points[owner] = dict(self._disk.points.get(owner, {}))
        return self._points[owner]

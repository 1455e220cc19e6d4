"""What a cut leaves behind: the image of the platters.

Strategy: start from what is durable and, if asked, let some of what was pending survive, since a
kernel writes back when it likes. The disk itself is not changed, so one may look at many cuts of
one moment. `none`: nothing more than was synced. `all`: everything. `prefix`: everything up to a
random moment, the last write torn at a page. `subset`: the names up to a random moment (journals
are ordered), and of every file each page in the state after any of its pending writes: pages are
written in any order, each whole. A page is never a mix of states that it never had.

Not here: pages torn inside; a lost truncation followed by a surviving write, which journals forbid.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from tests.crash.powercut.disk import ROOT, Disk
from tests.crash.powercut.journal import Naming
from tests.crash.powercut.node import PAGE_BYTES, Node, Truncate, Write

Survive = Literal["none", "all", "prefix", "subset"]


@dataclass(slots=True)
class Image:
    """A directory (`entries` set) or a file (`contents` set); hard links share the object."""

    mode: int
    contents: bytes | None = None
    entries: dict[bytes, "Image"] = field(default_factory=dict)

    def files(self, prefix: bytes = b"") -> dict[bytes, bytes]:
        """Every file below, path to contents: what tests compare."""
        found: dict[bytes, bytes] = {}
        for name, child in self.entries.items():
            if child.contents is None:
                found |= child.files(prefix + name + b"/")
            else:
                found[prefix + name] = child.contents
        return found


def image_of(disk: Disk, survive: Survive = "none", chance: random.Random | None = None) -> Image:
    """What the platters would hold were the power cut now; `chance` decides what is random."""
    chance = chance or random.Random(0)
    orders = [naming.order for naming in disk.journal.pending]
    orders += [change.order for node in disk.nodes.values() for change in node.pending]
    moment = chance.randint(min(orders) - 1, max(orders)) if orders else 0
    if survive == "none":
        names: list[Naming] = []
    elif survive == "all":
        names = disk.journal.pending
    else:
        names = _surviving_names(disk, moment, chance)
    entries = {ino: dict(n.durable_entries) for ino, n in disk.nodes.items() if n.is_dir}
    for naming in names:
        for parent, name, ino in naming.entries:
            if ino is None:
                entries[parent].pop(name, None)
            else:
                entries[parent][name] = ino
    contents: dict[int, bytes] = {}
    for node in disk.nodes.values():
        if not node.is_dir:
            contents[node.ino] = _surviving_contents(node, survive, moment, chance)
    return _tree(disk, entries, contents)


def _surviving_names(disk: Disk, moment: int, chance: random.Random) -> list[Naming]:
    if disk.model == "journal":
        return [naming for naming in disk.journal.pending if naming.order <= moment]
    # Without a common journal every directory is written back at a moment of its own.
    newest = disk.journal.pending[-1].order if disk.journal.pending else 0
    moments = {ino: chance.randint(0, newest) for ino, node in disk.nodes.items() if node.is_dir}
    return [
        Naming(naming.order, (entry,), naming.touches)
        for naming in disk.journal.pending
        for entry in naming.entries
        if naming.order <= moments[entry[0]]
    ]


def _surviving_contents(node: Node, survive: Survive, moment: int, chance: random.Random) -> bytes:
    if survive == "none" or not node.pending:
        return bytes(node.durable)
    contents = bytearray(node.durable)
    if survive == "subset":
        _apply_pages(node, contents, chance)
        return bytes(contents)
    for change in node.pending:
        if survive == "all" or change.order < moment:
            change.apply(contents)
        elif change.order == moment:
            pieces = change.pages() if isinstance(change, Write) else [change]
            for piece in pieces[: chance.randint(0, len(pieces))]:
                piece.apply(contents)
    return bytes(contents)


def _apply_pages(node: Node, contents: bytearray, chance: random.Random) -> None:
    """Bring each page to the state after a random number of the writes that touched it."""
    pending = node.pending
    truncations = [i for i, change in enumerate(pending) if isinstance(change, Truncate)]
    for i in truncations:
        if chance.random() < 0.5:
            pending = pending[:i]
            break
    pieces = [
        piece
        for change in pending
        for piece in (change.pages() if isinstance(change, Write) else [change])
    ]
    written = Counter(piece.at // PAGE_BYTES for piece in pieces if isinstance(piece, Write))
    kept = {page: chance.randint(0, count) for page, count in written.items()}
    seen: Counter[int] = Counter()
    for piece in pieces:
        if isinstance(piece, Write):
            page = piece.at // PAGE_BYTES
            seen[page] += 1
            if seen[page] > kept[page]:
                continue
        piece.apply(contents)


def _tree(disk: Disk, entries: dict[int, dict[bytes, int]], contents: dict[int, bytes]) -> Image:
    """Walk from the root. What it does not reach is lost, and no directory is entered twice."""
    made: dict[int, Image] = {}

    def build(ino: int) -> Image:
        mode = disk.nodes[ino].attributes.mode
        image = made[ino] = Image(mode, contents.get(ino))
        for name, child in sorted(entries.get(ino, {}).items()):
            if child not in made:
                image.entries[name] = build(child)
            elif made[child].contents is not None:
                image.entries[name] = made[child]
        return image

    return build(ROOT)

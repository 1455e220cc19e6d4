"""The disk against a naive model that keeps a whole copy of every state that names ever had.

The naive one knows paths and copies only: no journal of changes, no replay of writes. After every
step both must show the same files, and the same files must be left after a cut.
"""

import stat

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.crash.powercut.disk import ROOT, Disk, Model
from tests.crash.powercut.survival import image_of

FOLDERS = (b"", b"x", b"y")
NAMES = (b"a", b"b", b"c")
PATHS = tuple((folder, name) for folder in FOLDERS for name in NAMES)
Path = tuple[bytes, bytes]
Names = dict[Path, int]

paths = st.sampled_from(PATHS)


class Naive:
    """Files by number. `moments` are all states of names since the last commit, oldest first."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.names: Names = {}
        self.durable_names: Names = {}
        self.moments: list[tuple[Names, set[int | bytes]]] = []
        self.contents: dict[int, bytes] = {}
        self.durable_contents: dict[int, bytes] = {}

    def named(self, *touched: int | bytes) -> None:
        self.moments.append((dict(self.names), set(touched)))

    def sync(self, what: int | bytes) -> None:
        if isinstance(what, int):
            self.durable_contents[what] = self.contents[what]
        if self.model == "strict":
            if isinstance(what, bytes):
                kept = {path: f for path, f in self.durable_names.items() if path[0] != what}
                self.durable_names = kept | {p: f for p, f in self.names.items() if p[0] == what}
            return
        for i in reversed(range(len(self.moments))):
            names, touched = self.moments[i]
            if what in touched:
                self.durable_names = names
                del self.moments[: i + 1]
                return

    def visible(self) -> dict[bytes, bytes]:
        return {_join(path): self.contents[file] for path, file in self.names.items()}

    def left(self) -> dict[bytes, bytes]:
        return {_join(p): self.durable_contents.get(f, b"") for p, f in self.durable_names.items()}


def _join(path: Path) -> bytes:
    return b"/".join(part for part in path if part)


class Comparison(RuleBasedStateMachine):
    model: Model = "journal"

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk(model=self.model)
        self.naive = Naive(self.model)
        self.folders = {b"": ROOT}
        self.files = 0

    @initialize()
    def make_folders(self) -> None:
        for name in FOLDERS[1:]:
            self.folders[name] = self.disk.create(ROOT, name, stat.S_IFDIR | 0o755).ino
        self.disk.sync_all()

    def ino(self, path: Path) -> int:
        return self.disk.lookup(self.folders[path[0]], path[1]).ino

    @rule(path=paths)
    def create(self, path: Path) -> None:
        if path in self.naive.names:
            return
        ino = self.disk.create(self.folders[path[0]], path[1], stat.S_IFREG | 0o644).ino
        self.naive.names[path] = ino
        self.naive.contents[ino] = b""
        self.naive.named(path[0], ino)

    @precondition(lambda self: self.naive.names)
    @rule(data=st.data(), at=st.integers(0, 12), written=st.binary(min_size=1, max_size=6))
    def write(self, data: st.DataObject, at: int, written: bytes) -> None:
        ino = self.naive.names[self.chosen(data)]
        self.disk.write(ino, at, written)
        old = self.naive.contents[ino].ljust(at, b"\0")
        self.naive.contents[ino] = old[:at] + written + old[at + len(written) :]

    @precondition(lambda self: self.naive.names)
    @rule(data=st.data(), size=st.integers(0, 12))
    def truncate(self, data: st.DataObject, size: int) -> None:
        ino = self.naive.names[self.chosen(data)]
        self.disk.truncate(ino, size)
        self.naive.contents[ino] = self.naive.contents[ino][:size].ljust(size, b"\0")

    @precondition(lambda self: self.naive.names)
    @rule(data=st.data())
    def unlink(self, data: st.DataObject) -> None:
        path = self.chosen(data)
        self.disk.unlink(self.folders[path[0]], path[1])
        ino = self.naive.names.pop(path)
        self.naive.named(path[0], ino)

    @precondition(lambda self: self.naive.names)
    @rule(data=st.data(), goal=paths)
    def rename(self, data: st.DataObject, goal: Path) -> None:
        source = self.chosen(data)
        self.disk.rename(self.folders[source[0]], source[1], self.folders[goal[0]], goal[1])
        names = self.naive.names
        if names.get(goal) == names[source]:
            return
        replaced = names.get(goal, 0)
        names[goal] = names.pop(source)
        self.naive.named(source[0], goal[0], names[goal], replaced)

    @precondition(lambda self: self.naive.names)
    @rule(data=st.data(), goal=paths)
    def link(self, data: st.DataObject, goal: Path) -> None:
        if goal in self.naive.names:
            return
        ino = self.naive.names[self.chosen(data)]
        self.disk.link(ino, self.folders[goal[0]], goal[1])
        self.naive.names[goal] = ino
        self.naive.named(goal[0], ino)

    @precondition(lambda self: self.naive.names)
    @rule(data=st.data())
    def sync_file(self, data: st.DataObject) -> None:
        ino = self.naive.names[self.chosen(data)]
        self.disk.sync(ino)
        self.naive.sync(ino)

    @rule(folder=st.sampled_from(FOLDERS))
    def sync_folder(self, folder: bytes) -> None:
        self.disk.sync(self.folders[folder])
        self.naive.sync(folder)

    def chosen(self, data: st.DataObject) -> Path:
        return data.draw(st.sampled_from(sorted(self.naive.names)))

    @invariant()
    def same(self) -> None:
        assert image_of(self.disk, "all").files() == self.naive.visible()
        assert image_of(self.disk).files() == self.naive.left()

    @invariant()
    def accounts_agree(self) -> None:
        nodes = self.disk.nodes.values()
        assert self.disk.used_bytes == sum(node.size for node in nodes)
        assert self.disk.pending_bytes == sum(node.pending_bytes for node in nodes)


class StrictComparison(Comparison):
    model: Model = "strict"


TestJournal = Comparison.TestCase
TestStrict = StrictComparison.TestCase
TestJournal.settings = TestStrict.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)

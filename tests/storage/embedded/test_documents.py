"""Documents: which of put and noted is shown, and which stays, in every order of calls."""

from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from mobilesync.storage.contract import Document
from mobilesync.storage.embedded.documents import Documents, changes_of, size_of
from mobilesync.storage.embedded.group import Group
from mobilesync.storage.embedded.tables import Tables


class Commits:
    """A committer's queue, of which the test says when a group begins and ends."""

    def __init__(self, tables: Tables, notes_max: int = 10) -> None:
        self.tables = tables
        self.documents = Documents(tables, notes_max)
        self.queue: list[Group] = []
        self.in_flight: Group | None = None

    def put(self, value: bytes | None, *, key: str = "a", alone: bool = False) -> None:
        """Put a document, `alone` with a new group."""
        if alone or not self.queue:
            self.queue.append(Group(self.tables.batch()))
        self.documents.put(self.queue[-1], changes_of([Document("k", key, value)]))

    def note(self, value: bytes | None, *, key: str = "a") -> None:
        self.documents.note(changes_of([Document("k", key, value)]))

    def begin(self) -> None:
        assert self.in_flight is None
        group = self.queue.pop(0) if self.queue else Group(self.tables.batch())
        self.documents.begin(group)
        self.tables.write(group.batch)
        self.in_flight = group

    def settle(self) -> None:
        assert self.in_flight is not None
        self.documents.settle(self.in_flight)
        self.in_flight = None

    def commit_all(self) -> None:
        if self.in_flight is not None:
            self.settle()
        while self.queue or len(self.documents):
            self.begin()
            self.settle()

    def shown(self, key: str = "a") -> bytes | None:
        value = self.documents.select("k", "", "", 0).get(key)
        assert self.documents.get("k", key) == value
        return value


@pytest.fixture
def commits(tables: Tables) -> Iterator[Commits]:
    yield Commits(tables)
    tables.close()


def test_put_is_shown_when_its_group_is_durable(commits: Commits) -> None:
    commits.put(b"1")
    assert commits.shown() is None
    commits.begin()
    assert commits.shown() is None
    commits.settle()
    assert commits.shown() == b"1"
    commits.put(None)
    commits.begin()
    assert commits.shown() == b"1"
    commits.settle()
    assert commits.shown() is None


def test_noted_is_shown_at_once_and_after_the_next_commit(commits: Commits) -> None:
    commits.note(b"1")
    assert (commits.shown(), len(commits.documents)) == (b"1", 1)
    commits.put(b"x", key="other")
    commits.begin()
    assert (commits.shown(), len(commits.documents)) == (b"1", 0)
    commits.settle()
    assert commits.shown() == b"1"


def test_put_overtakes_a_note(commits: Commits) -> None:
    commits.note(b"noted")
    commits.put(b"put")
    assert len(commits.documents) == 0
    for move in (commits.begin, commits.settle):
        assert commits.shown() == b"noted"
        move()
    assert commits.shown() == b"put"


def test_a_note_goes_behind_the_newest_group_that_puts(commits: Commits) -> None:
    commits.put(b"1")
    commits.put(b"2", alone=True)
    commits.put(b"x", key="other", alone=True)
    commits.note(b"noted")
    assert len(commits.documents) == 0
    for _ in range(3):
        commits.begin()
        assert commits.shown() == b"noted"
        commits.settle()
        assert commits.shown() == b"noted"
    assert not commits.documents._shown
    assert not commits.documents._queued


def test_a_note_behind_a_group_in_flight_waits_for_the_next(commits: Commits) -> None:
    commits.put(b"1")
    commits.begin()
    commits.note(b"noted")
    assert len(commits.documents) == 1
    commits.settle()
    assert commits.shown() == b"noted"
    commits.commit_all()
    assert commits.shown() == b"noted"


def test_over_the_bound_notes_are_dropped(tables: Tables) -> None:
    commits = Commits(tables, notes_max=2)
    commits.put(b"1", key="queued")
    for key in ("a", "b", "c", "queued"):
        commits.note(b"noted", key=key)
    commits.note(b"again", key="b")
    expected = {"a": b"noted", "b": b"again", "queued": b"noted"}
    assert commits.documents.select("k", "", "", 0) == expected
    commits.commit_all()
    assert commits.documents.select("k", "", "", 0) == expected
    tables.close()


def test_forgotten_are_the_notes_that_wait(commits: Commits) -> None:
    commits.note(b"1")
    commits.documents.forget()
    assert (commits.shown(), len(commits.documents)) == (None, 0)


def test_size_counts_keys_and_values() -> None:
    small, large = (changes_of([Document("k", "a", bytes(size))]) for size in (0, 1000))
    assert size_of(large) == size_of(small) + 1000
    assert size_of(changes_of([Document("k", "a", None)])) == size_of(small)
    assert size_of([]) == 0


MOVES = st.sampled_from(["put", "put alone", "note", "begin", "settle"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(moves=st.lists(st.tuples(MOVES, st.sampled_from("ab"), st.none() | st.binary(max_size=2))))
def test_any_order_of_calls(commits: Commits, moves: list[tuple[str, str, bytes | None]]) -> None:
    """The last call stays, and what is shown is the last note, or what was put and is durable."""
    for key in "ab":
        commits.put(None, key=key)
    commits.commit_all()
    last: dict[str, bytes | None] = {"a": None, "b": None}
    for move, key, value in moves:
        if move.startswith("put"):
            commits.put(value, key=key, alone=move == "put alone")
            last[key] = value
        elif move == "note":
            commits.note(value, key=key)
            last[key] = value
            assert commits.shown(key) == value
        else:
            before = {each: commits.shown(each) for each in "ab"}
            if move == "begin" and commits.in_flight is None:
                commits.begin()
                assert {each: commits.shown(each) for each in "ab"} == before
            elif move == "settle" and commits.in_flight is not None:
                commits.settle()
    commits.commit_all()
    assert {key: commits.shown(key) for key in "ab"} == last
    assert not commits.documents._shown
    assert not commits.documents._queued

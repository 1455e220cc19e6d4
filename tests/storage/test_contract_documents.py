"""The contract suite: documents that are put, noted, and kept with an append."""

import asyncio

import pytest

from mobilesync.domain.oplog import Appended
from mobilesync.storage.contract import Also, Document
from tests.storage.drafts import CHAT, draft, drafts, ids, step
from tests.storage.makers import Maker


def keeping(*documents: Document) -> Also:
    """Keeps `documents` with an append, whatever it answers."""
    return lambda answers: documents


class TestDocuments:
    async def test_are_put_replaced_and_deleted(self, maker: Maker) -> None:
        store = await maker.open()
        await store.put_documents([Document("config", "shop/CHAT", b"1")])
        await store.put_documents([Document("config", "shop/é", b"")])
        await store.put_documents([Document("configs", "shop/CHAT", b"other kind")])
        await store.put_documents([Document("config", "shop/CHAT", b"2")])
        store = await maker.open()
        assert await store.documents("config") == {"shop/CHAT": b"2", "shop/é": b""}
        await store.put_documents([Document("config", "shop/CHAT", None)])
        await store.put_documents([Document("config", "never there", None)])
        assert await store.documents("config") == {"shop/é": b""}
        assert await store.documents("conf") == {}

    async def test_one_is_read_as_among_all_of_its_kind(self, maker: Maker) -> None:
        store = await maker.open()
        await store.put_documents([Document("k", name, b"old") for name in "abcd"])
        maker.gate.shut()
        flying = [Document("k", "a", b"new"), Document("k", "b", None), Document("k", "e", b"new")]
        call = asyncio.create_task(store.put_documents(flying))
        await maker.gate.reached()
        store.note_documents([Document("k", "c", b"noted"), Document("k", "d", None)])
        known: dict[str, bytes] = {}
        for _ in range(2):
            known = await store.documents("k")
            for name in "abcdef":
                assert await store.document("k", name) == known.get(name)
            maker.gate.open()
            await call
        assert known == {"a": b"new", "c": b"noted", "e": b"new"}
        assert await store.document("j", "a") is None

    async def test_last_of_several_in_one_commit_wins(self, maker: Maker) -> None:
        store = await maker.open()
        values = [b"1", None, b"3", b"2", None, b"4"]
        await asyncio.gather(
            *(store.put_documents([Document("k", "a", value)]) for value in values)
        )
        assert await store.documents("k") == {"a": b"4"}

    @pytest.mark.parametrize("survives", [0.0, 0.5, 1.0])
    async def test_are_put_together_or_not_at_all(self, maker: Maker, survives: float) -> None:
        store = await maker.open()
        await store.put_documents([Document("k", "old", b"1")])
        several = [Document("k", "old", None), Document("k", "a", b"1"), Document("j", "b", b"2")]
        maker.gate.shut()
        call = asyncio.create_task(store.put_documents(several))
        await maker.gate.reached()
        store = await maker.crash(survives)
        call.cancel()
        found = await store.documents("k"), await store.documents("j")
        assert found in (({"old": b"1"}, {}), ({"a": b"1"}, {"b": b"2"}))

    async def test_of_none_commits_what_rides_along(self, maker: Maker) -> None:
        store = await maker.open()
        store.advance([step(store.lineage[-1], 5)])
        store.note_documents([Document("k", "a", b"1")])
        await store.put_documents([])
        assert store.stats().commits == 1
        assert len(await store.journal(CHAT, "phone", 0, 10)) == 1
        maker.gate.shut()
        call = asyncio.create_task(store.append([draft("in flight")]))
        await maker.gate.reached()
        store = await maker.crash(0.0)
        call.cancel()
        assert await store.documents("k") == {"a": b"1"}


KEYS = ["", "a", "a/b", "a0", "b", "é", "\uffff", "\U0001f642"]
"""In their order, which is the one of their bytes, too."""


class TestRanges:
    @pytest.mark.parametrize(
        "begin, end, count_max, expected",
        [
            ("", "", 0, KEYS),
            ("", "", 3, KEYS[:3]),
            ("", "", 100, KEYS),
            ("a", "", 0, KEYS[1:]),
            ("a", "b", 0, ["a", "a/b", "a0"]),
            ("a", "b", 2, ["a", "a/b"]),
            ("a/", "a0", 0, ["a/b"]),
            ("a!", "", 2, ["a/b", "a0"]),
            ("\uffff", "", 0, KEYS[6:]),
            ("", "a", 0, [""]),
            ("b", "a", 0, []),
            ("b", "b", 0, []),
            ("c", "d", 0, []),
        ],
    )
    async def test_are_from_begin_to_before_end_in_order(
        self, maker: Maker, begin: str, end: str, count_max: int, expected: list[str]
    ) -> None:
        store = await maker.open()
        await store.put_documents([Document("j", "a", b"")])
        await store.put_documents([Document("k", key, key.encode()) for key in reversed(KEYS)])
        await store.put_documents([Document("kk", "a", b"")])
        found = await store.documents("k", begin, end, count_max)
        assert list(found.items()) == [(key, key.encode()) for key in expected]
        found = await store.documents("k", begin=begin, end=end, count_max=count_max)
        assert list(found) == expected

    @pytest.mark.parametrize("count_max", [0, 1, 2, 3, 4, 5])
    async def test_count_what_is_shown_while_others_are_in_flight(
        self, maker: Maker, count_max: int
    ) -> None:
        store = await maker.open()
        await store.put_documents([Document("k", key, b"old") for key in "bdfh"])
        maker.gate.shut()
        changes = [Document("k", key, b"new") for key in "abz"] + [Document("k", "d", None)]
        call = asyncio.create_task(store.put_documents(changes))
        await maker.gate.reached()
        # Neither the new ones nor the deletion are shown, and none of them is counted.
        expected = ["b", "d", "f", "h"][: count_max or 4]
        found = await store.documents("k", count_max=count_max)
        assert list(found.items()) == [(key, b"old") for key in expected]
        assert (
            list(await store.documents("k", "c", "g", count_max)) == (["d", "f"][: count_max or 2])
        )
        maker.gate.open()
        await call
        expected = ["a", "b", "f", "h", "z"][: count_max or 5]
        assert list(await store.documents("k", count_max=count_max)) == expected

    @pytest.mark.parametrize("count_max", [0, 1, 2, 3, 4, 5])
    async def test_count_notes_as_if_they_were_put(self, maker: Maker, count_max: int) -> None:
        store = await maker.open()
        await store.put_documents([Document("k", key, b"old") for key in "bdfh"])
        maker.gate.shut()
        store.note_documents([Document("k", "a", b"new"), Document("k", "b", None)])
        store.note_documents([Document("k", "e", b"new"), Document("j", "c", b"other kind")])
        waiting = list(await store.documents("k", count_max=count_max))
        assert waiting == ["a", "d", "e", "f", "h"][: count_max or 5]
        assert await store.documents("k", "b", "e", count_max) == {"d": b"old"}
        await maker.gate.reached()
        assert list(await store.documents("k", count_max=count_max)) == waiting
        maker.gate.open()
        await store.put_documents([])
        assert list(await store.documents("k", count_max=count_max)) == waiting


class TestNotes:
    async def test_are_read_back_at_once_and_survive_a_proper_close(self, maker: Maker) -> None:
        store = await maker.open()
        await store.put_documents([Document("k", "a", b"1"), Document("k", "b", b"1")])
        store.note_documents([Document("k", "a", b"2"), Document("k", "b", None)])
        store.note_documents([Document("k", "c", b"1"), Document("k", "c", b"3")])
        assert await store.documents("k") == {"a": b"2", "c": b"3"}
        store = await maker.open()
        assert await store.documents("k") == {"a": b"2", "c": b"3"}

    @pytest.mark.parametrize("survives", [0.0, 0.4, 1.0])
    @pytest.mark.parametrize("first", ["note", "advance"])
    @pytest.mark.parametrize("with_append", [True, False])
    async def test_ride_with_the_advances_of_their_turn(
        self, maker: Maker, survives: float, first: str, with_append: bool
    ) -> None:
        """Both, or neither: whichever was called first, and whatever commit takes them."""
        store = await maker.open()
        advance = step(store.lineage[-1], 1)
        await store.append([draft("old")])
        maker.gate.shut()
        if first == "advance":
            store.advance([advance])
        store.note_documents([Document("k", "a", b"1")])
        if first == "note":
            store.advance([advance])
        call = asyncio.create_task(store.append([draft("new")])) if with_append else None
        await maker.gate.reached()
        store = await maker.crash(survives)
        if call is not None:
            call.cancel()
        moved = len(await store.journal(CHAT, "phone", 0, 10)) == 1
        assert bool(await store.documents("k")) is moved
        assert bool(await store.points("shop", "phone")) is moved

    async def test_are_committed_soon_if_nothing_else_is(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        store.note_documents([Document("k", "a", b"1")])
        # Nothing else at all: the gate is reached because the store commits by itself.
        await maker.gate.reached()
        maker.gate.open()
        store = await maker.open()
        assert await store.documents("k") == {"a": b"1"}

    async def test_that_come_while_a_slow_commit_is_in_flight_are_not_forgotten(
        self, maker: Maker
    ) -> None:
        store = await maker.open()
        maker.gate.shut()
        call = asyncio.create_task(store.append([draft("slow")]))
        await maker.gate.reached()
        store.note_documents([Document("k", "a", b"1")])
        store.advance([step(store.lineage[-1], 5)])
        # Longer than the store waits for a commit to ride along in.
        loop = asyncio.get_running_loop()
        waited: asyncio.Future[None] = loop.create_future()
        loop.call_later(0.15, waited.set_result, None)
        await waited
        passed = maker.gate.passed
        maker.gate.open()
        await call
        # The second time is for what rides along, and nothing else was called.
        await maker.gate.passes(passed + 2)

    async def test_over_the_bound_are_dropped_but_known_ones_are_not(self, maker: Maker) -> None:
        store = await maker.open(advances_max=10)
        store.note_documents([Document("k", f"{n:02}", b"1") for n in range(12)])
        store.note_documents([Document("k", "09", b"2"), Document("k", "10", b"2")])
        found = await store.documents("k")
        assert list(found) == [f"{n:02}" for n in range(10)]
        assert found["09"] == b"2"
        await store.put_documents([])
        store.note_documents([Document("k", "10", b"3")])
        assert (await store.documents("k"))["10"] == b"3"

    async def test_of_a_failed_or_closed_store_are_dropped(self, maker: Maker) -> None:
        store = await maker.open()
        await store.put_documents([Document("k", "a", b"1")])
        maker.gate.break_(OSError("broken"))
        call = asyncio.create_task(store.append([draft("a")]))
        await asyncio.gather(call, return_exceptions=True)
        store.note_documents([Document("k", "a", b"2")])
        assert await store.documents("k") == {"a": b"1"}
        await store.close()
        store.note_documents([Document("k", "a", b"2")])


class TestOrder:
    """Of several changes of one document, the last call's stays."""

    async def test_a_document_that_is_put_overtakes_its_note(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        store.note_documents([Document("k", "a", b"noted")])
        call = asyncio.create_task(store.put_documents([Document("k", "a", b"put")]))
        await maker.gate.reached()
        # The note can still be read back; what is put cannot be yet.
        assert await store.documents("k") == {"a": b"noted"}
        maker.gate.open()
        await call
        assert await store.documents("k") == {"a": b"put"}
        store = await maker.open()
        assert await store.documents("k") == {"a": b"put"}

    async def test_a_note_comes_after_what_waits_to_be_put(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        first = asyncio.create_task(store.append([draft("in flight")]))
        await maker.gate.reached()
        # Two groups of the queue put it, and the note must be behind both.
        calls = [
            asyncio.create_task(
                store.append(drafts(1, begin=n, size=1 << 16), keeping(Document("k", "a", value)))
            )
            for n, value in ((1, b"put"), (2, b"again"))
        ]
        await asyncio.sleep(0)
        store.note_documents([Document("k", "a", b"noted")])
        assert await store.documents("k") == {"a": b"noted"}
        maker.gate.open()
        await first
        assert await store.documents("k") == {"a": b"noted"}
        await asyncio.gather(*calls)
        assert await store.documents("k") == {"a": b"noted"}
        store = await maker.open()
        assert await store.documents("k") == {"a": b"noted"}

    async def test_in_flight_and_waiting_do_not_mix(self, maker: Maker) -> None:
        store = await maker.open()
        await store.put_documents([Document("k", "a", b"0")])
        maker.gate.shut()
        first = asyncio.create_task(store.put_documents([Document("k", "a", b"1")]))
        await maker.gate.reached()
        store.note_documents([Document("k", "a", b"2")])
        assert await store.documents("k") == {"a": b"2"}
        second = asyncio.create_task(store.put_documents([Document("k", "a", None)]))
        await asyncio.sleep(0)
        assert await store.documents("k") == {"a": b"2"}
        store.note_documents([Document("k", "a", b"4")])
        assert await store.documents("k") == {"a": b"4"}
        maker.gate.open()
        await asyncio.gather(first, second)
        assert await store.documents("k") == {"a": b"4"}
        store = await maker.open()
        assert await store.documents("k") == {"a": b"4"}


class TestAlso:
    async def test_is_made_from_the_answers(self, maker: Maker) -> None:
        store = await maker.open()
        asked: list[list[Appended]] = []

        def also(answers: object) -> list[Document]:
            assert isinstance(answers, list)
            asked.append(answers)
            return [Document("k", str(answer.id), b"") for answer in answers]

        await store.append([draft("a")])
        answers = await store.append([draft("b"), draft("a"), draft("b"), draft("c")], also)
        assert asked == [answers]
        assert [(each.id, each.duplicate) for each in answers] == [
            *((2, False), (1, True)),
            *((2, True), (3, False)),
        ]
        assert list(await store.documents("k")) == ["1", "2", "3"]

    async def test_of_duplicates_only_is_kept_too(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a")], keeping(Document("k", "waits", b"")))
        again = await store.append([draft("a")], keeping(Document("k", "waits", None)))
        assert again == [Appended(1, duplicate=True)]
        assert await store.documents("k") == {}

    async def test_of_no_drafts_is_not_asked(self, maker: Maker) -> None:
        store = await maker.open()
        assert await store.append([], keeping(Document("k", "a", b""))) == []
        assert await store.documents("k") == {}

    async def test_is_shown_with_the_oplogs(self, maker: Maker) -> None:
        store = await maker.open()
        maker.gate.shut()
        call = asyncio.create_task(store.append([draft("a")], keeping(Document("k", "a", b"1"))))
        await maker.gate.reached()
        assert (await ids(store), await store.documents("k")) == ([], {})
        maker.gate.open()
        await call
        assert (await ids(store), await store.documents("k")) == ([1], {"a": b"1"})

    @pytest.mark.parametrize("survives", [0.0, 0.1, 0.5, 0.9, 1.0])
    async def test_is_there_after_a_crash_just_as_the_oplogs_are(
        self, maker: Maker, survives: float
    ) -> None:
        store = await maker.open()
        await store.append([draft("old")], keeping(Document("k", "old", b"1")))
        maker.gate.shut()
        calls = [
            asyncio.create_task(
                store.append(drafts(3, begin=10 * n), keeping(Document("k", str(n), b"1")))
            )
            for n in range(1, 4)
        ]
        await maker.gate.reached()
        store = await maker.crash(survives)
        for call in calls:
            call.cancel()
        found = (await ids(store), await store.documents("k"))
        without = ([1], {"old": b"1"})
        assert found in (
            without,
            (list(range(1, 11)), {"1": b"1", "2": b"1", "3": b"1", "old": b"1"}),
        )
        assert found == without or survives > 0

    async def test_that_fails_stores_nothing_and_gives_no_id(self, maker: Maker) -> None:
        store = await maker.open()

        def fails(_: object) -> list[Document]:
            raise KeyError("a mistake of the caller")

        with pytest.raises(KeyError):
            await store.append([draft("a"), draft("b")], fails)
        assert store.stats().queued == 0
        assert await store.append([draft("b")]) == [Appended(1)]
        assert await ids(store) == [1]
        store = await maker.open()
        assert await store.append([draft("a")]) == [Appended(2)]

"""The contract suite: the newest oplogs of a coalescing key, and finding one by message id."""

import asyncio
from pathlib import Path

import pytest

from mobilesync.domain.channel import Channel
from mobilesync.domain.oplog import Appended, oplog_of
from mobilesync.storage.contract import Store
from tests.storage.drafts import CHAT, NEWS, draft, drafts, withdrawal
from tests.storage.makers import Maker


async def newest(
    store: Store, key: str, count_max: int = 100, *, channel: Channel = CHAT
) -> list[int]:
    return [oplog.id for oplog in await store.newest_of_key(channel, key, count_max)]


class TestNewestOfKey:
    async def test_is_newest_first_and_only_of_that_key(self, maker: Maker) -> None:
        store = await maker.open()
        keys = ["a", "b", "a", "", "ab", "a", "b"]
        await store.append([draft(f"m{n}", key=key) for n, key in enumerate(keys)])
        await store.append([draft("n", NEWS, key="a")])
        for _ in range(2):
            assert await newest(store, "a") == [6, 3, 1]
            assert await newest(store, "b") == [7, 2]
            assert await newest(store, "ab") == [5]
            assert await newest(store, "a", channel=NEWS) == [1]
            assert await newest(store, "c") == []
            assert await newest(store, "a", channel=Channel("shop", "PAY", "user:ada")) == []
            store = await maker.open()

    async def test_does_not_stray_into_other_channels(self, maker: Maker) -> None:
        store = await maker.open()
        near = [
            Channel("shop", "CHAT", "user:ad"),
            Channel("shop", "CHAT", "user:ada1"),
            Channel("shop", "CHA", "user:ada"),
            Channel("shop", "CHATS", "user:ada"),
        ]
        await store.append([draft(f"m{n}", channel, key="k") for channel in near for n in "ab"])
        await store.append([draft("m", key="k")])
        assert await newest(store, "k") == [1]

    async def test_has_every_field(self, maker: Maker) -> None:
        store = await maker.open()
        drafted = draft("m", payload=b"value", key="k")
        await store.append([drafted])
        assert await store.newest_of_key(CHAT, "k", 1) == [oplog_of(drafted, 1)]

    @pytest.mark.parametrize("count_max", [0, 1, 3, 299, 300, 301])
    async def test_is_bounded(self, maker: Maker, count_max: int) -> None:
        store = await maker.open()
        # Past 255: ids must sort as numbers.
        await store.append([draft(f"m{n}", key="k") for n in range(300)])
        expected = list(range(300, 0, -1))[:count_max]
        assert await newest(store, "k", count_max) == expected

    async def test_shows_only_what_is_durable(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a", key="k")])
        maker.gate.shut()
        call = asyncio.create_task(store.append([draft("b", key="k"), draft("x", NEWS, key="k")]))
        await maker.gate.reached()
        assert await newest(store, "k") == [1]
        assert await newest(store, "k", channel=NEWS) == []
        maker.gate.open()
        await call
        assert await newest(store, "k") == [2, 1]

    async def test_forgets_what_is_trimmed(self, maker: Maker) -> None:
        store = await maker.open()
        ends = [1, 1, 9, 1]
        await store.append(
            [draft(f"m{n}", key="ab"[n % 2], expires_at_ms=end) for n, end in enumerate(ends)]
        )
        await store.trim(1, 10)
        assert await newest(store, "a") == [3]
        assert await newest(store, "b") == [4]
        await store.trim(9, 10)
        assert await newest(store, "a") == await newest(store, "b") == []
        await store.append([draft("m0", key="a")])
        store = await maker.open()
        assert await newest(store, "a") == [5]

    async def test_shows_what_was_withdrawn_as_it_is(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a", key="k"), draft("b", key="k")])
        await store.append([withdrawal("w", (2, 2))])
        found = await store.newest_of_key(CHAT, "k", 10)
        assert [(oplog.id, oplog.payload) for oplog in found] == [(2, b""), (1, b"payload")]
        assert [oplog.withdrawn is not None for oplog in found] == [True, False]

    async def test_is_not_doubled_by_duplicates(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a", key="k"), draft("a", key="k"), draft("a", key="other")])
        await store.append([draft("a", key="k")])
        assert await newest(store, "k") == [1]
        assert await newest(store, "other") == []

    async def test_survives_backup_and_restore(self, maker: Maker, tmp_path: Path) -> None:
        store = await maker.open()
        await store.append([draft("a", key="k"), draft("b", key="k")])
        await store.backup(tmp_path / "backup")
        await store.append([draft("c", key="k")])
        store = await maker.restore(tmp_path / "backup")
        assert await newest(store, "k") == [2, 1]
        await store.append([draft("d", key="k")])
        assert await newest(store, "k") == [3, 2, 1]


class TestFind:
    async def test_by_message_id_in_its_channel(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([*drafts(3), draft("n", NEWS)])
        for _ in range(2):
            assert [await store.find(CHAT, f"m{n}") for n in (1, 2, 3)] == [1, 2, 3]
            assert await store.find(NEWS, "n") == 1
            assert await store.find(CHAT, "n") == 0
            assert await store.find(NEWS, "m1") == 0
            assert await store.find(Channel("shop", "PAY", "user:ada"), "m1") == 0
            store = await maker.open()

    async def test_only_what_is_durable(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a")])
        maker.gate.shut()
        call = asyncio.create_task(store.append([draft("b"), draft("b", NEWS)]))
        await maker.gate.reached()
        later = asyncio.create_task(store.append([draft("c")]))
        await asyncio.sleep(0)
        found = [await store.find(CHAT, message_id) for message_id in "abc"]
        assert (found, await store.find(NEWS, "b")) == ([1, 0, 0], 0)
        maker.gate.open()
        await asyncio.gather(call, later)
        assert [await store.find(CHAT, message_id) for message_id in "abc"] == [1, 2, 3]

    async def test_not_what_is_trimmed_but_what_came_after_it(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a", expires_at_ms=1), draft("b")])
        await store.trim(1, 10)
        assert await store.find(CHAT, "a") == 0
        assert await store.find(CHAT, "b") == 2
        maker.gate.shut()
        call = asyncio.create_task(store.append([draft("a")]))
        await maker.gate.reached()
        assert await store.find(CHAT, "a") == 0
        maker.gate.open()
        assert await call == [Appended(3)]
        assert await store.find(CHAT, "a") == 3

    async def test_also_what_is_withdrawn(self, maker: Maker) -> None:
        store = await maker.open()
        await store.append([draft("a")])
        await store.append([withdrawal("w", (1, 1))])
        assert (await store.find(CHAT, "a"), await store.find(CHAT, "w")) == (1, 2)

"""Reading a folder through finds what is wrong, and counts what is right."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rocksdict import WriteBatch

from mobilesync.domain.errors import StoreFolderRefused
from mobilesync.domain.sync_point import Head, SyncPoint
from mobilesync.storage.contract import Document
from mobilesync.storage.embedded import EmbeddedOptions, keys, rows, verify
from mobilesync.storage.embedded.tables import Tables
from mobilesync.storage.embedded.verify import TOLD_MAX
from tests.storage.drafts import CHAT, NEWS, draft, drafts, step, withdrawal
from tests.storage.embedded.conftest import Opener

PREFIX = keys.channel_prefix(CHAT)


async def fill(opener: Opener) -> None:
    store = await opener()
    await store.append([draft("gone", expires_at_ms=1, key="k"), *drafts(5, size=100)])
    await store.append([draft("n", NEWS, key="k"), withdrawal("w", (2, 2))])
    await store.trim(1, 100)
    store.advance([step(store.lineage[-1], 3, 2), step(store.lineage[-1], 4, 2)])
    await store.put_documents([Document("kind", "key", b"value")])
    await store.close()


async def test_a_sound_folder(opener: Opener, folder: Path) -> None:
    await fill(opener)
    rows_told: list[int] = []
    found = verify(folder, rows_told.append)
    assert (found.faults, found.told) == (0, [])
    assert (found.channels, found.oplogs, found.message_ids) == (2, 7, 7)
    assert (found.points, found.steps, found.documents) == (1, 2, 1)
    assert found.payload_bytes == 4 * 100 + len(b"payload")
    assert found.disk_bytes > 0
    assert found.lineage
    assert rows_told == [21]


Change = Callable[[WriteBatch, Tables], None]


def lose_oplog(batch: WriteBatch, tables: Tables) -> None:
    batch.delete(PREFIX + keys.id_bytes(3), tables.in_oplogs)


def lose_last(batch: WriteBatch, tables: Tables) -> None:
    batch.delete(PREFIX + keys.id_bytes(7), tables.in_oplogs)


def lose_head(batch: WriteBatch, tables: Tables) -> None:
    batch.delete(PREFIX, tables.in_heads)


def lower_head(batch: WriteBatch, tables: Tables) -> None:
    batch.put(PREFIX, rows.encode(Head(4, 1, 1, 1)), tables.in_heads)


def absurd_head(batch: WriteBatch, tables: Tables) -> None:
    batch.put(PREFIX, rows.encode(Head(6, 1, 9, 1)), tables.in_heads)


def lose_message_id(batch: WriteBatch, tables: Tables) -> None:
    batch.delete(PREFIX + b"m1", tables.in_message_ids)


def lead_astray(batch: WriteBatch, tables: Tables) -> None:
    batch.put(PREFIX + b"m99", keys.id_bytes(99), tables.in_message_ids)


IN_NEWS = keys.channel_prefix(NEWS) + b"k\0"


def lose_key(batch: WriteBatch, tables: Tables) -> None:
    batch.delete(IN_NEWS + keys.id_bytes(1), tables.in_keys)


def key_of_no_oplog(batch: WriteBatch, tables: Tables) -> None:
    batch.put(IN_NEWS + keys.id_bytes(9), b"", tables.in_keys)


def key_of_another(batch: WriteBatch, tables: Tables) -> None:
    batch.put(PREFIX + b"k\0" + keys.id_bytes(3), b"", tables.in_keys)


def key_of_a_trimmed_one(batch: WriteBatch, tables: Tables) -> None:
    batch.put(PREFIX + b"k\0" + keys.id_bytes(1), b"", tables.in_keys)


def garble_key(batch: WriteBatch, tables: Tables) -> None:
    batch.put(b"garbage", b"", tables.in_keys)


def garble_oplog(batch: WriteBatch, tables: Tables) -> None:
    batch.put(PREFIX + keys.id_bytes(3), b"garbage", tables.in_oplogs)


def foreign_point(batch: WriteBatch, tables: Tables) -> None:
    batch.put(keys.point_key("shop", "phone", CHAT), rows.encode(SyncPoint(1, 1)), tables.in_points)


def foreign_step(batch: WriteBatch, tables: Tables) -> None:
    place = keys.step_key(keys.journal_prefix(CHAT, "phone"), keys.Step(0, 9, 1, 1, 0))
    batch.put(place, rows.encode_step(step(1, 1, 1)), tables.in_journal)


@pytest.mark.parametrize(
    "change, words",
    [
        (lose_oplog, "after oplog 2 comes 4"),
        (lose_last, "oplog 7 is missing"),
        (lose_head, "no head"),
        (lower_head, "is not in its head"),
        (absurd_head, "contradicts itself"),
        (lose_message_id, "lacks the one of oplog 2"),
        (lead_astray, "leads to no oplog"),
        (lose_key, "keys: shop NEWS everyone: lacks the one of oplog 1"),
        (key_of_no_oplog, "keys: shop NEWS everyone: the key of oplog 9 is not its own"),
        (key_of_another, "keys: shop CHAT user:ada: the key of oplog 3 is not its own"),
        (key_of_a_trimmed_one, "keys: shop CHAT user:ada: the key of oplog 1 is not its own"),
        (garble_key, "keys: the row"),
        (garble_oplog, "cannot be read"),
        (foreign_point, "points"),
        (foreign_step, "journal"),
    ],
)
async def test_each_fault_is_found(
    opener: Opener, folder: Path, change: Change, words: str
) -> None:
    await fill(opener)
    tables = Tables(folder / "rocksdb", EmbeddedOptions())
    batch = tables.batch()
    change(batch, tables)
    tables.write(batch)
    tables.close()
    found = verify(folder)
    assert found.faults >= 1
    assert any(words in sentence for sentence in found.told), found.told


async def test_a_damaged_block_is_found(opener: Opener, folder: Path) -> None:
    store = await opener()
    await store.append(drafts(200, size=1000))
    await store.close()
    file = max((folder / "rocksdb").glob("*.sst"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 4] ^= 1
    file.write_bytes(data)
    found = verify(folder)
    assert any("Corruption" in sentence for sentence in found.told)
    assert file.read_bytes() == data


async def test_only_the_first_faults_are_told(opener: Opener, folder: Path) -> None:
    await fill(opener)
    tables = Tables(folder / "rocksdb", EmbeddedOptions())
    batch = tables.batch()
    for number in range(3 * TOLD_MAX):
        batch.put(PREFIX + b"x%d" % number, keys.id_bytes(1000 + number), tables.in_message_ids)
    tables.write(batch)
    tables.close()
    found = verify(folder)
    assert (found.faults, len(found.told)) == (3 * TOLD_MAX, TOLD_MAX)


async def test_no_store_and_a_store_in_use_are_refused(opener: Opener, folder: Path) -> None:
    with pytest.raises(StoreFolderRefused, match="no store"):
        verify(folder)
    await opener()
    with pytest.raises(StoreFolderRefused, match="in use"):
        verify(folder)

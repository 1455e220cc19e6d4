"""Opening: new folders, refusals, and what a crash leaves behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from mobilesync.domain.errors import StoreFolderRefused
from mobilesync.storage.embedded import EmbeddedOptions, EmbeddedStore
from mobilesync.storage.embedded.folder import FORMAT, make_marker, read_marker, write_marker
from tests.storage.drafts import CHAT, draft, drafts, ids, step
from tests.storage.embedded.conftest import Opener


async def crashed_copy(store: EmbeddedStore, folder: Path) -> Path:
    """The folder as a killed process leaves it."""
    copy = folder.with_name("crashed")
    shutil.copytree(folder, copy)
    return copy


def log_of(folder: Path) -> Path:
    return max((folder / "rocksdb").glob("*.log"), key=lambda path: path.stat().st_size)


async def test_a_new_folder_is_made_with_an_epoch(folder: Path, opener: Opener) -> None:
    store = await opener(folder / "deeper")
    assert len(store.lineage) == 1
    assert 0 < store.lineage[0] < 2**48
    lineage = store.lineage
    await store.close()
    assert (await opener(folder / "deeper")).lineage == lineage


async def test_nothing_is_made_where_a_store_is_expected(folder: Path, opener: Opener) -> None:
    with pytest.raises(StoreFolderRefused):
        await opener(create=False)
    assert not folder.exists()
    folder.mkdir()
    with pytest.raises(StoreFolderRefused):
        await opener(create=False)
    assert not any(folder.iterdir())


async def test_a_folder_in_use_is_refused(opener: Opener) -> None:
    store = await opener()
    with pytest.raises(StoreFolderRefused, match="in use"):
        await opener()
    # The one that has it is not disturbed, and a refused one holds no lock.
    await store.append(drafts(1))
    await store.close()
    assert await ids(await opener()) == [1]


async def test_a_strangers_folder_is_left_alone(folder: Path, opener: Opener) -> None:
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(StoreFolderRefused):
        await opener()
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


async def test_a_newer_format_is_refused(folder: Path, opener: Opener) -> None:
    await (await opener()).close()
    marker = (folder / "MOBILESYNC").read_text()
    newer = marker.replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}')
    assert newer != marker
    (folder / "MOBILESYNC").write_text(newer)
    with pytest.raises(StoreFolderRefused, match=f"format {FORMAT + 1}"):
        await opener()


async def test_a_format_from_before_the_first_release_is_refused(
    folder: Path, opener: Opener
) -> None:
    await (await opener()).close()
    marker = (folder / "MOBILESYNC").read_text()
    (folder / "MOBILESYNC").write_text(marker.replace(f'"format": {FORMAT}', '"format": 1'))
    with pytest.raises(StoreFolderRefused, match="before the first release") as refused:
        await opener()
    assert refused.value.hint


@pytest.mark.parametrize("missing", ["CURRENT", "MANIFEST-*", "*.sst"])
async def test_a_missing_part_is_damage(folder: Path, opener: Opener, missing: str) -> None:
    store = await opener()
    await store.append(drafts(10))
    await store.close()
    for path in (folder / "rocksdb").glob(missing):
        path.unlink()
    with pytest.raises(StoreFolderRefused) as refused:
        await opener()
    assert "damaged" in str(refused.value)
    assert "restore" in refused.value.hint


async def test_a_killed_process_loses_nothing_acknowledged(folder: Path, opener: Opener) -> None:
    store = await opener()
    await store.append(drafts(100))
    store.advance([step(store.lineage[-1], 3)])
    await store.append(drafts(1, begin=200))
    again = await opener(await crashed_copy(store, folder))
    assert await ids(again) == list(range(1, 102))
    assert (await again.points("shop", "phone"))[CHAT].received == 3


def cut_end(data: bytearray) -> bytearray:
    return data[:-20]


def flip_end(data: bytearray) -> bytearray:
    data[-20] ^= 1
    return data


def zero_end(data: bytearray) -> bytearray:
    data[-40:] = bytes(40)
    return data


@pytest.mark.parametrize("tear", [cut_end, flip_end, zero_end])
async def test_a_torn_end_is_given_up_and_nothing_else(
    folder: Path, opener: Opener, tear: Callable[[bytearray], bytearray]
) -> None:
    store = await opener()
    for number in range(10):
        await store.append(drafts(1, begin=number, size=100))
    copy = await crashed_copy(store, folder)
    log = log_of(copy)
    log.write_bytes(tear(bytearray(log.read_bytes())))
    again = await opener(copy)
    assert await ids(again) == list(range(1, 10))
    # And it works on: what was given up is given anew.
    assert (await again.append([draft("new")]))[0].id == 10
    await again.close()
    assert await ids(await opener(copy)) == list(range(1, 11))


async def test_damage_in_the_middle_is_refused_and_kept_as_it_is(
    folder: Path, opener: Opener
) -> None:
    store = await opener()
    for number in range(10):
        await store.append(drafts(1, begin=number, size=100))
    copy = await crashed_copy(store, folder)
    log = log_of(copy)
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    for _ in range(2):
        with pytest.raises(StoreFolderRefused, match="damaged"):
            await opener(copy)
        assert log.read_bytes() == data


async def test_what_was_never_synced_may_be_missing_anywhere(folder: Path, opener: Opener) -> None:
    store = await opener(options=EmbeddedOptions(durability="none"))
    for number in range(10):
        await store.append(drafts(1, begin=number, size=100))
    copy = await crashed_copy(store, folder)
    log = log_of(copy)
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    again = await opener(copy)
    found = await ids(again)
    assert found == list(range(1, len(found) + 1))
    assert 0 < len(found) < 10
    # From now on it is synced, and the folder says so.
    marker = read_marker(copy, "store")
    assert marker is not None
    assert marker.durability == "fsync"


async def test_a_folder_whose_making_was_cut_short_is_made_again(
    folder: Path, opener: Opener
) -> None:
    folder.mkdir()
    (folder / "LOCK").write_text("1234\n")
    assert await ids(await opener()) == []


async def test_a_making_cut_short_after_the_database_is_begun_anew(
    folder: Path, opener: Opener
) -> None:
    await (await opener()).close()
    marker = read_marker(folder, "store")
    assert marker is not None
    write_marker(folder, structs.replace(marker, kind="unfinished"))
    with pytest.raises(StoreFolderRefused, match="no store"):
        await opener(create=False)
    store = await opener()
    assert len(await store.append(drafts(1))) == 1


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, opener: Opener) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFolderRefused, match="cannot be used") as refused:
        await opener(tmp_path / "file" / "store")
    assert refused.value.hint


async def test_a_database_without_its_marker_is_refused(folder: Path, opener: Opener) -> None:
    store = await opener()
    await store.append(drafts(1))
    await store.close()
    (folder / "MOBILESYNC").unlink()
    with pytest.raises(StoreFolderRefused, match="not a data folder"):
        await opener()


async def test_a_marker_without_its_database_is_damage(folder: Path, opener: Opener) -> None:
    folder.mkdir()
    write_marker(folder, make_marker((1,), "fsync"))
    with pytest.raises(StoreFolderRefused, match="damaged"):
        await opener()

"""Copies of a store, and stores made from copies: what is checked and what is refused."""

from pathlib import Path
from random import Random

import pytest

from mobilesync.domain.errors import InvalidRequest, StoreFolderRefused, StoreUnavailable
from mobilesync.storage.embedded import restore
from mobilesync.storage.embedded.backup import new_epoch
from tests.storage.drafts import drafts, ids
from tests.storage.embedded.conftest import Opener


async def backed_up(opener: Opener, path: Path) -> Path:
    store = await opener()
    await store.append(drafts(50, size=500))
    await store.backup(path)
    return path


async def test_progress_is_told_of_both_ways(opener: Opener, tmp_path: Path) -> None:
    store = await opener()
    await store.append(drafts(50, size=500))
    told: list[tuple[int, int]] = []
    report = await store.backup(
        tmp_path / "b", progress=lambda done, all_: told.append((done, all_))
    )
    assert told[-1] == (report.bytes, report.bytes)
    assert told == sorted(told)
    told.clear()
    restore(
        tmp_path / "b",
        tmp_path / "restored",
        random=Random(1),
        progress=lambda done, all_: told.append((done, all_)),
    )
    assert told[-1] == (2 * report.bytes, 2 * report.bytes)
    assert told == sorted(told)


async def test_a_backup_is_not_served_and_a_store_is_not_restored(
    opener: Opener, folder: Path, tmp_path: Path
) -> None:
    path = await backed_up(opener, tmp_path / "b")
    with pytest.raises(StoreFolderRefused, match="is a backup") as refused:
        await opener(path)
    assert "restore" in refused.value.hint
    with pytest.raises(StoreFolderRefused, match="is a store"):
        restore(folder, tmp_path / "restored", random=Random(1))


async def test_a_backup_shares_nothing_with_its_store(
    opener: Opener, folder: Path, tmp_path: Path
) -> None:
    path = await backed_up(opener, tmp_path / "b")
    assert all(file.stat().st_nlink == 1 for file in path.rglob("*") if file.is_file())
    assert not list(folder.glob("checkpoint*"))


async def test_a_target_that_holds_anything_is_refused(opener: Opener, tmp_path: Path) -> None:
    path = await backed_up(opener, tmp_path / "b")
    target = tmp_path / "target"
    target.mkdir()
    (target / "thesis.tex").touch()
    with pytest.raises(StoreFolderRefused, match="not empty"):
        restore(path, target, random=Random(1))
    (target / "thesis.tex").unlink()
    restore(path, target, random=Random(1))
    with pytest.raises(StoreFolderRefused, match="not empty"):
        restore(path, target, random=Random(1))
    assert len(await ids(await opener(target))) == 50


async def test_each_damaged_or_missing_file_is_found_before_anything_is_written(
    opener: Opener, tmp_path: Path
) -> None:
    path = await backed_up(opener, tmp_path / "b")
    target = tmp_path / "target"
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.stat().st_size]
    assert len(files) > 4
    for file in files:
        good = file.read_bytes()
        flipped = good[:-3] + bytes([good[-3] ^ 0x80]) + good[-2:]
        for bad in (None, good[:-4], flipped):
            file.unlink(missing_ok=True)
            if bad is not None:
                file.write_bytes(bad)
            with pytest.raises(StoreFolderRefused) as refused:
                restore(path, target, random=Random(1))
            assert refused.value.hint
            assert not target.exists()
        file.write_bytes(good)
    restore(path, target, random=Random(1))


async def test_a_list_that_points_outside_is_refused(opener: Opener, tmp_path: Path) -> None:
    path = await backed_up(opener, tmp_path / "b")
    (path / "FILES").write_text('[{"name": "../secret", "bytes": 0, "blake2b": ""}]')
    with pytest.raises(StoreFolderRefused):
        restore(path, tmp_path / "target", random=Random(1))


@pytest.mark.parametrize("make", [False, True])
def test_nothing_there_is_no_backup(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "b").mkdir()
    with pytest.raises(StoreFolderRefused, match="no backup"):
        restore(tmp_path / "b", tmp_path / "target", random=Random(1))


async def test_a_backup_that_cannot_be_written_is_told_and_leaves_the_store_alone(
    opener: Opener, folder: Path, tmp_path: Path
) -> None:
    store = await opener()
    await store.append(drafts(1))
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="backup failed"):
        await store.backup(tmp_path / "file" / "b")
    with pytest.raises(InvalidRequest):
        await store.backup(tmp_path / "file")
    assert len(await store.append(drafts(1, begin=2))) == 1
    assert not list(folder.glob("checkpoint*"))
    await store.backup(tmp_path / "b")


def test_an_epoch_is_new_and_never_zero() -> None:
    numbers = [0, 5, 6, 7]

    class Scripted(Random):
        def getrandbits(self, k: int, /) -> int:
            assert k == 48
            return numbers.pop(0)

    assert new_epoch(Scripted(), (5, 6)) == 7

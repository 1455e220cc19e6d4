"""The disk without FUSE: what is durable when, what a cut leaves, and where the bounds are."""

import errno
import random
import stat
from collections.abc import Callable

import pytest

from tests.crash.powercut import disk as disk_module
from tests.crash.powercut.disk import ROOT, Disk
from tests.crash.powercut.node import PAGE_BYTES
from tests.crash.powercut.survival import Survive, image_of

FILE = stat.S_IFREG | 0o644
FOLDER = stat.S_IFDIR | 0o755


def put(disk: Disk, name: bytes, contents: bytes, parent: int = ROOT) -> int:
    node = disk.create(parent, name, FILE)
    disk.write(node.ino, 0, contents)
    return node.ino


def left(disk: Disk, survive: Survive = "none", seed: int = 0) -> dict[bytes, bytes]:
    return image_of(disk, survive, random.Random(seed)).files()


def refused(code: int, call: Callable[[], object]) -> None:
    with pytest.raises(OSError, match=rf"\[Errno {code}\]"):
        call()


def test_what_was_not_synced_is_lost() -> None:
    disk = Disk()
    put(disk, b"a", b"hello")
    assert disk.read(disk.lookup(ROOT, b"a").ino, 0, 99) == b"hello"
    assert left(disk) == {}


def test_a_synced_file_is_kept_as_it_was_at_the_sync() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"hello")
    disk.sync(ino)
    disk.write(ino, 5, b" world")
    disk.write(ino, 0, b"J")
    assert left(disk) == {b"a": b"hello"}
    disk.sync(ino)
    assert left(disk) == {b"a": b"Jello world"}


def test_a_truncation_is_pending_like_a_write() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"hello")
    disk.sync(ino)
    disk.truncate(ino, 2)
    assert left(disk) == {b"a": b"hello"}
    disk.truncate(ino, 4)
    disk.sync(ino)
    assert left(disk) == {b"a": b"he\0\0"}


def test_a_synced_file_is_reachable_below_new_directories() -> None:
    disk = Disk()
    folder = disk.create(ROOT, b"d", FOLDER)
    disk.sync(put(disk, b"a", b"x", folder.ino))
    assert left(disk) == {b"d/a": b"x"}


def test_strict_needs_every_directory_synced() -> None:
    disk = Disk(model="strict")
    folder = disk.create(ROOT, b"d", FOLDER)
    disk.sync(put(disk, b"a", b"x", folder.ino))
    assert left(disk) == {}
    disk.sync(folder.ino)
    assert left(disk) == {}
    disk.sync(ROOT)
    assert left(disk) == {b"d/a": b"x"}


@pytest.mark.parametrize("synced", ["file", "directory"])
def test_a_rename_is_durable_with_a_sync_of_the_file_or_directory(synced: str) -> None:
    disk = Disk()
    disk.sync(put(disk, b"CURRENT", b"old"))
    ino = put(disk, b"tmp", b"new")
    disk.sync(ino)
    disk.rename(ROOT, b"tmp", ROOT, b"CURRENT")
    assert left(disk) == {b"CURRENT": b"old", b"tmp": b"new"}
    disk.sync(ino if synced == "file" else ROOT)
    assert left(disk) == {b"CURRENT": b"new"}


def test_a_rename_does_not_flush_what_it_renames() -> None:
    disk = Disk()
    disk.sync(put(disk, b"CURRENT", b"old"))
    put(disk, b"tmp", b"new")
    disk.rename(ROOT, b"tmp", ROOT, b"CURRENT")
    disk.sync(ROOT)
    assert left(disk) == {b"CURRENT": b""}


def test_names_are_journaled_in_order() -> None:
    disk = Disk()
    put(disk, b"first", b"1")
    second = put(disk, b"second", b"2")
    put(disk, b"third", b"3")
    disk.sync(second)
    assert left(disk) == {b"first": b"", b"second": b"2"}


def test_an_unlinked_file_is_back_unless_its_directory_was_synced() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"x")
    disk.sync(ino)
    disk.unlink(ROOT, b"a")
    refused(errno.ENOENT, lambda: disk.lookup(ROOT, b"a"))
    assert left(disk) == {b"a": b"x"}
    disk.sync(ROOT)
    assert left(disk) == {}
    assert list(disk.nodes) == [ROOT]
    assert disk.used_bytes == 0


def test_an_unlinked_file_lives_while_it_is_open() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"x")
    disk.open(ino)
    disk.unlink(ROOT, b"a")
    disk.sync(ROOT)
    disk.write(ino, 1, b"y")
    assert disk.read(ino, 0, 9) == b"xy"
    disk.close(ino)
    refused(errno.ENOENT, lambda: disk.node(ino))
    assert disk.pending_bytes == 0


def test_hard_links_share_one_file() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"x")
    disk.link(ino, ROOT, b"b")
    disk.sync(ino)
    disk.unlink(ROOT, b"a")
    disk.sync(ROOT)
    assert left(disk) == {b"b": b"x"}
    assert disk.lookup(ROOT, b"b").links == 1


def test_a_replaced_file_is_forgotten_once_it_is_gone_from_the_platters() -> None:
    disk = Disk()
    disk.sync(put(disk, b"a", b"old"))
    disk.sync(put(disk, b"b", b"new"))
    disk.rename(ROOT, b"b", ROOT, b"a")
    assert len(disk.nodes) == 3
    disk.sync(ROOT)
    assert len(disk.nodes) == 2


def test_directories_refuse_as_a_kernel_would() -> None:
    disk = Disk()
    folder = disk.create(ROOT, b"d", FOLDER).ino
    ino = put(disk, b"a", b"x", folder)
    refused(errno.ENOTEMPTY, lambda: disk.rmdir(ROOT, b"d"))
    refused(errno.EISDIR, lambda: disk.unlink(ROOT, b"d"))
    refused(errno.ENOTDIR, lambda: disk.rmdir(folder, b"a"))
    refused(errno.EEXIST, lambda: disk.create(ROOT, b"d", FOLDER))
    refused(errno.EISDIR, lambda: disk.rename(folder, b"a", ROOT, b"d"))
    refused(errno.ENAMETOOLONG, lambda: disk.create(ROOT, b"x" * 256, FILE))
    refused(errno.EISDIR, lambda: disk.read(folder, 0, 1))
    refused(errno.ENOTDIR, lambda: disk.lookup(ino, b"a"))
    put(disk, b"b", b"y")
    refused(errno.EEXIST, lambda: disk.rename(ROOT, b"b", folder, b"a", replace=False))
    disk.unlink(folder, b"a")
    disk.rmdir(ROOT, b"d")
    refused(errno.ENOENT, lambda: disk.create(folder, b"c", FILE))


def test_after_the_cut_everything_fails_and_nothing_changes() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"x")
    disk.open(ino)
    disk.faults.cut = True
    refused(errno.EIO, lambda: disk.read(ino, 0, 1))
    refused(errno.EIO, lambda: disk.write(ino, 0, b"y"))
    refused(errno.EIO, lambda: disk.sync(ino))
    refused(errno.EIO, lambda: disk.create(ROOT, b"b", FILE))
    refused(errno.EIO, lambda: disk.unlink(ROOT, b"a"))
    disk.close(ino)
    assert left(disk) == {}


def test_a_full_disk_refuses_growth_and_nothing_else() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"hello")
    disk.faults.full = True
    refused(errno.ENOSPC, lambda: disk.write(ino, 3, b"lower"))
    refused(errno.ENOSPC, lambda: disk.truncate(ino, 6))
    disk.write(ino, 0, b"J")
    disk.sync(ino)
    assert left(disk) == {b"a": b"Jello"}
    disk.faults.heal()
    disk.write(ino, 5, b"!")


def test_the_capacity_is_a_bound() -> None:
    disk = Disk(capacity_bytes=10)
    ino = put(disk, b"a", b"x" * 10)
    refused(errno.ENOSPC, lambda: disk.write(ino, 10, b"y"))
    disk.truncate(ino, 4)
    disk.write(ino, 4, b"y" * 6)
    assert disk.free_bytes == 0


def test_a_failed_sync_drops_what_it_should_have_written() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"durable")
    disk.sync(ino)
    disk.write(ino, 7, b" lost")
    disk.faults.ioerror = True
    refused(errno.EIO, lambda: disk.sync(ino))
    disk.faults.heal()
    disk.sync(ino)
    assert disk.read(ino, 0, 99) == b"durable lost"
    assert left(disk) == {b"a": b"durable"}


def test_nosync_acknowledges_and_does_nothing() -> None:
    disk = Disk()
    disk.faults.nosync = True
    disk.sync(put(disk, b"a", b"x"))
    assert disk.counts.syncs == 1
    assert left(disk) == {}


def test_pending_bytes_are_bounded_by_writing_back() -> None:
    disk = Disk(pending_bytes_max=10)
    ino = put(disk, b"a", b"x" * 10)
    assert left(disk) == {}
    disk.write(ino, 10, b"y")
    assert disk.pending_bytes == 0
    assert disk.counts.write_backs == 1
    assert left(disk) == {b"a": b"x" * 10 + b"y"}


def test_pending_names_are_bounded_by_writing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "PENDING_NAMES_MAX", 3)
    disk = Disk()
    for name in (b"a", b"b", b"c", b"d"):
        disk.create(ROOT, name, FILE)
    assert left(disk) == {b"a": b"", b"b": b"", b"c": b"", b"d": b""}
    assert disk.journal.pending == []


def test_all_survives_when_asked() -> None:
    disk = Disk()
    put(disk, b"a", b"x")
    assert left(disk, "all") == {b"a": b"x"}


def test_a_surviving_prefix_is_a_moment_that_was() -> None:
    disk = Disk()
    moments: list[dict[bytes, bytes]] = [{}]
    for name in (b"a", b"b"):
        ino = disk.create(ROOT, name, FILE).ino
        moments.append(left(disk, "all"))
        for at in range(3):
            disk.write(ino, at, b"x")
            moments.append(left(disk, "all"))
    seen = [left(disk, "prefix", seed) for seed in range(200)]
    assert all(image in moments for image in seen)
    assert all(moment in seen for moment in moments)


def test_a_surviving_prefix_tears_the_last_write_at_a_page() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"")
    disk.sync(ino)
    disk.write(ino, 100, b"x" * 3 * PAGE_BYTES)
    sizes = {len(left(disk, "prefix", seed)[b"a"]) for seed in range(100)}
    whole = 100 + 3 * PAGE_BYTES
    assert sizes == {0, PAGE_BYTES, 2 * PAGE_BYTES, 3 * PAGE_BYTES, whole}


def test_a_surviving_page_is_in_a_state_that_it_had() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"." * 2 * PAGE_BYTES)
    disk.sync(ino)
    disk.write(ino, 0, b"1")
    disk.write(ino, 1, b"2")
    disk.write(ino, PAGE_BYTES, b"3")
    images = [left(disk, "subset", seed)[b"a"] for seed in range(100)]
    states = {(image[:2], image[PAGE_BYTES : PAGE_BYTES + 1]) for image in images}
    assert states == {(a, b) for a in (b"..", b"1.", b"12") for b in (b".", b"3")}


def test_nothing_survives_a_lost_truncation() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"long")
    disk.sync(ino)
    disk.truncate(ino, 0)
    disk.write(ino, 0, b"new")
    assert {left(disk, "subset", seed)[b"a"] for seed in range(50)} == {b"long", b"", b"new"}


def test_what_was_synced_survives_whatever_else_does() -> None:
    disk = Disk()
    ino = put(disk, b"a", b"hello")
    disk.sync(ino)
    disk.write(ino, 5, b"x" * 9000)
    put(disk, b"b", b"y")
    survivals: tuple[Survive, ...] = ("none", "all", "prefix", "subset")
    for survive in survivals:
        for seed in range(20):
            assert left(disk, survive, seed)[b"a"].startswith(b"hello")


def test_a_committed_change_of_names_is_not_replayed_at_the_cut() -> None:
    disk = Disk(model="strict")
    put(disk, b"a", b"x")
    disk.unlink(ROOT, b"a")
    disk.sync(ROOT)
    assert disk.journal.pending == []
    disk.create(ROOT, b"b", FILE)
    assert {tuple(left(disk, "subset", seed)) for seed in range(50)} == {(), (b"b",)}

"""The disk as a kernel mounts it: before a cut, after it, and after power returns.

Most tests end with a cut and look at the backing directory, which is what the next mount shows.
"""

import errno
import itertools
import mmap
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.conftest import DiskMaker, require
from tests.crash.powercut import PowerCutDisk, why_unavailable
from tests.crash.powercut.mount import REPOSITORY, DiskRefused


def write_synced(path: Path, contents: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(contents)
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(opened)
    os.close(opened)


def refused(code: int, call: Callable[[], object]) -> None:
    with pytest.raises(OSError, match=rf"\[Errno {code}\]"):
        call()


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_synced_is_kept_and_unsynced_is_lost(disk: PowerCutDisk) -> None:
    write_synced(disk.path / "kept", b"hello")
    (disk.path / "lost").write_bytes(b"hello")
    with (disk.path / "kept").open("ab") as file:
        file.write(b" lost")
    assert files(disk.path) == {"kept": b"hello lost", "lost": b"hello"}
    disk.cut()
    assert files(disk.backing) == {"kept": b"hello"}
    disk.remount()
    assert files(disk.path) == {"kept": b"hello"}


def test_after_the_cut_every_operation_fails(disk: PowerCutDisk) -> None:
    path = disk.path / "a"
    write_synced(path, b"hello")
    opened = os.open(path, os.O_RDWR)
    assert os.pread(opened, 5, 0) == b"hello"  # so that the kernel has the page
    disk.cut()
    for call in (
        lambda: os.pread(opened, 5, 0),
        lambda: os.write(opened, b"x"),
        lambda: os.fsync(opened),
        lambda: os.fdatasync(opened),
        lambda: os.ftruncate(opened, 0),
        lambda: os.listdir(disk.path),
        lambda: os.mkdir(disk.path / "b"),
        lambda: os.rename(path, disk.path / "b"),
        lambda: os.unlink(path),
        path.read_bytes,
        lambda: os.statvfs(disk.path),
    ):
        refused(errno.EIO, call)
    os.close(opened)  # a local file system's close does not fail either
    with pytest.raises(DiskRefused, match="cut already"):
        disk.full()
    assert disk.stats()["cut"] is True


def test_a_rename_over_is_atomic_and_durable_with_the_directory(disk: PowerCutDisk) -> None:
    write_synced(disk.path / "CURRENT", b"old")
    write_synced(disk.path / "tmp", b"new")
    os.replace(disk.path / "tmp", disk.path / "CURRENT")
    assert files(disk.path) == {"CURRENT": b"new"}
    before = disk.backing.parent / "before"
    disk.image(before)
    assert files(before) == {"CURRENT": b"old", "tmp": b"new"}
    sync_directory(disk.path)
    disk.cut()
    assert files(disk.backing) == {"CURRENT": b"new"}


def test_an_unlinked_file_is_used_while_open(disk: PowerCutDisk) -> None:
    with (disk.path / "a").open("wb+", buffering=0) as file:
        file.write(b"hello")
        (disk.path / "a").unlink()
        file.write(b" world")
        assert os.pread(file.fileno(), 99, 0) == b"hello world"
        os.fsync(file.fileno())
        assert os.listdir(disk.path) == []
    disk.cut()
    assert files(disk.backing) == {}


def test_directories_links_times_and_modes(disk: PowerCutDisk) -> None:
    folder = disk.path / "d" / "e"
    folder.mkdir(parents=True)
    write_synced(folder / "a", b"x")
    os.link(folder / "a", disk.path / "b")
    os.chmod(folder / "a", 0o600)
    os.utime(folder / "a", ns=(1, 2))
    told = os.stat(disk.path / "b")
    assert (told.st_nlink, told.st_mode & 0o777, told.st_mtime_ns) == (2, 0o600, 2)
    sync_directory(disk.path)
    disk.cut()
    disk.remount()
    assert files(disk.path) == {"d/e/a": b"x", "b": b"x"}
    told = os.stat(disk.path / "b")
    assert (told.st_nlink, told.st_mode & 0o777) == (2, 0o600)
    for path in (folder / "a", disk.path / "b"):
        path.unlink()
    folder.rmdir()
    assert sorted(os.listdir(disk.path)) == ["d"]


def test_many_names_are_listed_once(disk: PowerCutDisk) -> None:
    names = {f"file-{i:04}" for i in range(1000)}
    for name in names:
        (disk.path / name).touch()
    listed = os.listdir(disk.path)
    assert set(listed) == names
    assert len(listed) == len(names)


def test_mapped_files_are_read_and_written(disk: PowerCutDisk) -> None:
    write_synced(disk.path / "a", b"hello")
    with (disk.path / "a").open("rb+") as file, mmap.mmap(file.fileno(), 0) as mapped:
        assert mapped[:] == b"hello"
        mapped[0:1] = b"J"
        mapped.flush()
        os.fsync(file.fileno())
    disk.cut()
    assert files(disk.backing) == {"a": b"Jello"}


def test_a_full_disk_heals(disk: PowerCutDisk) -> None:
    with (disk.path / "a").open("wb", buffering=0) as file:
        file.write(b"hello")
        disk.full()
        refused(errno.ENOSPC, lambda: file.write(b"!"))
        assert os.statvfs(disk.path).f_bavail == 0
        disk.heal()
        file.write(b"!")
    assert files(disk.path) == {"a": b"hello!"}


def test_the_capacity_is_a_bound(make_disk: DiskMaker) -> None:
    disk = make_disk(capacity_bytes=8192)
    refused(errno.ENOSPC, lambda: (disk.path / "a").write_bytes(b"x" * 8193))


def test_a_failed_sync_is_told_once_and_the_bytes_never_arrive(disk: PowerCutDisk) -> None:
    with (disk.path / "a").open("wb", buffering=0) as file:
        file.write(b"hello")
        os.fsync(file.fileno())
        disk.ioerror()
        file.write(b"!")
        refused(errno.EIO, lambda: os.fsync(file.fileno()))
        disk.heal()
        os.fsync(file.fileno())
    disk.cut()
    assert files(disk.backing) == {"a": b"hello"}


def test_nosync_loses_what_was_acknowledged(disk: PowerCutDisk) -> None:
    disk.nosync()
    write_synced(disk.path / "a", b"hello")
    sync_directory(disk.path)
    disk.cut()
    assert files(disk.backing) == {}


def test_an_armed_cut_falls_at_the_beginning_of_a_sync(disk: PowerCutDisk) -> None:
    disk.arm(2)
    write_synced(disk.path / "a", b"1")
    write_synced(disk.path / "b", b"2")
    refused(errno.EIO, lambda: write_synced(disk.path / "c", b"3"))
    refused(errno.EIO, (disk.path / "a").read_bytes)
    assert disk.stats()["cut"] is True
    assert files(disk.backing) == {"a": b"1", "b": b"2"}


def test_some_of_what_was_pending_may_survive_and_a_seed_says_what(make_disk: DiskMaker) -> None:
    def survivors(seed: int) -> bytes:
        disk = make_disk(f"machine-{next(numbers)}")
        with (disk.path / "a").open("wb", buffering=0) as file:
            file.write(b"." * 4096 * 8)
            os.fsync(file.fileno())
            for page in range(8):
                os.pwrite(file.fileno(), b"x", page * 4096)
            disk.cut("subset", seed)
        return (disk.backing / "a").read_bytes()[::4096]

    numbers = itertools.count()
    left = [survivors(seed) for seed in (1, 2, 1)]
    assert left[0] == left[2] != left[1]
    assert set(left[0] + left[1]) == set(b".x")


def test_strict_needs_the_directory_synced(make_disk: DiskMaker) -> None:
    disk = make_disk(model="strict")
    write_synced(disk.path / "a", b"1")
    sync_directory(disk.path)
    write_synced(disk.path / "b", b"2")
    disk.cut()
    assert files(disk.backing) == {"a": b"1"}


def test_an_orderly_unmount_keeps_everything(disk: PowerCutDisk) -> None:
    (disk.path / "a").write_bytes(b"hello")
    disk.unmount()
    assert not disk.path.is_mount()
    assert files(disk.backing) == {"a": b"hello"}
    disk.mount()
    assert files(disk.path) == {"a": b"hello"}


def test_an_unmount_from_outside_keeps_everything(disk: PowerCutDisk) -> None:
    (disk.path / "a").write_bytes(b"hello")
    subprocess.run(["fusermount3", "-u", str(disk.path)], check=True)
    disk.remount()
    assert files(disk.path) == {"a": b"hello"}


def test_files_open_over_a_cut_are_dead_for_ever(disk: PowerCutDisk) -> None:
    write_synced(disk.path / "a", b"hello")
    opened = os.open(disk.path / "a", os.O_RDONLY)
    disk.cut()
    disk.remount()
    refused(errno.ENOTCONN, lambda: os.pread(opened, 1, 0))
    refused(errno.ENOTCONN, lambda: os.close(opened))
    assert files(disk.path) == {"a": b"hello"}


def test_a_dead_owner_leaves_no_mount(make_disk: DiskMaker, tmp_path: Path) -> None:
    """`make_disk` only says whether disks can be mounted here."""
    script = (
        "import os, pathlib, sys; from tests.crash.powercut import PowerCutDisk;"
        "disk = PowerCutDisk(pathlib.Path(sys.argv[1])); disk.mount();"
        "file = open(disk.path / 'a', 'wb', 0); file.write(b'x'); os.fsync(file.fileno());"
        "print(disk._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    folder = tmp_path / "orphan"
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        check=False,
    )
    _wait_for_the_end_of(int(done.stdout))
    assert not (folder / "disk").is_mount()
    assert files(folder / "platters") == {"a": b"x"}


def test_commands_that_are_none_are_refused(disk: PowerCutDisk) -> None:
    with pytest.raises(DiskRefused, match="unknown command"):
        disk._tell("explode")
    with pytest.raises(DiskRefused, match="one of none, all, prefix, subset"):
        disk._tell("cut", "some")
    with pytest.raises(DiskRefused, match="number of syncs"):
        disk._tell("arm", "soon")
    with pytest.raises(DiskRefused, match="must be empty"):
        disk.image(disk.backing.parent)
    with pytest.raises(DiskRefused, match="mounted already"):
        disk.mount()
    assert disk.stats()["cut"] is False


def test_a_machine_without_fuse_skips_but_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: path == "/dev/fuse")
    monkeypatch.setattr("shutil.which", lambda name: None)
    missing = why_unavailable()
    assert missing is not None
    assert "apt-get install fuse3" in missing
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="fuse3"):
        require(missing)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="fuse3"):
        require(missing)
    require(None)


def _wait_for_the_end_of(pid: int) -> None:
    """Of a process that is not our child. It may have ended before we ask."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poller = select.poll()
    poller.register(process, select.POLLIN)
    assert poller.poll(10_000), "the disk outlives its owner"
    os.close(process)


def test_a_socket_is_reached_by_its_name_and_the_name_survives(disk: PowerCutDisk) -> None:
    path = disk.path / "socket"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        listener.bind(str(path))
        listener.listen()
        caller.connect(str(path))
    sync_directory(disk.path)
    disk.cut()
    disk.remount()
    assert path.is_socket()
    with socket.socket(socket.AF_UNIX) as caller:
        refused(errno.ECONNREFUSED, lambda: caller.connect(str(path)))


def test_devices_are_refused(disk: PowerCutDisk) -> None:
    refused(errno.EPERM, lambda: os.mkfifo(disk.path / "pipe"))

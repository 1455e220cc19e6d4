"""The FUSE shell: kernel requests in, calls of the disk out.

Strategy: one handler per request, none awaits, so every request is atomic. A file handle is the
inode number; a directory handle is a listing made when it was opened. OSError becomes FUSEError.
Nothing is cached by name or attribute, so that the kernel asks after a cut as well; cached pages
are thrown away by whoever cuts (see __main__).

Not here: access (without it the kernel grants all), fallocate, copy_file_range, locks (the kernel
keeps them itself), symbolic links.
"""

import errno
import os
import stat
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import pyfuse3
from pyfuse3 import (
    EntryAttributes,
    FileHandleT,
    FileInfo,
    FileNameT,
    FlagT,
    FUSEError,
    InodeT,
    ModeT,
    ReaddirToken,
    RequestContext,
    SetattrFields,
    StatvfsData,
)

from tests.crash.powercut.disk import NAME_BYTES_MAX, Disk
from tests.crash.powercut.node import PAGE_BYTES, Node

P = ParamSpec("P")
R = TypeVar("R")
Handler = Callable[Concatenate["PowerCutOperations", P], Coroutine[Any, Any, R]]


def _answers_errno(handler: Handler[P, R]) -> Handler[P, R]:
    async def wrapped(self: "PowerCutOperations", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await handler(self, *args, **kwargs)
        except OSError as error:
            raise FUSEError(error.errno or errno.EIO) from error

    return wrapped


class PowerCutOperations(pyfuse3.Operations):
    """Serves `disk`. `before_sync` is called ahead of every sync, and may cut the power."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(self, disk: Disk, before_sync: Callable[[], None]) -> None:
        super().__init__()
        self._disk = disk
        self._before_sync = before_sync
        self._listings: dict[int, tuple[int, list[tuple[bytes, int]]]] = {}
        self._last_handle = 0

    @_answers_errno
    async def lookup(
        self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        return self._attributes(self._disk.lookup(parent_inode, name))

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        """Nothing to do: nodes live as long as names or open files need them."""

    @_answers_errno
    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        return self._attributes(self._disk.node(inode))

    @_answers_errno
    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        node = self._disk.node(inode)
        if fields.update_size:
            self._disk.truncate(inode, attr.st_size)
        kept = node.attributes
        if fields.update_mode:
            kept.mode = attr.st_mode
        if fields.update_uid:
            kept.uid = attr.st_uid
        if fields.update_gid:
            kept.gid = attr.st_gid
        if fields.update_atime:
            kept.atime_ns = attr.st_atime_ns
        if fields.update_mtime:
            kept.mtime_ns = attr.st_mtime_ns
        kept.ctime_ns = self._disk.now_ns()
        return self._attributes(node)

    @_answers_errno
    async def mkdir(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext
    ) -> EntryAttributes:
        return self._attributes(self._create(parent_inode, name, mode, ctx))

    @_answers_errno
    async def mknod(
        self,
        parent_inode: InodeT,
        name: FileNameT,
        mode: ModeT,
        rdev: int,
        ctx: RequestContext,
    ) -> EntryAttributes:
        """A socket's name, or a file. Who listens behind the name is the kernel's to know."""
        if not (stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
            raise FUSEError(errno.EPERM)
        return self._attributes(self._create(parent_inode, name, mode, ctx))

    @_answers_errno
    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        self._disk.unlink(parent_inode, name)

    @_answers_errno
    async def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        self._disk.rmdir(parent_inode, name)

    @_answers_errno
    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: FileNameT,
        parent_inode_new: InodeT,
        name_new: FileNameT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        if flags & pyfuse3.RENAME_EXCHANGE:
            raise FUSEError(errno.EINVAL)
        replace = not flags & pyfuse3.RENAME_NOREPLACE
        self._disk.rename(parent_inode_old, name_old, parent_inode_new, name_new, replace=replace)

    @_answers_errno
    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        return self._attributes(self._disk.link(inode, new_parent_inode, new_name))

    @_answers_errno
    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        if flags & os.O_TRUNC:
            self._disk.truncate(inode, 0)
        self._disk.open(inode)
        return FileInfo(fh=FileHandleT(inode))

    @_answers_errno
    async def create(
        self,
        parent_inode: InodeT,
        name: FileNameT,
        mode: ModeT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> tuple[FileInfo, EntryAttributes]:
        node = self._create(parent_inode, name, mode, ctx)
        self._disk.open(node.ino)
        return FileInfo(fh=FileHandleT(node.ino)), self._attributes(node)

    @_answers_errno
    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        return self._disk.read(fh, off, size)

    @_answers_errno
    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        return self._disk.write(fh, off, buf)

    async def flush(self, fh: FileHandleT) -> None:
        """close(2). It writes nothing, and like a local file system's it never fails."""

    async def release(self, fh: FileHandleT) -> None:
        self._disk.close(fh)

    @_answers_errno
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        self._before_sync()
        self._disk.sync(fh)

    @_answers_errno
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        entries = self._disk.node(inode).entries
        self._last_handle += 1
        self._listings[self._last_handle] = (inode, sorted(entries.items()))
        return FileHandleT(self._last_handle)

    @_answers_errno
    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        parent, entries = self._listings[fh]
        self._disk.node(parent)
        for i, (name, ino) in enumerate(entries[start_id:], start_id + 1):
            node = self._disk.nodes.get(ino)
            if node is not None and not pyfuse3.readdir_reply(
                token, FileNameT(name), self._attributes(node), i
            ):
                return

    async def releasedir(self, fh: FileHandleT) -> None:
        self._listings.pop(fh, None)

    @_answers_errno
    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        self._before_sync()
        self._disk.sync(self._listings[fh][0])

    @_answers_errno
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        self._disk.node(pyfuse3.ROOT_INODE)
        free_bytes = 0 if self._disk.faults.full else self._disk.free_bytes
        told = StatvfsData()
        told.f_bsize = told.f_frsize = PAGE_BYTES
        told.f_blocks = self._disk.capacity_bytes // PAGE_BYTES
        told.f_bfree = told.f_bavail = free_bytes // PAGE_BYTES
        told.f_files = told.f_ffree = told.f_favail = 1 << 20
        told.f_namemax = NAME_BYTES_MAX
        return told

    def _create(self, parent: int, name: bytes, mode: int, ctx: RequestContext) -> Node:
        node = self._disk.create(parent, name, mode & ~ctx.umask)
        node.attributes.uid, node.attributes.gid = ctx.uid, ctx.gid
        return node

    def _attributes(self, node: Node) -> EntryAttributes:
        kept = node.attributes
        told = EntryAttributes()
        told.st_ino = InodeT(node.ino)
        told.st_mode = ModeT(kept.mode)
        told.st_nlink = 2 if node.is_dir else node.links
        told.st_uid, told.st_gid = kept.uid, kept.gid
        told.st_size = node.size
        told.st_blksize = PAGE_BYTES
        told.st_blocks = -(-node.size // 512)
        told.st_atime_ns, told.st_mtime_ns = kept.atime_ns, kept.mtime_ns
        told.st_ctime_ns = kept.ctime_ns
        told.entry_timeout = told.attr_timeout = 0
        return told

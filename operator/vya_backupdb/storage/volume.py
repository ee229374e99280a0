"""The volume as system calls: directories held open, every name taken relative to one of them.

Invariants: no symbolic link below the base path is ever followed (each component is opened with ``O_NOFOLLOW`` from its
parent's descriptor, so a swap between check and use finds nothing); no call here replaces an existing file except
`Directory.rename`; modes do not depend on the umask. What the file system cannot do (sync a directory, set a mode) is
noted once in `Volume.notices` and tolerated: durability not provided is a fact to report, not a reason to keep nothing.
Everything here raises OSError; see `faults`.
"""

import ctypes
import errno
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Self

from vya_backupdb.storage.faults import UNSUPPORTED

DIRECTORY_MODE: Final = 0o755
RENAME_NOREPLACE: Final = 1

#: Called after every single step that changes the volume, with the step's name. The crash tests kill us from here.
Step = Callable[[str], None]

_libc: Final = ctypes.CDLL(None, use_errno=True)


def no_step(_name: str) -> None:
    """The step hook of normal life."""


@dataclass(slots=True)
class Volume:
    """The base path, and what was learned about its file system on the way."""

    base: Path
    file_mode: int = 0o600
    step: Step = no_step
    can_link: bool = True
    can_rename_noreplace: bool = True
    _notices: dict[str, None] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the volume does not provide, one sentence each, in the order of discovery."""
        with self._guard:
            return tuple(self._notices)

    def notice(self, text: str) -> None:
        """Note `text`, once."""
        with self._guard:
            self._notices.setdefault(text)

    def root(self, *, create: bool = False) -> "Directory":
        """Open the base path; it alone may be, or lead through, a symbolic link. FileNotFoundError if it is missing."""
        if create:
            missing = [path for path in (self.base, *self.base.parents) if not path.exists()]
            there = missing[-1].parent if missing else self.base
            if _is_empty(there):
                with suppress(PermissionError), Directory(_open(there.parent), there.parent, self) as above:
                    above.sync()
            for path in reversed(missing):
                _make_directory(path.name, _open(path.parent), self)
        return Directory(_open(self.base), self.base, self)

    def sync(self, descriptor: int, what: str) -> None:
        """Bring what was written to `descriptor` to the disk; a file system that cannot gets a notice."""
        try:
            os.fsync(descriptor)
        except OSError as error:
            # never retried: after a failed fsync the kernel may have marked the pages clean
            if error.errno not in UNSUPPORTED:
                raise
            self.notice(
                f"the volume cannot sync {what}: a backup may be lost in a power failure just after it was made"
            )

    def set_mode(self, descriptor: int, mode: int) -> None:
        """Give the open file exactly `mode`, keeping set-gid (``fsGroup``) on directories."""
        current = os.fstat(descriptor).st_mode
        wanted = mode | (current & stat.S_ISGID if stat.S_ISDIR(current) else 0)
        if stat.S_IMODE(current) == wanted:
            return
        try:
            os.fchmod(descriptor, wanted)
        except OSError as error:
            if error.errno not in UNSUPPORTED | {errno.EPERM}:
                raise
            self.notice("the volume does not keep file modes: who may read the backups is decided by its mount options")


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _is_empty(directory: Path | int) -> bool:
    """Whether nothing is in it: whoever made it may have died before its name was durable.

    Nothing is ever put into a directory before that (`_make_directory`).
    """
    with os.scandir(directory) as entries:
        return next(entries, None) is None


def _make_directory(name: str, parent: int, volume: Volume) -> None:
    """Make `name` in the open directory `parent` (closed here), durable, with the right mode; an existing one stays."""
    try:
        try:
            os.mkdir(name, DIRECTORY_MODE, dir_fd=parent)
        except FileExistsError:
            return
        made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            volume.set_mode(made, DIRECTORY_MODE)
        finally:
            os.close(made)
        volume.sync(parent, "directories")
        volume.step(f"made directory {name}")
    finally:
        os.close(parent)


class Directory:
    """One directory of the tree, held open: all names are bare names inside it."""

    __slots__ = ("_descriptor", "path", "volume")

    def __init__(self, descriptor: int, path: Path, volume: Volume) -> None:
        self._descriptor = descriptor
        self.path = path
        self.volume = volume

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; further calls do nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def child(self, name: str, *, create: bool = False) -> "Directory":
        """Open the directory `name`, making it first if `create`. NotADirectoryError if it is a link or a file."""
        made = create and self.stat(name) is None
        if made:
            _make_directory(name, os.dup(self._descriptor), self.volume)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self._descriptor)
        if create and not made and _is_empty(descriptor):
            self.sync()
        return Directory(descriptor, self.path / name, self.volume)

    def descend(self, relative: PurePosixPath, *, create: bool = False) -> "Directory":
        """Open `relative`, component by component. The receiver stays open."""
        current = Directory(os.dup(self._descriptor), self.path, self.volume)
        for name in relative.parts:
            with current:
                current = current.child(name, create=create)
        return current

    def scan(self) -> list[tuple[str, bool]]:
        """Return each entry's name and whether it is a directory (a link to one is not), in no order."""
        with os.scandir(self._descriptor) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]

    def names(self) -> list[str]:
        """Return all entries' names, hidden ones too."""
        return os.listdir(self._descriptor)  # noqa: PTH208 - a descriptor, not a path

    def stat(self, name: str) -> os.stat_result | None:
        """Return what `name` is, itself and not what it links to; None if it is not there."""
        try:
            return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def create(self, name: str, *, mode: int | None = None) -> int:
        """Make the new file `name` and return its descriptor. FileExistsError if the name is taken, by whatever."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self._descriptor)
        try:
            self.volume.set_mode(descriptor, self.volume.file_mode if mode is None else mode)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def open_read(self, name: str, *, and_write: bool = False) -> int:
        """Return a descriptor of the regular file `name`. OSError ELOOP or EINVAL if it is anything else.

        NB: O_NONBLOCK, because opening a FIFO that someone put there would wait for ever.
        """
        flags = (os.O_RDWR if and_write else os.O_RDONLY) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self._descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", name)
        return descriptor

    def open_lock(self, name: str) -> int:
        """Return a descriptor of the lock file `name`, made if it is missing."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=self._descriptor)

    def read(self, name: str, *, limit: int) -> bytes:
        """Return the bytes of the regular file `name`. OSError EFBIG if it has more than `limit`."""
        with open(self.open_read(name), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
            data = b"".join(iter(lambda: file.read(1 << 16), b"")) if os.fstat(file.fileno()).st_size <= limit else None
        if data is None or len(data) > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", name)
        return data

    def write(self, name: str, data: bytes) -> os.stat_result:
        """Make the new file `name` with `data`, synced, and return its stat. On an error nothing of it stays."""
        descriptor = self.create(name)
        try:
            write_all(descriptor, data)
            self.volume.sync(descriptor, "files")
            return os.fstat(descriptor)
        except OSError:
            self.unlink(name)
            raise
        finally:
            os.close(descriptor)

    def replace(self, name: str, data: bytes) -> None:
        """Put `data` under `name` in one step, durable: a reader sees the old bytes or the new. For our ledgers only.

        The caller holds a lock: the name in between is fixed, so that a crash leaves one file and not one a crash.
        """
        temporary = f".{name.lstrip('.')}.new"
        self.unlink(temporary)
        self.write(temporary, data)
        self.rename(temporary, name)
        self.sync()

    def unlink(self, name: str) -> bool:
        """Remove `name`; return whether it was there."""
        try:
            os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return False
        return True

    def remove_directory(self, name: str) -> bool:
        """Remove the directory `name` if it is empty; return whether it is gone."""
        try:
            os.rmdir(name, dir_fd=self._descriptor)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EBUSY}:
                return error.errno == errno.ENOENT
            raise
        return True

    def link(self, old: str, new: str) -> None:
        """Give the file `old` the second name `new`. FileExistsError if that is taken."""
        here = self._descriptor
        os.link(old, new, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)

    def rename(self, old: str, new: str) -> None:
        """Rename, replacing what is under `new`. For tombstones, ledgers and reserved names only."""
        os.rename(old, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def rename_noreplace(self, old: str, new: str) -> None:
        """Rename in one step, or FileExistsError; OSError in `UNSUPPORTED` where kernel or file system cannot."""
        call = getattr(_libc, "renameat2", None)
        if call is None:
            raise OSError(errno.ENOSYS, "no renameat2 in this C library", new)
        here = self._descriptor
        if call(here, os.fsencode(old), here, os.fsencode(new), RENAME_NOREPLACE) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), new)

    def sync(self) -> None:
        """Make the names durable."""
        self.volume.sync(self._descriptor, "directories")

    def free(self) -> os.statvfs_result:
        """Return the file system's numbers."""
        return os.fstatvfs(self._descriptor)


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> int:
    """Write all of `data`: a single write may take less of it. Return the number of bytes."""
    view = memoryview(data).cast("B")
    total = len(view)
    while view:
        view = view[os.write(descriptor, view) :]
    return total

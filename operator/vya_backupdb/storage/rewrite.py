"""Replacing one small file in place, for files that people own: credentials and tokens, outside the tree.

A reader sees the old bytes or the new ones, whole, and a crash leaves the old file; what a killed writer left beside it
(``.{name}.new``, mode 0600) is removed by the next one. Writers exclude each other by a lock on the directory. A file
that was changed between reading and replacing is not overwritten. Owner and mode stay as they were: whoever could read
the file before still can, and nobody else.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from vya_backupdb.domain.errors import ConfigurationError, CredentialsMissing, CredentialsUnreadable
from vya_backupdb.storage.volume import write_all

PRIVATE: Final = 0o600
LIMIT_BYTES: Final = 1 << 20


def update(path: Path, change: Callable[[bytes], bytes]) -> bool:
    """Replace the bytes of the file `path` by what `change` makes of them; return whether they differ.

    A symbolic link is followed: the file that it names is replaced. Raise CredentialsMissing if there is no file,
    CredentialsUnreadable if it cannot be read or written; whatever `change` raises, with nothing changed.
    """
    real = path.resolve()
    with _reported(path), _alone(real.parent):
        before, data = _read(real)
        changed = change(data)
        if changed == data:
            return False
        _replace(real, changed, before=before)
    return True


def create(path: Path, data: bytes, *, force: bool) -> None:
    """Write `data` to `path` with mode 0600. Raise ConfigurationError if it exists and `force` is not given.

    Raise CredentialsUnreadable if it cannot be written.
    """
    real = path.resolve() if force else path
    with _reported(path), _alone(real.parent):
        exists = os.path.lexists(real)
        if exists and not force:
            raise ConfigurationError(f"{path} exists already", hint="Give another --output, or --force to replace it.")
        _replace(real, data, before=real.stat() if exists else None, mode=PRIVATE)


def _read(path: Path) -> tuple[os.stat_result, bytes]:
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        data = file.read(LIMIT_BYTES + 1)
    if len(data) > LIMIT_BYTES:
        raise OSError(errno.EFBIG, f"larger than {LIMIT_BYTES} bytes")
    return found, data


def _replace(path: Path, data: bytes, *, before: os.stat_result | None, mode: int | None = None) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    try:
        write_all(descriptor, data)
        _make_alike(descriptor, before, mode)
        os.fsync(descriptor)
        if before is not None and _identity(path.stat()) != _identity(before):
            raise OSError(errno.EAGAIN, "another program changed it meanwhile")
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    _sync(path.parent)


def _make_alike(descriptor: int, before: os.stat_result | None, mode: int | None) -> None:
    if before is not None:
        made = os.fstat(descriptor)
        if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
            # as root: without it the service that owns the file could not read it any more
            os.fchown(descriptor, before.st_uid, before.st_gid)
    wanted = mode if mode is not None else (before.st_mode & 0o777 if before is not None else PRIVATE)
    # after the owner, so that no one but the new owner ever has more than 0600; umask plays no part
    os.fchmod(descriptor, wanted)


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the lock of the directory, where it has one: some network file systems have none, and identity is left."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turn an OSError into the error that names `path`."""
    try:
        yield
    except FileNotFoundError:
        raise CredentialsMissing(f"{path} is not there", hint="Correct the path.") from None
    except OSError as error:
        raise CredentialsUnreadable(
            f"{path} cannot be rewritten: {(error.strerror or '').lower()}",
            hint="Run this as the user who owns the file, where its directory can be written to; nothing was changed.",
        ) from None

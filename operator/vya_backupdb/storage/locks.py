"""Locks on files of the tree: ``flock``, which the kernel gives back when its holder dies, however it dies.

Two kinds: the lock of a run (``.runs/{run}.lock``, held as long as the run lives; whoever gets another run's lock
knows that run dead) and the lock of the tree (``.lock``, held for the moments in which names appear or disappear).
Every acquisition opens the file anew, so two threads of one process exclude each other like two processes.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vya_backupdb.storage.faults import UNSUPPORTED
from vya_backupdb.storage.volume import Directory

CANNOT: Final = UNSUPPORTED | {errno.ENOLCK}
NO_LOCKS: Final = (
    "the volume cannot lock files: leftovers of crashed runs stay, and two runs at once are not told apart"
)


class FileLock:
    """A lock file held open. `exclusive` is False where the volume cannot lock: then nothing is known of the others."""

    __slots__ = ("_descriptor", "_directory", "exclusive", "name")

    def __init__(self, directory: Directory, name: str, descriptor: int, *, exclusive: bool) -> None:
        self._directory = directory
        self._descriptor = descriptor
        self.name = name
        self.exclusive = exclusive

    def release(self, *, remove: bool) -> None:
        """Give the lock back; with `remove` its file goes first, while no one else can hold it."""
        try:
            if remove:
                self._directory.unlink(self.name)
        finally:
            os.close(self._descriptor)


def acquire(directory: Directory, name: str, *, wait: bool) -> FileLock | None:
    """Lock the file `name` in `directory` (which must stay open), or return None if it is held and `wait` is False."""
    operation = fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
    while True:
        descriptor = directory.open_lock(name)
        try:
            fcntl.flock(descriptor, operation)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno in CANNOT:
                directory.volume.notice(NO_LOCKS)
                return FileLock(directory, name, descriptor, exclusive=False)
            os.close(descriptor)
            raise
        found = directory.stat(name)
        if found is not None and os.path.samestat(found, os.fstat(descriptor)):
            return FileLock(directory, name, descriptor, exclusive=True)
        # its last holder removed the file between our open and our lock: this lock excludes nobody
        os.close(descriptor)


@contextmanager
def hold(directory: Directory, name: str) -> Iterator[None]:
    """Hold the lock `name` during the block, waiting for it; its file stays."""
    lock = acquire(directory, name, wait=True)
    try:
        yield
    finally:
        if lock is not None:
            lock.release(remove=False)

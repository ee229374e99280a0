"""A file that is being written, read back from the disk while the rest is written: one writer, one reader, two threads.

The reader brings each piece to the disk itself and drops it from the page cache before it reads it, so that the device
answers and not our memory, and the node's page cache stays its own. The writer never waits for the reader. So reading
back costs hardly any time: where it was done after the writing, it took a fifth of the whole.
"""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Final

from vya_backupdb.storage.compress import READ_BYTES

#: So much is written before it is read; less is read only when it is the last.
PIECE_BYTES: Final = 8 << 20


class GivenUp(Exception):
    """The writer will not finish: there is nothing to be read any more."""


class Behind:
    """How far the writer is."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._size, self._ended, self._given_up = 0, False, False

    def wrote(self, size: int) -> None:
        """Note that the file has `size` bytes now."""
        with self._changed:
            self._size = size
            self._changed.notify_all()

    def end(self) -> None:
        """Note that no more will be written."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def give_up(self) -> None:
        """Note that the file is of no use; a reader that waits is told so."""
        with self._changed:
            self._given_up = True
            self._changed.notify_all()

    def chunks(self, descriptor: int, sync: Callable[[int], None]) -> Iterator[bytes]:
        """Yield the bytes of the open file as the disk gives them, up to the writer's end. Raise GivenUp, OSError.

        `sync` brings what was written so far to the disk.
        """
        position, ended = 0, False
        while not ended:
            limit, ended = self._wait_beyond(position)
            sync(descriptor)
            os.posix_fadvise(descriptor, position, limit - position, os.POSIX_FADV_DONTNEED)
            while position < limit and (chunk := os.read(descriptor, min(READ_BYTES, limit - position))):
                position += len(chunk)
                yield chunk

    def _wait_beyond(self, position: int) -> tuple[int, bool]:
        with self._changed:
            self._changed.wait_for(lambda: self._given_up or self._ended or self._size - position >= PIECE_BYTES)
            if self._given_up:
                raise GivenUp
            return self._size, self._ended

"""A backup that is read back while it is written: every byte comes from the disk, and nobody waits for ever."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.storage.support import NOW, tree

from vya_backupdb.domain.errors import BackupCorrupt
from vya_backupdb.domain.ids import RunId
from vya_backupdb.storage.behind import PIECE_BYTES
from vya_backupdb.storage.pending import PendingBackup

BLOCK = os.urandom(1 << 20)


@pytest.fixture
def pending(base: Path) -> Iterator[PendingBackup]:
    """A backup under way."""
    instance, run = tree(base), RunId("run-1")
    with instance.lock_run(run), instance.open("shop", NOW, run) as one:
        yield one


@pytest.fixture
def reader() -> Iterator[ThreadPoolExecutor]:
    """A thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def read(pool: ThreadPoolExecutor, pending: PendingBackup) -> tuple["Future[bytes]", threading.Event]:
    """Read `pending` back in a thread; the event tells that something came back."""
    some = threading.Event()

    def reading() -> bytes:
        pieces = []
        for piece in pending.reread():
            pieces.append(piece)
            some.set()
        return b"".join(pieces)

    return pool.submit(reading), some


def fill(pending: PendingBackup, size: int) -> None:
    """Write so many bytes more."""
    for _ in range(size // len(BLOCK)):
        pending.write(BLOCK)


def test_what_is_on_the_disk_comes_back_before_the_writer_has_ended(
    pending: PendingBackup, reader: ThreadPoolExecutor
) -> None:
    future, some = read(reader, pending)
    fill(pending, PIECE_BYTES)
    assert some.wait(60)
    fill(pending, PIECE_BYTES // 2)
    assert not future.done()
    pending.finish()
    assert future.result(60) == BLOCK * (PIECE_BYTES // len(BLOCK) * 3 // 2)


def test_a_byte_that_changed_behind_the_writer_is_found(
    base: Path, pending: PendingBackup, reader: ThreadPoolExecutor
) -> None:
    fill(pending, PIECE_BYTES)
    (partial,) = base.rglob("*.partial-*")
    with partial.open("r+b") as file:
        file.seek(PIECE_BYTES // 3)
        file.write(bytes([BLOCK[PIECE_BYTES // 3 % len(BLOCK)] ^ 1]))
    future, _some = read(reader, pending)
    fill(pending, len(BLOCK))
    pending.finish()
    with pytest.raises(BackupCorrupt, match="other bytes came back"):
        future.result(60)


def test_a_reader_of_what_is_given_up_is_told_so(pending: PendingBackup, reader: ThreadPoolExecutor) -> None:
    future, some = read(reader, pending)
    fill(pending, PIECE_BYTES)
    assert some.wait(60)
    pending.abort()
    with pytest.raises(BackupCorrupt, match="given up"):
        future.result(60)


def test_an_empty_file_ends_at_once(pending: PendingBackup, reader: ThreadPoolExecutor) -> None:
    future, _some = read(reader, pending)
    pending.finish()
    assert future.result(60) == b""

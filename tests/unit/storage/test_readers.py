"""Who reads a backup keeps it: no deletion takes a restore's source away, and none waits for a reader that died."""

import errno
import os
import signal
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from tests.unit.storage.support import (
    CAN_DENY,
    NOW,
    SQL,
    assert_whole,
    deny,
    fork,
    forked,
    later,
    run_once,
    together,
    tree,
)

from vya_backupdb.domain.errors import Busy, NotFound
from vya_backupdb.storage.catalog import StoredBackup

_FLOCK = 73


def test_what_another_process_reads_is_not_deleted_until_that_has_died(base: Path) -> None:
    one = tree(base)
    stored = run_once(one, "chinook")
    reader, writer = os.pipe()

    def story() -> None:
        with tree(base).reading(stored):
            os.write(writer, b".")
            signal.pause()

    child = forked(story)
    try:
        assert os.read(reader, 1)
        with pytest.raises(Busy, match="being read"):
            one.delete(stored, now=NOW)
        assert one.verify(stored)
        assert len(assert_whole(base)) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    one.delete(stored, now=NOW)
    assert one.backups() == []
    os.close(reader)
    os.close(writer)


def test_a_reading_that_has_begun_comes_to_its_end(base: Path) -> None:
    one = tree(base)
    stored = run_once(one, "chinook")
    pieces = one.read(stored)
    first = next(pieces)
    with pytest.raises(Busy):
        one.delete(stored, now=NOW)
    assert first + b"".join(pieces) == SQL
    one.delete(stored, now=NOW)


def test_what_is_gone_cannot_be_held(base: Path) -> None:
    one = tree(base)
    stored, other = run_once(one, "chinook"), run_once(one, "chinook", later(1))
    one.delete(stored, now=NOW)
    with pytest.raises(NotFound, match="is gone"), one.reading(stored):
        pass
    one.delete(other, now=NOW)  # and its directory
    with pytest.raises(NotFound, match="is gone"), one.reading(other):
        pass


def _again(base: Path, stored: StoredBackup) -> StoredBackup:
    """Delete `stored`, and let another run make a backup of the same second, which takes its names."""
    tree(base).delete(stored, now=NOW)
    made = run_once(tree(base), "chinook", run="again")
    assert made.path == stored.path
    return made


def test_another_backup_under_its_names_is_not_what_was_listed(base: Path) -> None:
    one = tree(base)
    stored = run_once(one, "chinook")
    other = _again(base, stored)
    with pytest.raises(NotFound, match="is gone"), one.reading(stored):
        pass
    one.delete(stored, now=NOW)  # gone already: no error, and nothing else goes
    assert one.backups() == [other]


@pytest.mark.parametrize("name", ["sql.gz.sha256", "metadata.json"])
def test_a_listing_that_meets_a_deletion_and_a_backup_of_the_same_second(base: Path, name: str) -> None:
    """The names change hands just before the listing opens one of the files: it shows the one or the other, whole."""
    stored = run_once(tree(base), "chinook")
    staying = run_once(tree(base), "chinook", later(1))  # or the directory would go

    def child() -> None:
        reached: list[str] = []
        made: list[StoredBackup] = []

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event == "open" and arguments[0] == f"{stored.id}.{name}" and not reached:
                reached.append(name)
                made.append(_again(base, stored))

        sys.addaudithook(hook)  # for good: hence a process of its own
        assert tree(base).backups() == [*made, staying]
        assert made

    assert fork(child) == 0


def test_a_reader_and_a_deleter_never_meet(memory: Path) -> None:
    """Whoever holds a backup can read all of it, as often as it likes."""

    def reader() -> None:
        one = tree(memory)
        for _round in range(30):
            for stored in one.backups():
                with ExitStack() as held:
                    try:
                        held.enter_context(one.reading(stored))
                    except NotFound:
                        continue  # deleted before it was held
                    assert one.verify(stored) == one.verify(stored)

    def deleter(name: str) -> None:
        one = tree(memory)
        for number in range(20):
            run_once(one, "chinook", later(number % 3), run=f"{name}-{number}")
            for stored in one.backups():
                try:
                    one.delete(stored, now=NOW)
                except Busy:
                    continue

    together([reader, reader, partial(deleter, "a"), partial(deleter, "b")])
    tree(memory).claim(None, None)
    assert_whole(memory)


@pytest.mark.skipif(not CAN_DENY, reason="volumes without locks are NOT tested: no seccomp filter here")
def test_without_locks_a_backup_can_be_read_and_deleted(tmp_path: Path) -> None:
    stored = run_once(tree(tmp_path), "chinook")

    def child() -> None:
        deny({_FLOCK: errno.ENOLCK})
        one = tree(tmp_path)
        with one.reading(stored):
            assert one.verify(stored)
        one.delete(stored, now=NOW)
        assert one.backups() == []
        assert any("cannot lock files" in notice for notice in one.notices)

    assert fork(child) == 0

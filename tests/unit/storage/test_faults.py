"""A volume that is full, read-only, or does not know an operation: no hang, no lie, and the space is given back."""

import errno
import fcntl
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.unit.storage.support import CAN_DENY, NOW, assert_whole, deny, fork, later, metadata, run_once, tree

from vya_backupdb.domain.errors import NoSpace, StorageUnavailable
from vya_backupdb.domain.ids import RunId
from vya_backupdb.storage.compress import GzipWriter
from vya_backupdb.storage.tree import InstanceTree

PAGE = 4096
NOISE = random.Random(7).randbytes(10 * PAGE)
LINES = b"INSERT INTO artist VALUES (1, 'AC/DC');\n" * 40

_MOUNT, _IOCTL, _FSYNC, _FLOCK, _FCHMOD = 165, 16, 74, 73, 91
needs_seccomp = pytest.mark.skipif(not CAN_DENY, reason="refusing file systems are NOT tested: no seccomp filter here")


def _mount(point: Path, *options: str) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "none", point], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"full and read-only volumes are NOT tested: mount says {done.stderr.strip()}")


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("full and read-only volumes are NOT tested: only root may mount")
    point = tmp_path / "tiny"
    point.mkdir()
    _mount(point, "-o", "size=1m,nr_inodes=200")
    yield point
    subprocess.run(["umount", point], check=True)


def _free_pages(point: Path) -> int:
    return os.statvfs(point).f_bavail


def _fill(point: Path, *, leave: int) -> None:
    """Leave exactly so many free pages of 4 KiB."""
    filler = point / "filler"
    filler.unlink(missing_ok=True)
    descriptor = os.open(filler, os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(descriptor, 0, (_free_pages(point) - leave) * PAGE)
    os.close(descriptor)
    assert _free_pages(point) == leave


def _attempt(one: InstanceTree, sql: bytes, second: int) -> None:
    with one.lock_run(RunId("run-1")), one.open("chinook", later(second), RunId("run-1")) as pending:
        with GzipWriter(pending, level=6) as gzip:
            gzip.write(sql)
        pending.finish()
        pending.publish(metadata("chinook", later(second)))


def test_full_at_any_page(tiny: Path) -> None:
    one = tree(tiny)
    run_once(one, "chinook")
    with_dump, refused = 0, 0
    for leave in range(20):
        _fill(tiny, leave=leave)
        names = {path.name for path in tiny.rglob("chinook_*")}
        try:
            _attempt(one, NOISE + LINES, leave + 1)
            with_dump += 1
        except NoSpace:
            refused += 1
            assert {path.name for path in tiny.rglob("*chinook_*")} == names, "something was left under a name"
            assert _free_pages(tiny) == leave, "the space was not given back"
        (tiny / "filler").unlink()
        for stored in one.backups()[1:]:
            one.delete(stored, now=NOW)
        assert len(assert_whole(tiny)) == 1
    assert with_dump >= 2
    assert refused >= 10
    assert one.notices == ()


def test_no_inode_is_left(tiny: Path) -> None:
    one = tree(tiny)
    run_once(one, "chinook")
    (tiny / "many").mkdir()
    for leave in range(10):
        shutil.rmtree(tiny / "many")
        (tiny / "many").mkdir()
        for number in range(os.statvfs(tiny).f_ffree - leave):
            (tiny / "many" / str(number)).touch()
        try:
            _attempt(one, LINES, leave + 1)
        except NoSpace:
            assert leave < 7  # a lock, three partials, and on a tmpfs each link counts
        else:
            assert leave >= 7
        for path in list((tiny / "many").iterdir()):
            path.unlink()
        for stored in one.backups()[1:]:
            one.delete(stored, now=NOW)
        assert len(assert_whole(tiny)) == 1


def test_a_read_only_volume_heals(tiny: Path) -> None:
    one = tree(tiny)
    stored = run_once(one, "chinook")
    subprocess.run(["mount", "-o", "remount,ro", tiny], check=True)
    writing: list[Callable[[], object]] = [
        partial(one.claim, "ns/shop", "server-1"),
        one.recover,
        partial(one.delete, stored, now=NOW),
        partial(run_once, one, "chinook"),
    ]
    for write in writing:
        with pytest.raises(StorageUnavailable, match="read-only file system"):
            write()
    assert one.backups() == [stored]
    assert one.verify(stored)
    subprocess.run(["mount", "-o", "remount,rw", tiny], check=True)
    run_once(one, "chinook")
    assert len(assert_whole(tiny)) == 2


def test_read_only_half_way_through(tiny: Path) -> None:
    one = tree(tiny)
    run_once(one, "chinook")
    with one.lock_run(RunId("run-1")):
        with one.open("chinook", NOW, RunId("run-1")) as pending:
            pending.write(LINES)
            pending.finish()
            # as after an I/O error; a file open for writing would forbid it here
            lock = [path for path in tiny.rglob("*.lock") if path.parent.name == ".runs"]
            assert lock
            subprocess.run(["mount", "-o", "remount,ro", tiny], capture_output=True)
            if os.statvfs(tiny).f_flag & os.ST_RDONLY:
                with pytest.raises(StorageUnavailable, match="read-only"):
                    pending.publish(metadata("chinook"))
        subprocess.run(["mount", "-o", "remount,rw", tiny], check=True)
        one.recover()
    assert len(assert_whole(tiny)) == 1


def test_a_base_path_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable, match="not a directory"):
        tree(tmp_path / "file").claim(None, None)
    with pytest.raises(StorageUnavailable, match="not a directory"):
        tree(tmp_path / "file").backups()


@needs_seccomp
@pytest.mark.parametrize("error", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_volume_that_cannot_sync_says_so_once(tmp_path: Path, error: int) -> None:
    def child() -> None:
        deny({_FSYNC: error})
        one = tree(tmp_path)
        run_once(one, "chinook")
        run_once(one, "chinook")
        assert [notice for notice in one.notices if "cannot sync" in notice] == list(one.notices)
        assert len(one.notices) == 2, one.notices

    assert fork(child) == 0
    assert len(assert_whole(tmp_path)) == 2


@needs_seccomp
def test_a_failed_sync_fails_the_backup(tmp_path: Path) -> None:
    run_once(tree(tmp_path), "chinook")

    def child() -> None:
        one = tree(tmp_path)
        with one.lock_run(RunId("run-1")), one.open("chinook", NOW, RunId("run-1")) as pending:
            pending.write(LINES)
            deny({_FSYNC: errno.EIO})
            with pytest.raises(StorageUnavailable, match=r"syncing .* input/output error"):
                pending.finish()

    assert fork(child) == 0
    assert len(assert_whole(tmp_path)) == 1


@needs_seccomp
def test_a_volume_without_modes_says_so(tmp_path: Path) -> None:
    def child() -> None:
        os.umask(0o077)
        deny({_FCHMOD: errno.EPERM})
        one = tree(tmp_path, file_mode=0o640)
        run_once(one, "chinook")
        assert any("does not keep file modes" in notice for notice in one.notices)

    assert fork(child) == 0


@needs_seccomp
@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_nothing_of_another_run_is_removed(tmp_path: Path, error: int) -> None:
    run_once(tree(tmp_path), "chinook")
    left = next(tmp_path.rglob("*.sql.gz")).with_name(".chinook_20260329_023015_full_2.sql.gz.partial-other")
    left.write_bytes(b"perhaps alive")

    def child() -> None:
        deny({_FLOCK: error})
        one = tree(tmp_path)
        run_once(one, "chinook")
        assert any("cannot lock files" in notice for notice in one.notices)

    assert fork(child) == 0
    assert left.exists()
    tree(tmp_path).recover()
    assert len(assert_whole(tmp_path)) == 2


def test_a_lock_is_given_back_with_its_descriptor(tmp_path: Path) -> None:
    """What recovery rests on: the kernel frees a dead process's lock."""

    def child() -> None:
        descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os._exit(0)

    assert fork(child) == 0
    descriptor = os.open(tmp_path / "lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)

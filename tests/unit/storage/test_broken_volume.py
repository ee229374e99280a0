"""A volume that fails at any step or any byte, and stays so: an error of ours, no hang, and the next run heals it all.

The kernel itself refuses (seccomp, RLIMIT_FSIZE): nothing of ours is replaced.
"""

import errno
import os
import random
import resource
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.storage.support import CAN_DENY, NOW, assert_whole, back_up, deny, fork, later, run_once, tree

from vya_backupdb.domain.errors import BackupCorrupt, NoSpace, StorageError, StorageUnavailable
from vya_backupdb.domain.ids import RunId
from vya_backupdb.storage.volume import Step

_READ, _WRITE, _FSYNC, _RENAME, _LINK, _UNLINK, _MKDIRAT = 0, 1, 74, 82, 86, 87, 258
_UNLINKAT, _RENAMEAT, _LINKAT, _RENAMEAT2 = 263, 264, 265, 316
_NAMES = (_RENAME, _LINK, _MKDIRAT, _RENAMEAT, _LINKAT, _RENAMEAT2)
_CHANGES = (_WRITE, _FSYNC, _UNLINK, _UNLINKAT, *_NAMES)

#: What the kernel answers from one step on, to which calls; and what that is in our words.
BREAKS: dict[str, tuple[tuple[int, ...], int, type[StorageError]]] = {
    "full": ((_WRITE, *_NAMES), errno.ENOSPC, NoSpace),
    "quota": ((_WRITE, *_NAMES), errno.EDQUOT, NoSpace),
    "quota at sync": ((_FSYNC,), errno.EDQUOT, NoSpace),
    "device": (_CHANGES, errno.EIO, StorageUnavailable),
    "device at sync": ((_FSYNC,), errno.EIO, StorageUnavailable),
    "read-only": (_CHANGES, errno.EROFS, StorageUnavailable),
    "share lost": ((*_CHANGES, _READ), errno.ESTALE, StorageUnavailable),
}
_SKIPPED = "refusing file systems are NOT tested: no seccomp filter here"
pytestmark = pytest.mark.skipif(not CAN_DENY, reason=_SKIPPED)


def breaking(after: int, calls: Mapping[int, int]) -> Step:
    """A step hook that breaks the volume right after step number `after` (from 1)."""
    count = 0

    def step(_name: str) -> None:
        nonlocal count
        count += 1
        if count == after:
            deny(calls)

    return step


def _recover(base: Path) -> None:
    one = tree(base)
    with one.lock_run(RunId("next")):
        one.claim("ns/shop", "server-1")
        one.recover()


@pytest.mark.parametrize(
    ("break_", "users"), [*((name, False) for name in BREAKS), ("full", True), ("device at sync", True)]
)
def test_broken_after_each_step_of_a_backup(memory: Path, break_: str, users: bool) -> None:
    calls, error, kind = BREAKS[break_]
    steps: list[str] = []
    run_once(tree(memory / "sound"), "chinook", later(-60), run="earlier")
    run_once(tree(memory / "sound", step=steps.append), None if users else "chinook", run="sound")
    last_sync = steps.index("synced metadata") + 1
    outcomes = set()
    for number in range(1, 100):
        base = memory / str(number)
        run_once(tree(base), "chinook", later(-60), run="earlier")

        def child(base: Path = base, number: int = number) -> None:
            one = tree(base, step=breaking(number, dict.fromkeys(calls, error)))
            try:
                run_once(one, None if users else "chinook", run="broken")
            except kind:
                os._exit(7)

        code = os.waitstatus_to_exitcode(fork(child))
        assert code in {0, 7}
        _recover(base)
        made = len(assert_whole(base)) - 1
        assert made in {0, 1}
        assert made == 1 or code == 7, "a backup that is not there was called one"
        assert code == 7 or _FSYNC not in calls or number >= last_sync, "a sync failed, and nobody noticed"
        outcomes.add((code, made))
        if code == 0 and number > 20:
            break
    assert (7, 0) in outcomes
    assert (0, 1) in outcomes


@pytest.mark.parametrize("break_", ["device", "read-only", "share lost"])
def test_broken_after_each_step_of_a_deletion(memory: Path, break_: str) -> None:
    calls, error, kind = BREAKS[break_]
    for number in range(1, 100):
        base = memory / str(number)
        stored = [run_once(tree(base), "chinook", later(second), run=f"run-{second}") for second in range(2)]

        def child(base: Path = base, number: int = number) -> None:
            try:
                tree(base, step=breaking(number, dict.fromkeys(calls, error))).delete(stored[0], now=NOW)  # noqa: B023
            except kind:
                os._exit(7)

        code = os.waitstatus_to_exitcode(fork(child))
        _recover(base)
        assert [one.id for one in assert_whole(base)] == [stored[1].id]  # the first step already ends the backup
        if code == 0:
            assert number > 4
            return
        assert code == 7
    raise AssertionError("the deletion never ended")


def test_full_at_any_byte_of_any_file(memory: Path) -> None:
    """Data, checksum and metadata: the write that hits the limit is short, the next one fails."""
    run_once(tree(memory), "chinook", later(-60), run="earlier")
    largest = max(path.stat().st_size for path in memory.rglob("chinook_*"))
    failed = 0
    for limit in sorted({*range(0, largest, 61), *random.Random(7).sample(range(largest), 20), largest}):

        def child(limit: int = limit) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            one = tree(memory)
            with one.lock_run(RunId("limited")):
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                try:
                    back_up(one, "chinook", run="limited")
                except StorageUnavailable as error:
                    assert "file too large" in error.message  # noqa: PT017 - pytest is not in the child
                    os._exit(7)

        code = os.waitstatus_to_exitcode(fork(child))
        assert code == (7 if limit < largest else 0), f"at byte {limit}"
        failed += code == 7
        _recover(memory)
        assert len(assert_whole(memory)) == (1 if code else 2)
    assert failed > 30


@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE])
def test_what_cannot_be_read_is_no_sound_backup_and_no_crash(tmp_path: Path, error: int) -> None:
    run_once(tree(tmp_path), "chinook")
    (stored,) = tree(tmp_path).backups()

    def child() -> None:
        one = tree(tmp_path)
        deny({_READ: error})
        (listed,) = one.backups()
        assert listed.problem
        assert os.strerror(error).lower() in listed.problem
        with pytest.raises(StorageUnavailable, match=os.strerror(error).lower()):
            one.verify(stored)
        with pytest.raises(BackupCorrupt):
            one.delete(listed, now=NOW)

    assert fork(child) == 0
    assert len(assert_whole(tmp_path)) == 1

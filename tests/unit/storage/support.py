"""What the storage tests share: a tree to write into, children that are killed, and the promises as one check."""

import ctypes
import os
import select
import signal
import struct
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from vya_backupdb.domain import layout
from vya_backupdb.domain.config import DatabaseType, StorageConfig
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.metadata import BackupInfo, BackupMetadata, RunInfo
from vya_backupdb.domain.report import RunReport
from vya_backupdb.storage.compress import GzipWriter
from vya_backupdb.storage.tree import InstanceTree, StoredBackup, Tree
from vya_backupdb.storage.volume import Step, no_step

NOW = datetime(2026, 3, 29, 2, 30, 15, tzinfo=UTC)
HANGS_AFTER_SECONDS = 120.0
HOST, INSTANCE = "db.example", "shop"
SQL = b"INSERT INTO artist VALUES (1, 'AC/DC');\n" * 200


def tree(base: Path, *, step: Step = no_step, **storage: Any) -> InstanceTree:
    """The tree of the one instance below `base`."""
    return Tree(StorageConfig(base_path=str(base), **storage), step=step).instance(HOST, INSTANCE)


def metadata(database: str | None, moment: datetime = NOW, *, run: str = "run-1", **info: Any) -> BackupMetadata:
    """The metadata of a good backup, without the file's part: publishing fills it in."""
    fields = {
        "database_id": INSTANCE,
        "database_name": database or "",
        "database_type": DatabaseType.MYSQL,
        "hostname": HOST,
        "timestamp": moment,
        "duration_seconds": 1.5,
        "status": "success",
    }
    return BackupMetadata.model_construct(
        version="2.0.0",
        kind="users" if database is None else "database",
        backup_info=BackupInfo.model_validate(fields | info),
        run=RunInfo(id=run, reason="cli"),
    )


def back_up(
    one: InstanceTree, database: str | None, moment: datetime = NOW, *, run: str = "run-1", sql: bytes = SQL
) -> StoredBackup:
    """Write and publish one backup of `database` in `run`, whose lock is held."""
    with one.open(database, moment, RunId(run)) as pending:
        with GzipWriter(pending, level=6) as gzip:
            gzip.write(sql)
        pending.finish()
        return pending.publish(metadata(database, moment, run=run))


def run_once(one: InstanceTree, database: str | None, moment: datetime = NOW, *, run: str = "run-1") -> StoredBackup:
    """A whole run of one database: lock, claim, recover, back up."""
    with one.lock_run(RunId(run)):
        one.claim("ns/shop", "server-1")
        one.recover()
        return back_up(one, database, moment, run=run)


def report(run: str, second: int = 0) -> RunReport:
    """The report of a run that went well, begun so many seconds after the tests' now."""
    return RunReport(
        operation="backup", run=run, reason="Succeeded", message="x", exit_code=0, started_at=later(second)
    )


def later(seconds: int) -> datetime:
    """So many seconds after the tests' now."""
    return NOW + timedelta(seconds=seconds)


def fork(story: Callable[[], object]) -> int:
    """Run `story` in a child process; return its wait status: 0 for a good end, or the signal that killed it.

    One that hangs is killed, and fails the test.
    """
    child = forked(story)
    watched, ending = os.pidfd_open(child), select.poll()
    ending.register(watched, select.POLLIN)
    ended = ending.poll(HANGS_AFTER_SECONDS * 1000)
    os.close(watched)
    if not ended:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert ended, "the child hung"
    return status


def forked(story: Callable[[], object]) -> int:
    """Begin `story` in a child process; return its pid, for the caller to wait for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests; none of them holds a lock of ours
        child = os.fork()
    if child == 0:
        be_the_child(story)
    return child


def together(stories: Sequence[Callable[[], object]]) -> None:
    """Run the stories in processes of their own that start at the same moment; all must end well."""
    reader, writer = os.pipe()

    def wait_and_tell(story: Callable[[], object]) -> None:
        os.close(writer)
        os.read(reader, 1)  # returns when the parent closes its end
        story()

    children = [forked(partial(wait_and_tell, story)) for story in stories]
    os.close(reader)
    os.close(writer)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)


def be_the_child(story: Callable[[], object]) -> None:
    """Run `story`, then end this process without any of its parent's clean-up."""
    code = 1
    try:
        story()
        code = 0
    except BaseException:  # noqa: BLE001 - the traceback is all that the parent gets
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def killer(after: int) -> Step:
    """A step hook that kills this very process, as the kernel would, right after its step number `after` (from 1)."""
    count = 0

    def step(_name: str) -> None:
        nonlocal count
        count += 1
        if count == after:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


_LINK, _LINKAT, _RENAMEAT2 = 86, 265, 316
_ALLOW, _ERRNO, _X86_64 = 0x7FFF0000, 0x00050000, 0xC000003E
CAN_DENY = sys.platform == "linux" and os.uname().machine == "x86_64"


def deny(calls: Mapping[int, int]) -> None:
    """Make the kernel answer the system calls in `calls` with an errno, in this process and for good (seccomp)."""
    program = [(0x20, 0, 0, 4), (0x15, 1, 0, _X86_64), (0x06, 0, 0, _ALLOW), (0x20, 0, 0, 0)]
    for number, error in calls.items():
        program += [(0x15, 0, 1, number), (0x06, 0, 0, _ERRNO | error)]
    raw = b"".join(struct.pack("HBBI", *line) for line in [*program, (0x06, 0, 0, _ALLOW)])
    code = ctypes.create_string_buffer(raw, len(raw))
    libc = ctypes.CDLL(None, use_errno=True)
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(raw) // 8, ctypes.addressof(code)))
    for arguments in ((38, 1, 0, 0, 0), (22, 2, ctypes.addressof(filter_), 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(argument) for argument in arguments)) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def without_links(error: int) -> None:
    """Take hard links from this process: the volume answers `error`, as CIFS and some FUSE file systems do."""
    deny({_LINK: error, _LINKAT: error})


def without_links_and_noreplace(error: int) -> None:
    """Take ``renameat2`` as well: only a plain rename is left."""
    deny({_LINK: error, _LINKAT: error, _RENAMEAT2: 22})


def files_of(base: Path) -> set[str]:
    """Every file below `base`, as paths relative to it."""
    return {str(path.relative_to(base)) for path in base.rglob("*") if not path.is_dir()}


def assert_whole(base: Path, *, strangers: Iterable[str] = (), ends: bytes = SQL[-40:]) -> list[StoredBackup]:
    """Check what must be true of a tree after recovery, and return its backups.

    No partial, tombstone, reservation or lock of a run is left; every final name belongs to a whole set; every backup
    verifies, and `ends` so. `strangers` are files that were there before and must still be.
    """
    one = tree(base)
    backups = [*one.backups(), *one.users()]
    assert [stored.problem for stored in backups] == [None] * len(backups)
    expected = {f"{HOST}/{INSTANCE}/.lock", f"{HOST}/{INSTANCE}/.owner.json"} | set(strangers)
    for stored in backups:
        assert one.verify(stored).endswith(ends)
        expected |= {str(path) for path in (stored.files.data, stored.files.checksum, stored.files.metadata)}
    found = files_of(base)
    assert found == expected & found, "leftovers"
    assert {path for path in expected if layout.parse_file_name(Path(path).name)} <= found
    return backups

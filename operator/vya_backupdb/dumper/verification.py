"""Whether stored backups are what was published: every byte is read again. What is wrong is noted beside the tree.

A backup is whole only if all of these hold: its metadata parses and fits its name; the seal fits data and metadata;
size, checksum, gzip to its very end; the closing marker of its dialect as the last thing; the tables and rows that
its metadata names. Nothing more is claimed: whether it restores, only a restore shows.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from vya_backupdb.domain.errors import BackupCorrupt, NotFound, StorageError, StorageUnavailable
from vya_backupdb.domain.metadata import TableInfo
from vya_backupdb.dumper.ahead import ahead
from vya_backupdb.dumper.events import Noted
from vya_backupdb.dumper.pipeline import Passed
from vya_backupdb.dumper.restore_source import require_agreement
from vya_backupdb.dumper.session import Tools
from vya_backupdb.engines.registry import scanner_for
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.tree import InstanceTree

_HINT: Final = "The backup is not used; take another one ('list' shows them)."


class Outcome(StrEnum):
    """What came of one backup. `UNREADABLE`: the volume failed, so nothing is known; `GONE`: deleted meanwhile."""

    WHOLE = "whole"
    CORRUPT = "corrupt"
    UNREADABLE = "unreadable"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Verified:
    """One backup, and what came of reading it. `problem` is '' only for one that is whole."""

    stored: StoredBackup
    outcome: Outcome
    problem: str
    seconds: float
    raw_bytes: int | None = None
    tables: tuple[TableInfo, ...] = ()


def verify_backups(tree: InstanceTree, backups: Iterable[StoredBackup], tools: Tools) -> Iterator[Verified]:
    """Read each of `backups`, listed in `tree`, and yield what came of it. Raise Interrupted or DeadlineExceeded.

    Damage that a listing would not see is noted on the volume, and taken back when the bytes read well again.
    """
    for stored in backups:
        tools.stop.check()
        verified = verify_backup(tree, stored, check=tools.stop.check)
        _note(tree, verified, tools)
        yield verified


def verify_backup(tree: InstanceTree, stored: StoredBackup, *, check: Callable[[], None]) -> Verified:
    """Read `stored` and return what came of it. `check` is called with each piece; it raises to give up."""
    began = time.monotonic()
    outcome, problem = Outcome.WHOLE, ""
    passed = None
    try:
        passed = read_whole(tree, stored, check=check)
    except BackupCorrupt as error:
        outcome, problem = Outcome.CORRUPT, error.message.removeprefix(f"{stored.path}: ")
    except NotFound as error:
        outcome, problem = Outcome.GONE, error.message
    except StorageError as error:
        outcome, problem = Outcome.UNREADABLE, error.message.removeprefix(f"{stored.path}: ")
    seconds = time.monotonic() - began
    if passed is None:
        return Verified(stored, outcome, problem, seconds)
    return Verified(stored, outcome, problem, seconds, passed.raw_bytes, passed.scan.tables)


def read_whole(tree: InstanceTree, stored: StoredBackup, *, check: Callable[[], None]) -> Passed:
    """Read every byte of `stored` and return what passed. Raise BackupCorrupt, NotFound or StorageUnavailable.

    What an earlier verification noted about it does not count: the bytes are asked again.
    """
    fresh = replace(stored, problem=None, is_marked=False) if stored.is_marked else stored
    metadata = fresh.metadata
    if fresh.is_unreadable:
        raise StorageUnavailable(f"{fresh.path}: {fresh.problem}", hint="Let the user of this process read it.")
    if metadata is None or fresh.problem is not None:
        raise BackupCorrupt(f"{fresh.path}: {fresh.problem or 'no metadata'}", hint=_HINT)
    scanner = scanner_for(metadata.backup_info.database_type, users=metadata.kind == "users")
    total = 0
    with ahead(tree.read(fresh)) as pieces:
        for piece in pieces:
            check()
            scanner.feed(piece)
            total += len(piece)
    tree.check_companion(fresh)
    passed = Passed(scanner.result(), total)
    require_agreement(str(fresh.path), metadata, passed)
    return passed


def _note(tree: InstanceTree, verified: Verified, tools: Tools) -> None:
    """Note damage that only the bytes show; a volume that takes no note changes no verdict."""
    stored = verified.stored
    by_listing = stored.problem is not None and not stored.is_marked
    news = verified.outcome is Outcome.CORRUPT or (verified.outcome is Outcome.WHOLE and stored.is_marked)
    if by_listing or not news:
        return
    path = stored.place
    try:
        tree.notebook().change(lambda notes: notes.after_check(path, verified.problem, tools.clock()))
    except StorageError as error:
        tools.say(Noted(f"the verdict on {stored.path} could not be noted: {error.message}", level="warning"))

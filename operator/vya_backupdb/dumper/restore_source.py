"""What a restore reads: a backup of the tree, by ``latest``, id or time, with why this one; and all of it, beforehand.

A source may be read more than once, and each time is checked anew to its end: a volume may give other bytes the second
time.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from vya_backupdb.domain.errors import BackupCorrupt
from vya_backupdb.domain.metadata import BackupMetadata, DatabaseSettings, TableInfo
from vya_backupdb.dumper.ahead import ahead
from vya_backupdb.dumper.events import Listener, Step, StepStarted
from vya_backupdb.dumper.pipeline import Meter, Passed
from vya_backupdb.dumper.stop import Stop
from vya_backupdb.engines.base import StreamScanner
from vya_backupdb.engines.loading import Inspector
from vya_backupdb.storage import outside
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.selection import LATEST
from vya_backupdb.storage.tree import InstanceTree

_HINT: Final = "The backup is not restored; take another one ('list' shows them)."
#: What reading a backup of ours to its end, and comparing it with its metadata, has shown.
CHECKS: Final = (
    "size and checksum of the file are those of its metadata",
    "the gzip is whole, with nothing behind it",
    "the checksum file fits the data and the metadata",
    "the closing marker of the dump is its end",
    "tables and rows in the file are those of its metadata",
)
FOREIGN_CHECKS: Final = ("the file is read to its end, and if it is a gzip, that is whole",)


@dataclass(frozen=True, slots=True)
class Source:
    """One file to restore from. `why` says why this one; `read` yields its SQL, and raises what is wrong with it.

    `metadata` is None for a foreign file, of which nothing is known but what it says. `hold` keeps it from being
    deleted.
    """

    id: str
    path: str
    why: str
    metadata: BackupMetadata | None
    read: Callable[[], Iterator[bytes]]
    check: Callable[[], None]
    hold: Callable[[], AbstractContextManager[None]]

    @property
    def raw_bytes(self) -> int | None:
        """The length of its SQL, where it is known."""
        return self.metadata.uncompressed_bytes if self.metadata else None

    @property
    def settings(self) -> DatabaseSettings:
        """What belongs to its database beside the dump, where that is known."""
        return (self.metadata.database if self.metadata else None) or DatabaseSettings()

    @property
    def checks(self) -> tuple[str, ...]:
        """What reading it to its end shows."""
        return CHECKS if self.metadata else FOREIGN_CHECKS


def of_tree(tree: InstanceTree, database: str, backup: str, *, before: datetime | None, now: datetime) -> Source:
    """Return the backup of `database` that is meant. Raise NotFound, or BackupCorrupt for one that cannot be used."""
    stored = tree.find(database, backup, before=before, now=now)
    if stored.metadata is None:
        raise BackupCorrupt(f"{stored.path}: {stored.problem or 'has no metadata'}", hint="Take another one.")
    return Source(
        id=stored.id,
        path=str(stored.path),
        why=_why(stored, backup, before),
        metadata=stored.metadata,
        read=lambda: tree.read(stored),
        check=lambda: tree.check_companion(stored),
        hold=lambda: tree.reading(stored),
    )


def of_path(path: Path) -> Source:
    """Return the file at `path`: a backup of ours, or a foreign one. Raise NotFound, BackupCorrupt."""
    stored = outside.stored_at(path)
    if stored is None:
        return Source(
            id=path.name,
            path=str(path),
            why="its path was given; it is no backup of ours",
            metadata=None,
            read=lambda: outside.read_foreign(path),
            check=lambda: None,
            hold=nullcontext,
        )
    return Source(
        id=stored.id,
        path=str(path),
        why="its path was given",
        metadata=stored.metadata,
        read=lambda: outside.read_stored(path, stored),
        check=lambda: outside.check_stored(path, stored),
        hold=nullcontext,
    )


def _why(stored: StoredBackup, backup: str, before: datetime | None) -> str:
    if backup != LATEST:
        return "it was named"
    of = f"of {stored.database!r}"
    if before is not None:
        return f"the newest good backup {of} that began before {before.isoformat()}"
    return f"the newest good backup {of}; safety dumps and backups of the future are passed over"


def read_whole(
    source: Source, scanner: StreamScanner, inspector: Inspector, *, name: str, say: Listener, stop: Stop
) -> Passed:
    """Read `source` to its end, and show it to both. Raise BackupCorrupt unless all that is known of it agrees.

    That is size, hash, CRC, marker, tables and rows.
    """
    say(StepStarted(name, "database", Step.VERIFYING, source.raw_bytes))
    source.check()
    meter = Meter(say, name=name, kind="database", lock=None)
    with ahead(source.read()) as pieces:
        for piece in pieces:
            stop.check()
            scanner.feed(piece)
            inspector.feed(piece)
            meter.passed(len(piece))
    passed = Passed(scanner.result(), meter.raw_bytes)
    if source.metadata is not None:
        require_agreement(source.path, source.metadata, passed)
    return passed


def require_agreement(path: str, metadata: BackupMetadata, passed: Passed) -> None:
    """Raise BackupCorrupt, naming `path`, unless what passed is a whole dump with the tables and rows of `metadata`."""
    if not passed.scan.complete:
        problem = passed.scan.problem or "its closing marker is missing"
        raise BackupCorrupt(f"{path}: is not a complete dump: {problem}", hint=_HINT)
    if metadata.tables is not None and rows(metadata.tables) != rows(passed.scan.tables):
        raise BackupCorrupt(f"{path}: holds other tables or rows than its metadata says", hint=_HINT)
    counted = metadata.schema_info.tables_count if metadata.schema_info else None
    if metadata.tables is not None and counted is not None and counted < len(metadata.tables):
        raise BackupCorrupt(f"{path}: its metadata counts {counted} tables and names more", hint=_HINT)


def rows(tables: Iterable[TableInfo]) -> dict[tuple[str | None, str], int | None]:
    """Return the rows of each table by schema and name."""
    return {(table.schema_name, table.name): table.rows for table in tables}

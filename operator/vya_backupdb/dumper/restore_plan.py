"""What is checked before a restore touches anything, and after it has loaded everything.

Before: the backup is found, read to its end, and fits its metadata; the server fits the backup; the target does not
exist; the client is there. After: each table of the file is on the server, with as many rows.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vya_backupdb.domain.errors import BackupCorrupt, RestoreFailed, TargetExists, WrongServer
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.metadata import BackupMetadata, DatabaseSettings, TableInfo
from vya_backupdb.dumper.events import Step, StepStarted
from vya_backupdb.dumper.pipeline import Meter, Passed
from vya_backupdb.dumper.session import Server, Session
from vya_backupdb.engines.base import Count
from vya_backupdb.engines.loading import Inspection, LoadOptions
from vya_backupdb.storage import verify
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.faults import map_os_errors
from vya_backupdb.storage.volume import Volume

SHOWN_TABLES = 5


@dataclass(frozen=True, slots=True)
class Claim:
    """The ledger's entry that this restore takes: its name, and the uid of the object that asks."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. `backup` is ``latest`` or an id; `target` is the name that the database gets."""

    run: RunId
    database: str
    target: str
    backup: str = "latest"
    before: datetime | None = None
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a restore will do: decided and checked, nothing touched yet."""

    stored: StoredBackup
    metadata: BackupMetadata
    server: Server
    target: str
    beside: bool
    inspection: Inspection

    @property
    def settings(self) -> DatabaseSettings:
        """What belongs to the database beside its dump."""
        return self.metadata.database or DatabaseSettings()


def plan_restore(session: Session, request: Request, held: ExitStack, *, leftover: str | None = None) -> Plan:
    """Find the backup, read all of it, and look at the target. Raise what forbids the restore; nothing was touched.

    `leftover` is the database that an earlier attempt of this run made: its existence forbids nothing. The backup is
    not deleted before `held` is closed.
    """
    stored = session.tree.find(request.database, request.backup, before=request.before, now=session.tools.clock())
    held.enter_context(session.tree.reading(stored))
    server = session.ask_server()
    metadata, inspection = _verified(session, request, stored)
    require_fit(metadata, server)
    inspection.require_loadable(stored.path)
    if request.target != leftover and session.engine.exists(request.target):
        raise TargetExists(
            f"the target {request.target!r} exists on the server, and this restore touches nothing that exists",
            hint="Restore to another name (--to-database), or drop or rename what is there.",
        )
    return Plan(stored, metadata, server, request.target, session.engine.loads_beside, inspection)


def _verified(session: Session, request: Request, stored: StoredBackup) -> tuple[BackupMetadata, Inspection]:
    """Read the backup to its end. Raise BackupCorrupt unless size, hash, CRC, marker, tables and rows all agree."""
    metadata = stored.metadata
    if metadata is None:
        raise BackupCorrupt(f"{stored.path}: {stored.problem or 'has no metadata'}", hint="Take another one.")
    session.say(StepStarted(request.target, "database", Step.VERIFYING, metadata.uncompressed_bytes))
    _check_companion(session, stored)
    meter = Meter(session.say, name=request.target, kind="database", lock=None)
    scanner = session.engine.scanner()
    inspector = session.engine.inspector(request.target, LoadOptions(source=request.database))
    for piece in session.tree.read(stored):
        session.tools.stop.check()
        scanner.feed(piece)
        inspector.feed(piece)
        meter.passed(len(piece))
    passed = Passed(scanner.result(), meter.raw_bytes)
    _agree(stored, metadata, passed)
    _require_own_name(request, passed)
    return metadata, inspector.result()


def _require_own_name(request: Request, passed: Passed) -> None:
    """Raise RestoreFailed if the dump would alter another database than the target, such as its living source."""
    others = [name for name in passed.scan.alters if name != request.target]
    if others:
        raise RestoreFailed(
            f"the dump alters the database {others[0]!r} by name (a routine was made under another default character"
            f" set), so it cannot be restored as {request.target!r}",
            hint="Restore it under its own name, to another server if that name is taken.",
        )


def _check_companion(session: Session, stored: StoredBackup) -> None:
    """Raise BackupCorrupt unless the checksum file says what the metadata says: who edits one forgets the other."""
    with (
        map_os_errors(f"reading {stored.path}"),
        Volume(Path(session.app.storage.base_path)).root() as base,
        base.descend(stored.files.directory) as directory,
    ):
        verify.check_companion(directory, stored)


def _agree(stored: StoredBackup, metadata: BackupMetadata, passed: Passed) -> None:
    hint = "The backup is not restored; take another one ('list' shows them)."
    if not passed.scan.complete:
        problem = passed.scan.problem or "its closing marker is missing"
        raise BackupCorrupt(f"{stored.path}: is not a complete dump: {problem}", hint=hint)
    if metadata.tables is not None and _rows(metadata.tables) != _rows(passed.scan.tables):
        raise BackupCorrupt(f"{stored.path}: holds other tables or rows than its metadata says", hint=hint)
    counted = metadata.schema_info.tables_count if metadata.schema_info else None
    if metadata.tables is not None and counted is not None and counted < len(metadata.tables):
        raise BackupCorrupt(f"{stored.path}: its metadata counts {counted} tables and names more", hint=hint)


def require_fit(metadata: BackupMetadata, server: Server) -> None:
    """Raise WrongServer unless the backup is of the server's product and of no later major version."""
    tool, info = metadata.tool, server.info
    if tool is None:
        return
    made_by = f"{tool.server_product} {tool.server_version}"
    here = f"{info.product} {info.version}"
    if tool.server_product != info.product:
        raise WrongServer(
            f"the backup is of {made_by}, the server is {here}", hint="Restore it to a server of the same product."
        )
    major = int("".join(one for one in tool.server_version.split(".")[0] if one.isdigit()) or 0)
    if major > info.version_tuple[0]:
        raise WrongServer(
            f"the backup is of {made_by}, the server is {here}, which is older",
            hint="Restore it to a server of the same or a later major version.",
        )


def _rows(tables: Iterable[TableInfo]) -> dict[tuple[str | None, str], int | None]:
    return {(table.schema_name, table.name): table.rows for table in tables}


def compare(metadata: BackupMetadata, count: Count, target: str) -> None:
    """Raise RestoreFailed unless each table of the backup is there with as many rows as its file holds."""
    there = _rows(count.by_table)
    wrong = []
    for key, expected in _rows(metadata.tables or ()).items():
        name = ".".join(filter(None, key))
        if key not in there:
            wrong.append(f"{name} is missing")
        elif expected is not None and there[key] is not None and there[key] != expected:
            wrong.append(f"{name} has {there[key]} rows instead of {expected}")
    if wrong:
        more = f" and {len(wrong) - SHOWN_TABLES} more" if len(wrong) > SHOWN_TABLES else ""
        raise RestoreFailed(
            f"{target!r} was loaded, but differs from its backup: {'; '.join(wrong[:SHOWN_TABLES])}{more}",
            hint="Nothing was kept; see the log of the database server.",
        )

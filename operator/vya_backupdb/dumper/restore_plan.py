"""The plan of a restore: everything that can be known beforehand, the same for ``--dry-run`` and for the real run.

The backup is found and read to its end; the server and what lies under the target's name are looked at; nothing is
touched. What forbids the restore is collected, not only the first: `Plan.require` raises it.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vya_backupdb import __version__
from vya_backupdb.domain.errors import (
    BackupDBError,
    ConfigurationError,
    RestoreFailed,
    RestoreRefused,
    TargetExists,
    WrongServer,
)
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.metadata import BackupMetadata, DatabaseSettings, TableInfo
from vya_backupdb.domain.undertaking import OnExisting, Phase, Undertaking
from vya_backupdb.dumper import restore_source, safety
from vya_backupdb.dumper.pipeline import Passed
from vya_backupdb.dumper.restore_source import Source
from vya_backupdb.dumper.session import Server, Session
from vya_backupdb.engines.base import Count
from vya_backupdb.engines.loading import Inspection, LoadOptions
from vya_backupdb.engines.placing import TargetLook
from vya_backupdb.storage.selection import LATEST
from vya_backupdb.storage.tree import InstanceTree

SHOWN_TABLES = 5


@dataclass(frozen=True, slots=True)
class Claim:
    """The ledger's entry that this restore takes: its name, and the uid of the object that asks."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. `backup` is ``latest`` or an id; `target` is the name that the database gets.

    `source` is the instance whose backup it is, where that is not the one that is restored to. `path` is that of a
    file, instead of a backup of the tree. `tables` are the only ones to be restored; all, where it is empty.
    """

    run: RunId
    database: str
    target: str
    backup: str = LATEST
    before: datetime | None = None
    claim: Claim | None = None
    on_existing: OnExisting = OnExisting.FAIL
    source: str | None = None
    path: Path | None = None
    tables: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """What the same command, given again, would ask for."""
        before = self.before.isoformat() if self.before else None
        path = str(self.path) if self.path else None
        return json.dumps(
            [self.source, self.database, self.target, self.backup, before, self.on_existing, path, self.tables]
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a restore will do: decided and checked, nothing touched yet. `leftovers` are of restores that died."""

    source: Source
    checks: tuple[str, ...]
    server: Server
    inspection: Inspection
    target: str
    on_existing: OnExisting
    look: TargetLook
    beside: bool
    room: safety.Room | None
    refusals: tuple[BackupDBError, ...]
    leftovers: tuple[Undertaking, ...] = ()
    warnings: tuple[str, ...] = ()
    tool: str = f"vya-backupdb {__version__}"

    @property
    def metadata(self) -> BackupMetadata | None:
        """The backup's metadata; None for a foreign file."""
        return self.source.metadata

    @property
    def settings(self) -> DatabaseSettings:
        """What belongs to the database beside its dump."""
        return (self.metadata.database if self.metadata else None) or DatabaseSettings()

    @property
    def expected(self) -> tuple[TableInfo, ...]:
        """The tables that must be there afterwards, with their rows; empty for a foreign file."""
        tables = (self.metadata.tables if self.metadata else None) or ()
        wanted = self.inspection.options.resolved
        if not self.inspection.options.tables or wanted is None:
            return tables
        return tuple(one for one in tables if (one.schema_name, one.name) in wanted)

    @property
    def replaces(self) -> bool:
        """Whether something stands under the target's name, and makes room."""
        return self.look.exists and self.on_existing is not OnExisting.FAIL

    @property
    def saves(self) -> bool:
        """Whether what makes room is dumped first, because it goes."""
        return self.replaces and self.on_existing is OnExisting.REPLACE

    def require(self) -> None:
        """Raise what forbids the restore: the only reason as it is, several as one RestoreRefused."""
        if len(self.refusals) == 1:
            raise self.refusals[0]
        if self.refusals:
            first, *others = self.refusals
            raise RestoreRefused(
                "; ".join(one.message for one in self.refusals),
                hint=" ".join([first.hint, *(one.hint for one in others if one.hint != first.hint)]),
            )


def plan_restore(session: Session, request: Request, tree: InstanceTree, held: ExitStack) -> Plan:
    """Find the backup in `tree` (the source's), read all of it, and look at the target; nothing is touched.

    Raise what is wrong with the backup, or prevents looking; what forbids the restore is in the plan. The backup is not
    deleted before `held` is closed.
    """
    source = find_source(request, tree, session.tools.clock())
    held.enter_context(source.hold())
    server, tools = session.ask_server(), session.tools
    inspector = session.engine.inspector(request.target, _options(request, source))
    passed = restore_source.read_whole(
        source, session.engine.scanner(), inspector, name=request.target, say=tools.say, stop=tools.stop
    )
    inspection = inspector.result()
    leftovers = unfinished(session, request.target)
    look = session.engine.placer.look(request.target)
    partly = look.exists and any(one.made == request.target for one in leftovers)
    replaces = look.exists and not partly and request.on_existing is not OnExisting.FAIL
    refusals = _Refusals()
    refusals.trying(lambda: require_fit(source.metadata, server))
    if request.tables and request.on_existing is not OnExisting.FAIL:
        refusals.add(_only_tables(request))
    for found in inspection.refusals:
        refusals.add(RestoreRefused(f"line {found.line} of the file {found.message}", hint=found.hint))
    if look.exists and not partly and request.on_existing is OnExisting.FAIL:
        refusals.add(_exists(request.target))
    else:
        for one in look.obstacles:
            refusals.add(RestoreRefused(one.message, hint=one.hint))
    room = None
    if replaces and request.on_existing is OnExisting.REPLACE:
        room = safety.room(session, request.target)
        refusals.trying(room.require)
    return Plan(
        source=source,
        checks=source.checks,
        warnings=_warnings(source, passed),
        server=server,
        inspection=inspection,
        target=request.target,
        on_existing=request.on_existing,
        look=look,
        beside=session.engine.loads_beside or replaces,
        room=room,
        refusals=refusals.found,
        leftovers=leftovers,
    )


def find_source(request: Request, tree: InstanceTree, now: datetime) -> Source:
    """Return what `request` means. Raise NotFound, BackupCorrupt."""
    if request.path is not None:
        return restore_source.of_path(request.path)
    return restore_source.of_tree(tree, request.database, request.backup, before=request.before, now=now)


def _options(request: Request, source: Source) -> LoadOptions:
    if source.metadata is None:
        return LoadOptions(foreign=True, tables=request.tables)
    return LoadOptions(source=source.metadata.backup_info.database_name, tables=request.tables)


def _warnings(source: Source, passed: Passed) -> tuple[str, ...]:
    if source.metadata is None and not passed.scan.complete:
        return (f"nobody can tell whether {source.path} is whole: {passed.scan.problem or 'no closing marker'}",)
    return ()


def _only_tables(request: Request) -> RestoreRefused:
    return RestoreRefused(
        f"only some tables are asked for, and {request.target!r} as a whole would make room for them",
        hint="Restore the tables to another name (--to-database), and copy from there what is needed.",
    )


def unfinished(session: Session, target: str) -> tuple[Undertaking, ...]:
    """Return the journals of restores to `target` that did not end."""
    return tuple(one for one in session.tree.undertakings().of(target) if one.phase is not Phase.KEPT)


class _Refusals:
    """What forbids a restore, as it is found."""

    def __init__(self) -> None:
        self.found: tuple[BackupDBError, ...] = ()

    def add(self, error: BackupDBError) -> None:
        self.found = (*self.found, error)

    def trying(self, look: Callable[[], object]) -> None:
        """Do it, and add what it raises."""
        try:
            look()
        except BackupDBError as error:
            self.add(error)


def _exists(target: str) -> TargetExists:
    return TargetExists(
        f"the target {target!r} exists on the server, and this restore touches nothing that exists",
        hint="Restore to another name (--to-database), or say what is to become of it (--on-existing replace|rename).",
    )


def require_confirmed(on_existing: OnExisting, target: str, confirmed: str | None) -> None:
    """Raise ConfigurationError unless a replacement names the database that goes."""
    if on_existing is OnExisting.REPLACE and confirmed != target:
        given = "is missing" if confirmed is None else f"is {confirmed!r}"
        raise ConfigurationError(
            f"--on-existing replace drops the database {target!r} that is there, and --confirm-database {given}",
            hint="If that is meant, add --confirm-database with its name; rename keeps it under another name.",
        )
    if on_existing is not OnExisting.REPLACE and confirmed is not None:
        raise ConfigurationError(
            "--confirm-database goes with --on-existing replace only", hint="Leave it out, or say what to replace."
        )


def require_fit(metadata: BackupMetadata | None, server: Server) -> None:
    """Raise WrongServer unless the backup is of the server's product and of no later major version."""
    tool, info = metadata.tool if metadata else None, server.info
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


def compare(plan: Plan, count: Count) -> None:
    """Raise RestoreFailed unless each table of the backup is there with as many rows as its file holds.

    Of a foreign file nothing is known to compare with.
    """
    there, target = restore_source.rows(count.by_table), plan.target
    wrong = []
    for key, expected in restore_source.rows(plan.expected).items():
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

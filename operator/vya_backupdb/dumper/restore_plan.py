"""The plan of a restore: everything that can be known beforehand, the same for ``--dry-run`` and for the real run.

The backup is found and read to its end; the server and what lies under the target's name are looked at; nothing is
touched. What forbids the restore is collected, not only the first: `Plan.require` raises it.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from vya_backupdb import __version__
from vya_backupdb.domain.errors import (
    BackupDBError,
    RestoreRefused,
    TargetExists,
    WrongServer,
)
from vya_backupdb.domain.metadata import BackupMetadata, DatabaseSettings, TableInfo
from vya_backupdb.domain.undertaking import OnExisting, Phase, Undertaking
from vya_backupdb.dumper import restore_source, safety
from vya_backupdb.dumper.accounts import PlannedUsers
from vya_backupdb.dumper.pipeline import Passed
from vya_backupdb.dumper.restore_request import Request
from vya_backupdb.dumper.restore_source import Source
from vya_backupdb.dumper.restore_users import DatabaseUsers, RunUsers, find_users
from vya_backupdb.dumper.same_schema import lacks_public, nullable
from vya_backupdb.dumper.session import Server, Session
from vya_backupdb.engines.loading import Fitted, Inspection, LoadOptions, Transform
from vya_backupdb.engines.placing import TargetLook
from vya_backupdb.storage.tree import InstanceTree

SHOWN_ROLES: Final = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What a restore will do: decided and checked, nothing touched yet. `leftovers` are of restores that died.

    `accounts` are those that come with it (None: they are left alone), `planned_users` what becomes of them.
    """

    source: Source
    server: Server
    inspection: Inspection
    fitted: Fitted
    target: str
    on_existing: OnExisting
    look: TargetLook
    beside: bool
    room: safety.Room | None
    refusals: tuple[BackupDBError, ...]
    leftovers: tuple[Undertaking, ...] = ()
    warnings: tuple[str, ...] = ()
    tool: str = f"vya-backupdb {__version__}"
    accounts: DatabaseUsers | None = None
    planned_users: PlannedUsers | None = None

    @property
    def metadata(self) -> BackupMetadata | None:
        """The backup's metadata; None for a foreign file."""
        return self.source.metadata

    @property
    def checks(self) -> tuple[str, ...]:
        """What reading the backup to its end has shown."""
        return self.source.checks

    @property
    def settings(self) -> DatabaseSettings:
        """What belongs to the database beside its dump, as the server takes it."""
        return self.fitted.settings

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """In what the loaded will differ from the backup."""
        return (*self.inspection.transforms, *self.fitted.transforms)

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
    server, refusals = session.ask_server(), _Refusals()
    users = refusals.of_users(session, request, tree, source)
    inspection, warnings = _read(session, request, source, users.roles if users else frozenset())
    fitted = session.engine.fitted(source.settings, inspection.options)
    accounts = _accounts(session, request, source, users, (*inspection.accounts, *fitted.accounts), server)
    planned_users = refusals.planned(accounts)
    leftovers = unfinished(session, request.target)
    look = session.engine.placer.look(request.target)
    partly = look.exists and any(one.made == request.target for one in leftovers)
    replaces = look.exists and not partly and request.on_existing is not OnExisting.FAIL
    refusals.trying(lambda: require_fit(source.metadata, server))
    refusals.of_file(request, inspection, fitted)
    refusals.of_target(request, look, partly=partly)
    room = safety.room(session, request.target) if replaces and request.on_existing is OnExisting.REPLACE else None
    if room is not None:
        refusals.trying(room.require)
    return Plan(
        source=source,
        warnings=warnings,
        server=server,
        inspection=inspection,
        fitted=fitted,
        target=request.target,
        on_existing=request.on_existing,
        look=look,
        beside=session.engine.loads_beside or replaces,
        room=room,
        refusals=refusals.found,
        leftovers=leftovers,
        accounts=accounts,
        planned_users=planned_users,
    )


def _accounts(
    session: Session,
    request: Request,
    source: Source,
    users: RunUsers | None,
    names: tuple[str, ...],
    server: Server,
) -> DatabaseUsers | None:
    """Return the accounts that come with the database, those that earlier attempts on this server had begun among them.

    An account of the same name on another server, which the instance was once, is none of them.
    """
    if users is None or source.metadata is None:
        return None
    database = source.metadata.backup_info.database_name
    earlier = session.tree.undertakings().of(request.target)
    begun = frozenset(key for one in earlier if one.server_identity == server.info.identity for key in one.begun)
    return DatabaseUsers(session, users, database=database, to_database=request.target, names=names, begun=begun)


def _read(
    session: Session, request: Request, source: Source, roles: frozenset[str]
) -> tuple[Inspection, tuple[str, ...]]:
    """Read the file to its end; return what a load of it would be, and what is to be known of it."""
    tools = session.tools
    inspector = session.engine.inspector(request.target, replace(_options(request, source), roles=roles))
    passed = restore_source.read_whole(
        source, session.engine.scanner(), inspector, name=request.target, say=tools.say, stop=tools.stop
    )
    return inspector.result(), _warnings(source, passed)


def find_source(request: Request, tree: InstanceTree, now: datetime) -> Source:
    """Return what `request` means. Raise NotFound, BackupCorrupt."""
    if request.path is not None:
        return restore_source.of_path(request.path)
    return restore_source.of_tree(tree, request.database, request.backup, before=request.before, now=now)


def _options(request: Request, source: Source) -> LoadOptions:
    options = LoadOptions(tables=request.tables, owners=request.owners, definers=request.definers)
    if source.metadata is None:
        return replace(options, foreign=True)
    # of the server's own what gives the words of a dump, or of a CHECK, their meaning. What the database itself sets is
    # later, and so counts; but amounts of money are in the dump as the account that made it was shown them.
    known = source.metadata.server_settings
    ours = [
        f"{name}={known[name]}" for name in ("TimeZone", "DateStyle", "default_text_search_config") if name in known
    ]
    amounts = [f"lc_monetary={known['lc_monetary']}"] if "lc_monetary" in known else []
    settings = (*ours, *source.settings.settings, *amounts)
    return replace(
        options,
        source=source.metadata.backup_info.database_name,
        settings=settings,
        lacks_public=not request.tables and lacks_public(source.metadata),
        nullable=nullable(source.metadata),
    )


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

    def of_users(self, session: Session, request: Request, tree: InstanceTree, source: Source) -> RunUsers | None:
        """Return the users file that was asked for; if it is not to be had, that forbids the restore."""
        if request.users is None:
            return None
        try:
            return find_users(session, request.users, tree, source)
        except BackupDBError as error:
            self.add(error)
            return None

    def planned(self, accounts: DatabaseUsers | None) -> PlannedUsers | None:
        """Return what will become of the accounts; what forbids that forbids the restore."""
        try:
            return accounts.plan() if accounts else None
        except BackupDBError as error:
            self.add(error)
            return None

    def of_file(self, request: Request, inspection: Inspection, fitted: Fitted) -> None:
        """Add what the backup itself forbids."""
        if request.tables and request.on_existing is not OnExisting.FAIL:
            self.add(_only_tables(request))
        for found in inspection.refusals:
            self.add(RestoreRefused(f"line {found.line} of the file {found.message}", hint=found.hint))
        if fitted.missing:
            self.add(_missing_roles(fitted.missing))

    def of_target(self, request: Request, look: TargetLook, *, partly: bool) -> None:
        """Add what forbids it on the server; `partly`: what stands there is the remains of a restore that died."""
        if look.exists and not partly and request.on_existing is OnExisting.FAIL:
            self.add(_exists(request.target))
            return
        for one in look.obstacles:
            self.add(RestoreRefused(one.message, hint=one.hint))


def _exists(target: str) -> TargetExists:
    return TargetExists(
        f"the target {target!r} exists on the server, and this restore touches nothing that exists",
        hint="Restore to another name (--to-database), or say what is to become of it (--on-existing replace|rename).",
    )


def _missing_roles(missing: tuple[str, ...]) -> RestoreRefused:
    named = ", ".join(map(repr, missing[:SHOWN_ROLES]))
    more = f" and {len(missing) - SHOWN_ROLES} more" if len(missing) > SHOWN_ROLES else ""
    return RestoreRefused(
        f"the server lacks roles that the database belongs or grants to: {named}{more}",
        hint="Restore the accounts with it (--users), create the role, or leave it out (--owners skip).",
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

"""Whether a backup would work, and what it would miss: everything is tried, nothing is changed for good.

Every step that fails is a finding with its remedy; the others go on, so that one run tells all. The exit code is that
of the first finding that blocks.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final

from vya_backupdb.domain.config import AppConfig, DatabaseConfig
from vya_backupdb.domain.errors import BackupDBError, Busy
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.metadata import size_human
from vya_backupdb.domain.report import DatabaseRow, Finding, RunReport, ServerReport, StorageReport, Totals
from vya_backupdb.domain.series import CLOCK_TOLERANCE
from vya_backupdb.dumper.deliver import Delivery
from vya_backupdb.dumper.progress import counted
from vya_backupdb.dumper.run import missing, uncovered
from vya_backupdb.dumper.session import Server, Session, Tools, open_session, open_tree
from vya_backupdb.engines.base import DatabaseInfo
from vya_backupdb.storage import space
from vya_backupdb.storage.tree import InstanceTree

PROBE: Final = b"vya-backupdb writes, syncs, reads and removes this file to see that a backup could be kept here.\n"


def run_check(app: AppConfig, database: DatabaseConfig, tools: Tools, run: RunId, deliver: Delivery) -> RunReport:
    """Try everything that a backup of `database` needs, and return the report, delivered."""
    return deliver(_Check(app, database, tools, run).do())


class _Check:
    """One check under way; `findings` grows."""

    def __init__(self, app: AppConfig, database: DatabaseConfig, tools: Tools, run: RunId) -> None:
        self._app, self._database, self._tools, self._run = app, database, tools, run
        self._started = tools.clock()
        self._findings: list[Finding] = []
        self._code = ExitCode.OK
        self._server: Server | None = None
        self._found: list[DatabaseInfo] = []
        self._objects: Mapping[str, Mapping[str, int]] = {}
        self._space: StorageReport | None = None

    def do(self) -> RunReport:
        """Do all of it, in the order in which a backup would fail."""
        with self._trying():
            self._look_at_server()
        tree = open_tree(self._app, self._database)
        with self._trying():
            self._look_at_storage(tree)
        with self._trying():
            self._look_at_restores(tree)
        with self._trying():
            self._look_at_newest(tree)
        self._tools.stop.check()
        return self._report()

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """Turn an expected error of the block into a finding that blocks."""
        try:
            yield
        except BackupDBError as error:
            self._tools.stop.check()
            self._note(error.exit_code, self._tools.redact(str(error)))

    def _note(self, code: ExitCode, message: str, *, reason: str = "", blocking: bool = True) -> None:
        self._findings.append(Finding(reason=reason or code.reason, message=message, blocking=blocking))
        if blocking and self._code is ExitCode.OK:
            self._code = code

    def _look_at_server(self) -> None:
        session = open_session(self._app, self._database, self._tools)
        server = self._server = session.ask_server()
        if abs(server.skew) > CLOCK_TOLERANCE:
            seconds = round(server.skew / timedelta(seconds=1))
            self._note(
                ExitCode.OK,
                f"the server's clock is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} this one: retention"
                " deletes nothing until both are set by NTP",
                reason="ClockSkew",
                blocking=False,
            )
        with self._trying():
            _require_clients(session, server)
        self._found = session.engine.databases()
        self._look_at_coverage()
        with self._trying():
            self._objects = session.engine.count_objects([one.name for one in self._found if one.covered])
        self._look_at_rights(session)

    def _look_at_rights(self, session: Session) -> None:
        """Ask for all that a dump would meet, and read the accounts as the users file would."""
        with self._trying():
            self._add(session.engine.preflight())
        for one in self._found:
            self._tools.stop.check()
            if one.covered:
                with self._trying():
                    self._add(session.engine.inspect(one.name))
        if self._database.users:
            with self._trying():
                for text in session.engine.users().warnings:
                    self._note(ExitCode.OK, text, reason="UsersIncomplete", blocking=False)

    def _add(self, findings: Iterable[Finding]) -> None:
        """Add what an engine found; what blocks fails the check with the code of its reason."""
        for one in findings:
            code = next((code for code in ExitCode if code.reason == one.reason), ExitCode.CHECK_FAILED)
            self._note(code, self._tools.redact(one.message), reason=one.reason, blocking=one.blocking)

    def _look_at_coverage(self) -> None:
        for name in missing(self._database, (), self._found):
            self._note(
                ExitCode.CHECK_FAILED,
                f"the database {name!r} is named in include_databases, and the server has none of this name",
                reason="DatabaseMissing",
            )
        for one in uncovered(self._database, self._found):
            self._note(ExitCode.OK, f"{one.name} is not backed up: {one.why}", reason="Uncovered", blocking=False)
        if not any(one.covered for one in self._found):
            self._note(ExitCode.OK, "no database would be backed up", reason="NothingCovered", blocking=False)

    def _look_at_storage(self, tree: InstanceTree) -> None:
        identity = self._server.info.identity if self._server else None
        for text in tree.claim(self._app.owner, identity):
            self._note(ExitCode.OK, text, reason="ServerChanged", blocking=False)
        found = space.space(tree.root)
        self._space = StorageReport(free_bytes=found.free_bytes, total_bytes=found.total_bytes)
        space.ensure_free(tree.root, min_free_bytes=self._app.storage.min_free_bytes)
        self._probe(tree)
        for text in tree.notices:
            self._note(ExitCode.OK, text, reason="VolumeLimited", blocking=False)

    def _probe(self, tree: InstanceTree) -> None:
        """Write, sync, read back and remove a file by the very way of a backup."""
        with tree.lock_run(self._run), tree.open(None, self._started, self._run) as pending:
            pending.write(PROBE)
            pending.finish()
            for _piece in pending.reread():
                pass

    def _look_at_restores(self, tree: InstanceTree) -> None:
        """Name what restores left on the server: those that died, and former databases that were kept."""
        for one in tree.undertakings().all():
            if one.kept is not None:
                was = f"{one.kept!r} is what {one.target!r} was before the restore {one.run}"
                text = f"{was}: drop it when it is of no use"
                self._note(ExitCode.OK, text, reason="FormerDatabaseKept", blocking=False)
                continue
            if one.left_accounts:
                names = ", ".join(repr(str(each)) for each in sorted(one.left_accounts))
                text = (
                    f"the restore {one.run} to {one.target!r} failed after it had begun to make or to change accounts:"
                    f" {names};"
                    " the next one with --users finishes them, 'vya-backupdb restore --clean-up' forgets this"
                )
                self._note(ExitCode.OK, text, reason="RestoreLeftover", blocking=False)
                continue
            with suppress(Busy), tree.lock_run(RunId(one.run)):  # one that lives is no leftover
                text = (
                    f"the restore {one.run} to {one.target!r} died and left {one.made!r}:"
                    " 'vya-backupdb restore --clean-up' settles it, or the next restore to that database"
                )
                self._note(ExitCode.OK, text, reason="RestoreLeftover", blocking=False)

    def _look_at_newest(self, tree: InstanceTree) -> None:
        """Read the newest good backup of each database: what cannot be read is no backup."""
        newest = {one.database: one for one in tree.backups() if one.problem is None}
        sizes = 0
        for stored in newest.values():
            self._tools.stop.check()
            next(tree.read(stored), None)
            sizes += stored.metadata.file_info.size_bytes if stored.metadata and stored.metadata.file_info else 0
        free = self._space.free_bytes if self._space else None
        if free is not None and free < sizes:
            self._note(
                ExitCode.OK,
                f"{size_human(free)} are free, the last backups together have {size_human(sizes)}",
                reason="LowSpace",
                blocking=False,
            )

    def _report(self) -> RunReport:
        server = None
        if self._server is not None:
            info = self._server.info
            server = ServerReport(
                product=info.product,
                version=info.release,
                identity=info.identity,
                databases=len(self._found),
                uncovered=len(uncovered(self._database, self._found)),
            )
        first = next((one for one in self._findings if one.blocking), None)
        covered = [one for one in self._found if one.covered]
        return RunReport(
            operation="check",
            run=self._run,
            reason=first.reason if first else ExitCode.OK.reason,
            message=first.message if first else f"{counted(len(covered), 'database')} would be backed up",
            exit_code=self._code,
            started_at=self._started,
            finished_at=self._tools.clock(),
            totals=Totals(databases=len(covered)),
            server=server,
            storage=self._space,
            findings=tuple(self._findings),
            databases=tuple(_row(one, self._objects.get(one.name)) for one in self._found),
        )


def _row(one: DatabaseInfo, objects: Mapping[str, int] | None) -> DatabaseRow:
    return DatabaseRow(
        name=one.name,
        status="success" if one.covered else "skipped",
        size_bytes=one.size_bytes,
        error=None if one.covered else one.why,
        objects=None if objects is None else dict(objects),
    )


def _require_clients(session: Session, server: Server) -> None:
    """Raise ClientMissing unless a program to dump is there for this server; loading needs none."""
    clients = session.tools.clients()
    if server.info.product == "PostgreSQL":
        clients.pg_dump(server.info)
    else:
        clients.mysql_dump(server.info)

"""A backup run of one instance: every covered database and the users file, several at once; a failure stops no other.

Invariants: a run id that the tree holds complete is never run again (`AlreadyDone`); a retry does only what this run
has not committed; two processes with one run id exclude each other; the report is delivered after each database.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Final

from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.errors import (
    BackupDBError,
    DumpFailed,
    NotFound,
    NothingVisible,
    RunNameTaken,
    StorageError,
    TreeOwnedByAnother,
)
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import RunId, child_name
from vya_backupdb.domain.metadata import BackupMetadata
from vya_backupdb.domain.report import DatabaseRow, RunReport, ServerReport, StorageReport
from vya_backupdb.domain.schedule import scheduled_time
from vya_backupdb.dumper import backup
from vya_backupdb.dumper import users as users_file
from vya_backupdb.dumper.backup import Made, Run
from vya_backupdb.dumper.deliver import Delivery
from vya_backupdb.dumper.events import DatabaseEnded, Kind, Noted, RunEnded, RunStarted
from vya_backupdb.dumper.progress import Progress, Verdict, verdict
from vya_backupdb.dumper.session import Server, Session
from vya_backupdb.engines.base import DatabaseInfo
from vya_backupdb.storage import space
from vya_backupdb.storage.catalog import StoredBackup

_log = logging.getLogger(__name__)

ALREADY_DONE: Final = "AlreadyDone"
Key = tuple[Kind, str]

GLOB: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `databases` empty means every covered one (none with `only_users`).

    `parallelism` is databases at a time.
    """

    run: RunId
    reason: str
    parallelism: int
    databases: tuple[str, ...] = ()
    only_users: bool = False
    job_uid: str | None = None


def run_backup(session: Session, order: Order, deliver: Delivery) -> RunReport:
    """Back up what `order` asks for and return the report, delivered; its exit code is the run's.

    Raise what prevents the whole run before it began (configuration, credentials, connection, volume, Busy).
    """
    tree = session.tree
    # first of all: a run of the same name may be complete in a tree that is another's
    tree.require_owner(session.app.owner)
    before = tree.run(order.run)
    _require_own_name(session, order, before)
    if before is not None and before.exit_code == ExitCode.OK and before.finished_at is not None:
        return _already_done(session, before, deliver)
    session.tools.stop.check()
    # the volume before the server: one that cannot be written to is no reason to bother a database
    with tree.lock_run(order.run):
        try:
            server = session.ask_server()
            for text in tree.claim(session.app.owner, server.info.identity):
                session.say(Noted(text, level="warning"))
            for text in tree.recover():
                session.say(Noted(text))
            deliver.save = tree.save_run
            return _Backup(session, order, server, deliver, is_retry=before is not None).do()
        except TreeOwnedByAnother:
            raise
        except BackupDBError as error:
            _save_early_failure(session, order, error)
            raise


def _require_own_name(session: Session, order: Order, before: RunReport | None) -> None:
    """Raise RunNameTaken if a Job made by hand from the CronJob has the name of one that backed up before.

    It would find that one's backups, count them as its own, and make none. Whoever triggers a run, or schedules it,
    means the same run by the same name.
    """
    if before is None or order.job_uid is None or before.job_uid == order.job_uid or order.reason != "scheduled":
        return
    cron_job = child_name(session.app.schedule, "backup") if session.app.schedule else None
    by_hand = scheduled_time(order.run, cron_job=cron_job) is None
    if by_hand and any(row.status == "success" for row in before.databases):
        raise RunNameTaken(
            f"another Job {order.run} backed up here on {before.started_at:%Y-%m-%d}; under its name nothing is done",
            hint="Make the Job with a name of its own, such as one that ends in the time.",
        )


def _save_early_failure(session: Session, order: Order, error: BackupDBError) -> None:
    """Note on the volume that the run could not begin, for `list`; the error itself is told by whoever called us."""
    now = session.tools.clock()
    message = session.tools.redact(str(error))
    report = RunReport(
        operation="backup",
        run=order.run,
        job_uid=order.job_uid,
        reason=error.exit_code.reason,
        message=message,
        exit_code=error.exit_code,
        started_at=now,
        finished_at=now,
    )
    try:
        session.tree.save_run(report)
    except StorageError as second:
        _log.warning("the failure of run %s could not be noted: %s", order.run, second.message)


def _already_done(session: Session, before: RunReport, deliver: Delivery) -> RunReport:
    message = f"the run {before.run} was complete already; nothing was done again"
    report = deliver(before.model_copy(update={"reason": ALREADY_DONE, "message": message}))
    session.say(RunEnded(report))
    return report


class _Backup:
    """One run under way."""

    def __init__(self, session: Session, order: Order, server: Server, deliver: Delivery, *, is_retry: bool) -> None:
        self._session, self._order, self._server = session, order, server
        self._run = Run(order.run, order.reason, server)
        self._progress = Progress(order.run, job_uid=order.job_uid, clock=session.tools.clock, deliver=deliver)
        # all of a large tree's metadata is read only where it is of use
        stored = self._look() if is_retry or session.tools.wants_estimates else []
        self._committed = {key: one for key, one in stored if is_retry and made_by(one) == order.run}
        self._expected = {key: one.metadata.uncompressed_bytes for key, one in stored if one.metadata}

    def _look(self) -> list[tuple[Key, StoredBackup]]:
        """Return every good backup with the kind and name of what it is of, oldest first."""
        tree = self._session.tree
        databases: list[tuple[Key, StoredBackup]] = [(("database", one.database or ""), one) for one in tree.backups()]
        users: list[tuple[Key, StoredBackup]] = [(("users", users_file.NAME), one) for one in tree.users()]
        return [(key, one) for key, one in (*databases, *users) if one.problem is None]

    def do(self) -> RunReport:
        """Do everything, in threads, and return the final report."""
        only_users = self._order.only_users
        names = [] if only_users else self._names()
        with_users = only_users or (self._session.database.users and not self._order.databases)
        todo: list[tuple[Kind, str]] = [("users", users_file.NAME)] if with_users else []
        todo += [("database", name) for name in names]
        self._session.say(RunStarted(self._order.run, "backup", tuple(name for _, name in todo)))
        self._progress.announce(todo)
        with ThreadPoolExecutor(self._order.parallelism, thread_name_prefix="dump") as pool:
            jobs = [pool.submit(self._one, kind, name) for kind, name in todo]
            self._await(jobs)
        self._see_space()
        report = self._progress.end(self._verdict())
        self._session.say(RunEnded(report))
        return report

    def _await(self, jobs: Sequence[Future[None]]) -> None:
        """Wait for all; an unknown error in one stops the others and goes on to the outermost handler."""
        ended, _ = wait(jobs, return_when=FIRST_EXCEPTION)
        for job in ended:
            error = job.exception()
            if error is not None:
                self._session.tools.stop.now(BackupDBError("the run was ended by an unexpected error"))
                raise error

    def _verdict(self) -> Verdict:
        rows = self._progress.rows
        stopped = self._session.tools.stop.reason
        # a signal that came after the last database had ended took nothing away
        return verdict(rows, stopped=stopped if any(row.status == "failed" for row in rows) else None)

    def _names(self) -> list[str]:
        """Return the databases to do; add a failed row for each that was asked for by name and is not there."""
        found = self._session.engine.databases()
        info = self._server.info
        self._progress.saw(
            server=ServerReport(
                product=info.product,
                version=info.release,
                identity=info.identity,
                databases=len(found),
                uncovered=len(uncovered(self._session.database, found)),
            )
        )
        for name in missing(self._session.database, self._order.databases, found):
            self._failed("database", name, NotFound(f"the server has no database {name!r}"))
        if not self._order.databases:
            self._tell_uncovered(found)
        wanted = set(self._order.databases)
        return [one.name for one in found if (one.name in wanted if wanted else one.covered)]

    def _tell_uncovered(self, found: Sequence[DatabaseInfo]) -> None:
        """Fail each database that is named but cannot be covered; warn of those that a pattern selects."""
        config = self._session.database
        for one in uncovered(config, found):
            text = f"the database {one.name!r} is selected by include_databases, but {one.why}"
            if one.name in config.include_databases:
                hint = "Mend that, or take the database out of include_databases."
                self._failed("database", one.name, DumpFailed(text, hint=hint))
            else:
                self._session.say(Noted(text, one.name, "warning"))
        if not any(one.covered for one in found):
            require_visible(self._session, found)
            self._session.say(Noted("the server shows no database that this instance covers", level="warning"))

    def _one(self, kind: Kind, name: str) -> None:
        try:
            self._session.tools.stop.check()
            made = self._committed.get((kind, name)) or self._make(kind, name)
        except BackupDBError as error:
            self._failed(kind, name, error)
            return
        row = self._row(kind, name, made)
        self._progress.add(row)
        self._session.say(DatabaseEnded(row))

    def _make(self, kind: Kind, name: str) -> Made | StoredBackup:
        space.ensure_free(self._session.tree.root, min_free_bytes=self._session.app.storage.min_free_bytes)
        expected = self._expected.get((kind, name))
        if kind == "users":
            return users_file.back_up_users(self._session, self._run, expected_bytes=expected)
        return backup.back_up(
            self._session, self._run, name, expected_bytes=expected, done=partial(self._committed_now, name)
        )

    def _committed_now(self, name: str) -> StoredBackup | None:
        """Return what another pod of this very Job has committed while we waited for the database."""
        of_run = (one for one in self._session.tree.backups(name) if made_by(one) == self._order.run)
        return next((one for one in of_run if one.problem is None), None)

    def _row(self, kind: Kind, name: str, made: Made | StoredBackup) -> DatabaseRow:
        stored = made.stored if isinstance(made, Made) else made
        info = stored.metadata.file_info if stored.metadata else None
        return DatabaseRow(
            name=name,
            kind=kind,
            status="success",
            backup_id=stored.id,
            size_bytes=info.size_bytes if info else None,
            duration_seconds=stored.metadata.backup_info.duration_seconds if stored.metadata else None,
            finished_at=self._session.tools.clock(),
            warnings=len(stored.metadata.warnings) if stored.metadata else 0,
        )

    def _failed(self, kind: Kind, name: str, error: BackupDBError) -> None:
        text = self._session.tools.redact(str(error))
        row = DatabaseRow(
            name=name,
            kind=kind,
            status="failed",
            finished_at=self._session.tools.clock(),
            reason=error.exit_code.reason,
            error=text,
        )
        self._save_failure(kind, name, text)
        self._progress.add(row)
        self._session.say(DatabaseEnded(row))

    def _save_failure(self, kind: Kind, name: str, text: str) -> None:
        """Note the failure on the volume; where even that fails, the report tells it."""
        info = backup.backup_info(self._session, name, self._server.now())
        failed = info.model_copy(update={"status": "failed", "error_message": text})
        metadata = BackupMetadata(kind=kind, backup_info=failed, run=self._run.info(self._session))
        try:
            self._session.tree.save_failure(self._order.run, None if kind == "users" else name, metadata)
        except StorageError as error:
            _log.warning("the failure of %r could not be noted: %s", name, error.message)

    def _see_space(self) -> None:
        found = space.space(self._session.tree.root)
        self._progress.saw(storage=StorageReport(free_bytes=found.free_bytes, total_bytes=found.total_bytes))


def made_by(stored: StoredBackup) -> str | None:
    """Return the id of the run that made `stored`, None where it is not known."""
    return stored.metadata.run.id if stored.metadata and stored.metadata.run else None


def missing(config: DatabaseConfig, asked: Sequence[str], found: Sequence[DatabaseInfo]) -> list[str]:
    """Return the databases that were named, not matched by a pattern, and do not exist: never left out in silence."""
    exact = asked or [name for name in config.include_databases if not GLOB.intersection(name)]
    there = {one.name for one in found}
    return [name for name in exact if name not in there and (asked or config.wants(name))]


def uncovered(config: DatabaseConfig, found: Sequence[DatabaseInfo]) -> list[DatabaseInfo]:
    """Return what include and exclude select, and yet is not backed up; what they leave out is left out on purpose."""
    return [one for one in found if not one.covered and config.wants(one.name)]


def require_visible(session: Session, found: Sequence[DatabaseInfo]) -> None:
    """Raise NothingVisible where nothing is covered, and include and exclude are not the reason for it."""
    hidden = [one.message for one in session.engine.preflight() if one.reason == ExitCode.NOTHING_VISIBLE.reason]
    hidden += [f"{one.name}: {one.why}" for one in uncovered(session.database, found)]
    if hidden:
        raise NothingVisible(
            f"none of the server's databases can be backed up: {'; '.join(hidden[:3])}",
            hint="Give the account its rights back; 'vya-backupdb check' names what is missing.",
        )


def dry_run(session: Session, databases: tuple[str, ...], done: Callable[[str], None]) -> None:
    """Tell `done` each database that a run would dump. Raise as a run would before it began."""
    session.ask_server()
    for one in session.engine.databases():
        if one.name in databases or (not databases and one.covered):
            done(one.name)

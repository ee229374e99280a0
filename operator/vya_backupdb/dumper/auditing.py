"""Recording one operation on one instance in the audit log, while it goes on; a log that fails stops no backup.

Each database is recorded as soon as its end is reported, so that a killed run has left what it had done by then. What
cannot be written is kept and tried once more with the final report; if it fails again, the report says so in its
findings, and so does the program's own log. After a failure nothing is tried in between: a server that does not answer
costs its time-out twice at most, however many databases there are.
"""

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from vya_backupdb.domain.audit import Actor, AuditEntry, Deleted, of_deletions, of_row, of_run
from vya_backupdb.domain.errors import AuditUnavailable
from vya_backupdb.domain.report import DatabaseRow, Finding, RunReport
from vya_backupdb.domain.series import Backup
from vya_backupdb.dumper.deliver import Observe
from vya_backupdb.dumper.run import ALREADY_DONE

if TYPE_CHECKING:
    from vya_backupdb.engines.audit import AuditLog

_log = logging.getLogger(__name__)

REASON: Final = "AuditUnavailable"


def unavailable(error: AuditUnavailable) -> Observe:
    """Return what stands in for a recorder where the log cannot even be opened: it tells every reader so."""
    _log.warning("%s", error)
    finding = Finding(reason=REASON, message=str(error), blocking=False)
    return lambda report: finding


class Recorder:
    """Takes each state of a run's report; safe from several threads; never raises."""

    def __init__(self, log: "AuditLog", database_id: str, actor: Actor) -> None:
        self._audit, self._database_id, self._actor = log, database_id, actor
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str]] = set()
        self._pending: list[AuditEntry] = []
        self._deleted: tuple[Deleted, ...] = ()
        self._ended = False
        self._problem: AuditUnavailable | None = None

    def will_delete(self, deleted: Iterable[Deleted]) -> None:
        """Note what retention is about to delete: recorded when it reports that it did."""
        self._deleted = tuple(deleted)

    def __call__(self, report: RunReport) -> Finding | None:
        """Record what is new in `report`, redacted; return what its reader is to be told of the log, if anything."""
        with self._lock:
            final = report.finished_at is not None
            self._pending += self._new(report, final=final)
            if self._pending and (self._problem is None or final):
                self._flush()
            return self._finding()

    def failed(self, report: RunReport) -> None:
        """Record an operation that ended by an error, unless its own report has told so already."""
        if not self._ended:
            self._seen.clear()  # the databases that were done before stand there; that the run failed does not
            self(report)

    def _new(self, report: RunReport, *, final: bool) -> list[AuditEntry]:
        """Return the entries for what this report is the first to tell."""
        if report.reason == ALREADY_DONE:
            self._ended = True
            return []
        entries = [entry for row in report.databases if (entry := self._of_row(report, row)) is not None]
        if final and not self._ended:
            self._ended = True
            deleted = self._deleted if not report.exit_code else ()
            entries += of_deletions(report, deleted, self._database_id, self._actor)
            if not entries and not self._seen:
                entries.append(of_run(report, self._database_id, self._actor))
        return entries

    def _of_row(self, report: RunReport, row: DatabaseRow) -> AuditEntry | None:
        entry = of_row(report, row, self._database_id, self._actor)
        if entry is None or (row.kind, row.name) in self._seen:
            return None
        self._seen.add((row.kind, row.name))
        return entry

    def _flush(self) -> None:
        try:
            self._audit.write(self._pending)
        except AuditUnavailable as error:
            if self._problem is None:
                _log.warning("%s", error)
            self._problem = error
            return
        if self._problem is not None:
            _log.info("the audit log %s can be written again; nothing is missing in it", self._audit.name)
        self._problem = None
        self._pending.clear()

    def _finding(self) -> Finding | None:
        if self._problem is None:
            return None
        return Finding(reason=REASON, message=str(self._problem), blocking=False)


def deletions(backups: Iterable[Backup]) -> list[Deleted]:
    """Return `backups`, which are or will be deleted, by database."""
    groups: dict[str | None, list[Backup]] = {}
    for backup in backups:
        groups.setdefault(backup.series.database_name, []).append(backup)
    return [
        Deleted(name, tuple(one.id for one in these), sum(one.size_bytes for one in these))
        for name, these in groups.items()
    ]

"""A run's report while it grows: one row a database, delivered as they change. Safe from several threads."""

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vya_backupdb.domain.errors import BackupDBError
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.metadata import size_human
from vya_backupdb.domain.report import DatabaseRow, RunReport, ServerReport, StorageReport, Totals
from vya_backupdb.dumper.deliver import Delivery
from vya_backupdb.dumper.events import Kind

RUNNING: Final = "Running"
SEND_EVERY_SECONDS: Final = 1.0
NAMED_FAILURES: Final = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended: the code, its reason for a condition, and one sentence."""

    code: ExitCode
    reason: str
    message: str


class Progress:
    """The rows of one backup run. Rows of names that were announced but did not end yet are ``running``."""

    def __init__(
        self, run: RunId, *, clock: Callable[[], datetime], deliver: Delivery, job_uid: str | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._clock, self._deliver = clock, deliver
        self._rows: dict[tuple[Kind, str], DatabaseRow] = {}
        self._sent = -math.inf
        self.report = RunReport(
            operation="backup",
            run=run,
            job_uid=job_uid,
            reason=RUNNING,
            message="the run goes on",
            exit_code=0,
            started_at=clock(),
        )

    def announce(self, names: Iterable[tuple[Kind, str]]) -> None:
        """Add a running row for each name that has none."""
        with self._lock:
            for kind, name in names:
                self._rows.setdefault((kind, name), DatabaseRow(name=name, kind=kind, status="running"))
            self._send()

    def add(self, row: DatabaseRow) -> None:
        """Put `row` in its name's place."""
        with self._lock:
            self._rows[row.kind, row.name] = row
            # the whole report each time: for a thousand small databases that would cost more than their dumps
            if time.monotonic() - self._sent >= SEND_EVERY_SECONDS:
                self._send()

    def saw(self, *, server: ServerReport | None = None, storage: StorageReport | None = None) -> None:
        """Note what was seen of the server and the volume; delivered with the next change."""
        with self._lock:
            found = {"server": server, "storage": storage}
            self.report = self.report.model_copy(update={key: value for key, value in found.items() if value})

    @property
    def rows(self) -> tuple[DatabaseRow, ...]:
        """The rows as they are now, by name."""
        return tuple(self._rows[key] for key in sorted(self._rows))

    def end(self, verdict: Verdict) -> RunReport:
        """Deliver the final report and return it."""
        with self._lock:
            self.report = self.report.model_copy(
                update={
                    "reason": verdict.reason,
                    "message": verdict.message,
                    "exit_code": int(verdict.code),
                    "finished_at": self._clock(),
                }
            )
            return self._send()

    def _send(self) -> RunReport:
        rows, self._sent = self.rows, time.monotonic()
        self.report = self._deliver(self.report.model_copy(update={"databases": rows, "totals": totals(rows)}))
        return self.report


def totals(rows: Iterable[DatabaseRow]) -> Totals:
    """Return the run in numbers; the users file counts its bytes and its failure, not as a database."""
    every = tuple(rows)
    databases = [row for row in every if row.kind == "database"]
    return Totals(
        databases=len(databases),
        succeeded=sum(row.status == "success" for row in databases),
        failed=sum(row.status == "failed" for row in every),
        size_bytes=sum(row.size_bytes or 0 for row in every if row.status == "success"),
    )


def verdict(rows: Iterable[DatabaseRow], *, stopped: BackupDBError | None) -> Verdict:
    """Return how a run with these final `rows` ended; `stopped` is why it was cut short, if it was."""
    every = tuple(rows)
    failed = [row for row in every if row.status == "failed"]
    good = [row for row in every if row.status == "success"]
    size = size_human(sum(row.size_bytes or 0 for row in good))
    databases = sum(row.kind == "database" for row in good)
    if not failed:
        what = counted(databases, "database") if databases or not good else "users and roles"
        return Verdict(ExitCode.OK, ExitCode.OK.reason, f"{what} backed up, {size}")
    code = _code(failed, any_good=bool(good), stopped=stopped)
    names = ", ".join(_named(row) for row in failed[:NAMED_FAILURES])
    more = f" and {len(failed) - NAMED_FAILURES} more" if len(failed) > NAMED_FAILURES else ""
    head = f"{len(failed)} of {len(every)} failed: {names}{more}"
    return Verdict(code, code.reason, f"{stopped.message}; {head}" if stopped else head)


def _code(failed: list[DatabaseRow], *, any_good: bool, stopped: BackupDBError | None) -> ExitCode:
    if stopped is not None:
        return stopped.exit_code
    if any_good:
        return ExitCode.PARTIAL
    reasons = {row.reason for row in failed}
    common = next((code for code in ExitCode if reasons == {code.reason}), None)
    return common or ExitCode.BACKUP_FAILED


def _named(row: DatabaseRow) -> str:
    name = "users and roles" if row.kind == "users" else row.name
    return f"{name} ({row.reason}): {row.error}" if row.error else f"{name} ({row.reason})"


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: '1 table', '2 tables'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

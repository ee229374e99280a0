"""What a restore tells at its end: one sentence, the numbers, and what became of the database that was there before."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vya_backupdb.domain.errors import BackupDBError
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.metadata import size_human
from vya_backupdb.domain.report import AccountReport, DatabaseRow, RestoredReport, RunReport, Totals, TransformReport
from vya_backupdb.dumper.progress import counted
from vya_backupdb.dumper.restore_plan import Plan
from vya_backupdb.dumper.restore_request import Request
from vya_backupdb.dumper.session import Session
from vya_backupdb.engines.base import Count
from vya_backupdb.engines.loading import Transform

#: Accounts with these actions were made or changed.
_CHANGING: Final = frozenset({"create", "replace", "grant"})


@dataclass(frozen=True, slots=True)
class Clock:
    """When a restore began: by the wall, and by the clock that does not jump."""

    started_at: datetime
    began: float

    @property
    def seconds(self) -> float:
        """How long it takes by now."""
        return round(time.monotonic() - self.began, 3)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back, and how the loaded differs from the file.

    `kept` is the name of the former database, None if there is none; `saved` the id of the backup that was made of it;
    `users` what became of accounts so far.
    """

    count: Count
    transforms: tuple[Transform, ...]
    kept: str | None
    saved: str | None
    users: tuple[AccountReport, ...] = ()


def success(session: Session, request: Request, plan: Plan, clock: Clock, outcome: Outcome) -> RunReport:
    """Return the report of a restore that ended well, or will have, once its content is in its place."""
    size, now = plan.source.raw_bytes, session.tools.clock()
    row = DatabaseRow(
        name=plan.target,
        status="success",
        backup_id=plan.source.id,
        size_bytes=size,
        duration_seconds=clock.seconds,
        finished_at=now,
    )
    return RunReport(
        operation="restore",
        run=request.run,
        reason=ExitCode.OK.reason,
        message=_sentence(plan, outcome),
        exit_code=ExitCode.OK,
        started_at=clock.started_at,
        finished_at=now,
        totals=Totals(databases=1, succeeded=1, size_bytes=size or 0),
        restored=RestoredReport(
            backup_id=plan.source.id,
            database=plan.target,
            bytes=size,
            tables=outcome.count.tables,
            rows=outcome.count.rows,
            transforms=tuple(
                TransformReport(name=one.name, count=one.count, sentence=one.sentence) for one in outcome.transforms
            ),
            kept_database=outcome.kept,
            safety_backup_id=outcome.saved,
            users=outcome.users,
        ),
        databases=(row,),
    )


def _sentence(plan: Plan, outcome: Outcome) -> str:
    size, count = plan.source.raw_bytes, outcome.count
    what = [counted(count.tables, "table"), counted(count.rows, "row"), *([size_human(size)] if size else [])]
    sentence = f"{plan.target} was restored from {plan.source.id}: {', '.join(what)}"
    if outcome.saved:
        sentence += f"; what it replaced is the backup {outcome.saved}"
    return f"{sentence}; the former one is now called {outcome.kept}" if outcome.kept else sentence


def with_users(report: RunReport, users: tuple[AccountReport, ...]) -> RunReport:
    """Return the report of a restore that ended well with what became of the accounts that came with it."""
    if report.restored is None or not users:
        return report
    failed = [one for one in users if one.failed]
    code = ExitCode.USERS_PARTIAL if failed else ExitCode.OK
    first = failed[0].refused[0].error if failed and failed[0].refused else failed[0].why if failed else ""
    error = f"{failed[0].account}: {first}" if failed else None
    changed = sum(one.action in _CHANGING for one in users)
    said = f"; with {counted(changed, 'account')}" if changed else "; its accounts were left as they are"
    said += f", {len(failed)} not or not wholly restored: {error}" if failed else ""
    row = DatabaseRow(
        name="",
        kind="users",
        status="failed" if failed else "success",
        finished_at=report.finished_at,
        reason=code.reason if failed else None,
        error=error,
    )
    changes = {
        "reason": code.reason,
        "exit_code": code,
        "message": report.message + said,
        "restored": report.restored.model_copy(update={"users": users}),
        "databases": (*(one for one in report.databases if one.kind != "users"), row),
    }
    return report.model_copy(update=changes)


def failure(session: Session, request: Request, started_at: datetime, error: BackupDBError) -> RunReport:
    """Return the report of a restore that `error` ended."""
    return RunReport(
        operation="restore",
        run=request.run,
        reason=error.exit_code.reason,
        message=session.tools.redact(str(error)),
        exit_code=error.exit_code,
        started_at=started_at,
        finished_at=session.tools.clock(),
        totals=Totals(databases=1, failed=1),
    )


def finished_later(request: Request, earlier: RunReport) -> RunReport:
    """Return the report of an earlier run, whose restore only lacked its end, as this run's."""
    if earlier.run == request.run:
        return earlier
    message = f"{earlier.message} (by the run {earlier.run}, which was cut short at its very end)"
    return earlier.model_copy(update={"run": request.run, "message": message})

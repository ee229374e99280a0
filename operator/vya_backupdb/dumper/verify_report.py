"""The report of one verification: a row a database, in which the damaged backups are named."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import DatabaseRow, RunReport, Totals
from vya_backupdb.dumper.progress import counted
from vya_backupdb.dumper.verification import Outcome, Verified


def exit_code(results: Iterable[Verified]) -> ExitCode:
    """Return the code of what was found: damage before a volume that could not be read. What is gone is no fault."""
    outcomes = {one.outcome for one in results}
    if Outcome.CORRUPT in outcomes:
        return ExitCode.BACKUP_CORRUPT
    return ExitCode.STORAGE_UNAVAILABLE if Outcome.UNREADABLE in outcomes else ExitCode.OK


def sentence(results: Sequence[Verified]) -> str:
    """Return '12 backups: 11 whole, 1 corrupt'."""
    counts = [(outcome, sum(one.outcome is outcome for one in results)) for outcome in Outcome]
    said = ", ".join(f"{number} {outcome.value}" for outcome, number in counts if number)
    return f"{counted(len(results), 'backup')}: {said}"


def verify_report(run: str, started_at: datetime, finished_at: datetime, results: Sequence[Verified]) -> RunReport:
    """Return the report of a verification of one instance's backups, at least one."""
    groups: dict[str | None, list[Verified]] = {}
    for one in results:
        groups.setdefault(one.stored.database, []).append(one)
    rows = tuple(_row(name, found, finished_at) for name, found in groups.items())
    code = exit_code(results)
    databases = [row for row in rows if row.kind == "database"]
    return RunReport(
        operation="verify",
        run=run,
        reason=code.reason,
        message=sentence(results),
        exit_code=code,
        started_at=started_at,
        finished_at=finished_at,
        totals=Totals(
            databases=len(databases),
            succeeded=sum(row.status == "success" for row in databases),
            failed=sum(row.status == "failed" for row in databases),
            size_bytes=sum(row.size_bytes or 0 for row in rows),
        ),
        databases=rows,
    )


def _row(name: str | None, found: Sequence[Verified], finished_at: datetime) -> DatabaseRow:
    wrong = [one for one in found if one.outcome in {Outcome.CORRUPT, Outcome.UNREADABLE}]
    code = exit_code(found)
    return DatabaseRow(
        name=name or "",
        kind="users" if name is None else "database",
        status="failed" if wrong else "success",
        size_bytes=sum(one.raw_bytes or 0 for one in found),
        duration_seconds=round(sum(one.seconds for one in found), 3),
        finished_at=finished_at,
        reason=code.reason if wrong else None,
        error="; ".join(f"{one.stored.id}: {one.problem}" for one in wrong) or None,
    )

"""The audit log as data: who did what, when, from where, with which result; one entry a database and operation.

An entry is made from a run's report and nothing else, so that the log and the report cannot tell two stories. Texts
come redacted. The names are those of the VYA tool's table ``audit_logs``, which had no actor, run and backup.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from vya_backupdb.domain.report import DatabaseRow, RunReport

Status = Literal["success", "failed", "partial"]

_OPERATIONS: Final = {"retention": "cleanup"}
_STATUS: Final[dict[str, Status]] = {"success": "success", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who runs the program (the account, and who became it by sudo), and on which host or pod."""

    name: str
    hostname: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row. `database_id` is the instance's id; `database_name` None for what is about no single database."""

    timestamp: datetime
    operation: str
    database_id: str
    database_name: str | None
    status: Status
    duration_seconds: float | None
    size_bytes: int | None
    error_message: str | None
    hostname: str
    actor: str
    run_id: str
    backup_id: str | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """What retention deleted of one database (None: of the users files)."""

    database_name: str | None
    backup_ids: tuple[str, ...]
    size_bytes: int


def operation(report: RunReport, row: DatabaseRow | None = None) -> str:
    """Return the word for what `report`, or one row of it, is about."""
    word = _OPERATIONS.get(report.operation, report.operation)
    return f"users-{word}" if row is not None and row.kind == "users" else word


def of_row(report: RunReport, row: DatabaseRow, database_id: str, actor: Actor) -> AuditEntry | None:
    """Return the entry for one database of a run, None while it has not ended."""
    status = _STATUS.get(row.status)
    if status is None:
        return None
    return AuditEntry(
        timestamp=row.finished_at or report.finished_at or report.started_at,
        operation=operation(report, row),
        database_id=database_id,
        database_name=row.name or None,
        status=status,
        duration_seconds=row.duration_seconds,
        size_bytes=row.size_bytes,
        error_message=row.error,
        hostname=actor.hostname,
        actor=actor.name,
        run_id=report.run,
        backup_id=row.backup_id,
    )


def of_run(report: RunReport, database_id: str, actor: Actor) -> AuditEntry:
    """Return the entry for a run that has no row of a database: it failed before, or is about no single one."""
    ended = report.finished_at or report.started_at
    return AuditEntry(
        timestamp=ended,
        operation=operation(report),
        database_id=database_id,
        database_name=None,
        status="failed" if report.exit_code else "success",
        duration_seconds=(ended - report.started_at).total_seconds(),
        size_bytes=None,
        error_message=report.message if report.exit_code else None,
        hostname=actor.hostname,
        actor=actor.name,
        run_id=report.run,
    )


def of_deletions(report: RunReport, deleted: Iterable[Deleted], database_id: str, actor: Actor) -> Sequence[AuditEntry]:
    """Return one entry for each database of which backups were deleted."""
    ended = report.finished_at or report.started_at
    return [
        AuditEntry(
            timestamp=ended,
            operation=operation(report),
            database_id=database_id,
            database_name=one.database_name,
            status="success",
            duration_seconds=(ended - report.started_at).total_seconds(),
            size_bytes=one.size_bytes,
            error_message=None,
            hostname=actor.hostname,
            actor=actor.name,
            run_id=report.run,
            backup_id=", ".join(one.backup_ids),
        )
        for one in deleted
    ]

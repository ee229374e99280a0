"""What of a run reaches the audit log, when it works, when it does not, and when it comes back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from vya_backupdb.domain.audit import Actor, Deleted
from vya_backupdb.domain.errors import AuditUnavailable
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.domain.report import DatabaseRow, RunReport
from vya_backupdb.dumper.auditing import Recorder, unavailable
from vya_backupdb.dumper.deliver import Delivery
from vya_backupdb.engines.audit import AuditLog

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
ME = Actor("root", "backup01")


def report(*rows: DatabaseRow, **fields: Any) -> RunReport:
    values = {"operation": "backup", "run": "r", "reason": "Running", "message": "m", "exit_code": 0}
    return RunReport(**{**values, "started_at": NOW, "databases": rows, **fields})


def row(name: str, status: Any = "success", **fields: Any) -> DatabaseRow:
    return DatabaseRow(name=name, status=status, **fields)


END = {"finished_at": NOW + timedelta(seconds=7)}


def recorder(path: Path) -> tuple[Recorder, AuditLog]:
    log = AuditLog(path / "audit.db", redact=Redactor(), patience_seconds=0.2)
    return Recorder(log, "shop", ME), log


def told(log: AuditLog) -> list[tuple[str, str | None, str]]:
    return [(one.operation, one.database_name, one.status) for one in reversed(log.read())]


def test_what_is_said_of_a_log_that_cannot_be_opened_stands_once(tmp_path: Path) -> None:
    said = unavailable(AuditUnavailable("like postgresql://a:secret@b/c"))
    deliver = Delivery(termination_log=None, redact=Redactor(), observe=said)
    again = deliver(deliver(report(row("a"))).model_copy(update=END))
    assert [one.message for one in again.findings] == ["like postgresql://[redacted]@b/c"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path / "audit.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_each_database_once_and_as_soon_as_it_ends(tmp_path: Path) -> None:
    record, log = recorder(tmp_path)
    assert record(report(row("a", "running"), row("b", "running"))) is None
    record(report(row("a", size_bytes=5), row("b", "running")))
    assert told(log) == [("backup", "a", "success")]
    users = row("", "failed", kind="users", error="no")
    record(report(row("a"), row("b", "failed", error="why"), users, exit_code=40, **END))
    assert told(log) == [("backup", "a", "success"), ("backup", "b", "failed"), ("users-backup", None, "failed")]
    assert [(one.error_message, one.actor, one.hostname, one.run_id) for one in log.read(limit=2)] == [
        ("no", "root", "backup01", "r"),
        ("why", "root", "backup01", "r"),
    ]


def test_a_run_that_could_not_begin_is_recorded_once(tmp_path: Path) -> None:
    record, log = recorder(tmp_path)
    failure = report(exit_code=20, message="cannot connect", **END)
    record.failed(failure)
    record.failed(failure)
    assert told(log) == [("backup", None, "failed")]
    assert log.read()[0].error_message == "cannot connect"


def test_a_run_that_broke_off_is_recorded_beside_what_it_had_done(tmp_path: Path) -> None:
    record, log = recorder(tmp_path)
    record(report(row("a")))
    record.failed(report(exit_code=47, **END))
    assert told(log) == [("backup", "a", "success"), ("backup", None, "failed")]


def test_what_retention_deleted_is_recorded_by_database(tmp_path: Path) -> None:
    record, log = recorder(tmp_path)
    record.will_delete([Deleted("a", ("a_1", "a_2"), 30), Deleted(None, ("users_1",), 3)])
    record(report(operation="retention", **END))
    assert told(log) == [("cleanup", "a", "success"), ("cleanup", None, "success")]
    assert {one.backup_id for one in log.read()} == {"a_1, a_2", "users_1"}


def test_retention_that_failed_claims_no_deletion(tmp_path: Path) -> None:
    record, log = recorder(tmp_path)
    record.will_delete([Deleted("a", ("a_1",), 30)])
    record.failed(report(operation="retention", exit_code=45, **END))
    assert told(log) == [("cleanup", None, "failed")]


def test_a_run_that_was_complete_already_is_not_recorded_again(tmp_path: Path) -> None:
    record, log = recorder(tmp_path)
    record(report(row("a"), reason="AlreadyDone", **END))
    record(report(row("b"), **END))
    assert told(log) == [("backup", "b", "success")]


def test_a_log_that_fails_and_comes_back_has_lost_nothing(tmp_path: Path) -> None:
    record, log = recorder(tmp_path)
    log.prove(NOW)
    with locked(tmp_path):
        problem = record(report(row("a"), row("b", "running")))
        assert record(report(row("a"), row("b"))) == problem
    assert problem is not None
    assert problem.reason == "AuditUnavailable"
    assert not problem.blocking
    assert record(report(row("a"), row("b"), **END)) is None
    assert told(log) == [("backup", "a", "success"), ("backup", "b", "success")]


def test_the_report_says_what_the_log_could_not_take_and_no_more(tmp_path: Path) -> None:
    record, log = recorder(tmp_path)
    log.prove(NOW)
    deliver = Delivery(termination_log=tmp_path / "message", redact=Redactor(), observe=record)
    with locked(tmp_path):
        first = deliver(report(row("a")))
    assert [one.reason for one in first.findings] == ["AuditUnavailable"]
    assert b"AuditUnavailable" in (tmp_path / "message").read_bytes()
    assert deliver(first.model_copy(update=END)).findings == ()
    assert b"AuditUnavailable" not in (tmp_path / "message").read_bytes()

"""How a run's rows become its exit code, its sentence and its report."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vya_backupdb.domain.errors import DeadlineExceeded, Interrupted, StorageUnavailable
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.domain.report import DatabaseRow, RunReport, parse_report
from vya_backupdb.dumper.deliver import Delivery
from vya_backupdb.dumper.progress import Progress, totals, verdict

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def good(name: str, size: int = 1 << 20) -> DatabaseRow:
    return DatabaseRow(name=name, status="success", size_bytes=size)


def bad(name: str, reason: str = "AuthenticationFailed") -> DatabaseRow:
    return DatabaseRow(name=name, status="failed", reason=reason, error="why")


USERS = DatabaseRow(name="", kind="users", status="success", size_bytes=100)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([good("a"), good("b"), USERS], ExitCode.OK),
        ([], ExitCode.OK),
        ([good("a"), bad("b")], ExitCode.PARTIAL),
        ([good("a"), USERS.model_copy(update={"status": "failed", "reason": "PrivilegeMissing"})], ExitCode.PARTIAL),
        ([bad("a"), USERS], ExitCode.PARTIAL),
        ([bad("a"), bad("b")], ExitCode.AUTHENTICATION_FAILED),
        ([bad("a", "NoSpace"), bad("b", "NoSpace")], ExitCode.NO_SPACE),
        ([bad("a", "NoSpace"), bad("b", "BackupFailed")], ExitCode.BACKUP_FAILED),
        ([bad("a", "SomethingNew")], ExitCode.BACKUP_FAILED),
    ],
)
def test_the_rows_decide_the_code(rows: list[DatabaseRow], code: ExitCode) -> None:
    found = verdict(rows, stopped=None)
    assert (found.code, found.reason) == (code, code.reason)


@pytest.mark.parametrize("stopped", [Interrupted("told to stop"), DeadlineExceeded("too late")])
def test_what_stopped_a_run_is_its_code(stopped: Interrupted | DeadlineExceeded) -> None:
    found = verdict([good("a"), bad("b", "Interrupted")], stopped=stopped)
    assert found.code == stopped.exit_code
    assert found.message.startswith(stopped.message)


def test_the_sentence_names_the_first_failures() -> None:
    found = verdict([bad(f"db{n}") for n in range(8)], stopped=None)
    assert found.message.startswith("8 of 8 failed: db0 (AuthenticationFailed): why, db1")
    assert found.message.endswith("and 3 more")
    assert verdict([good("a")], stopped=None).message == "1 database backed up, 1.0 MiB"
    assert verdict([good("a"), good("b"), USERS], stopped=None).message.startswith("2 databases backed up, 2.0 MiB")


def test_users_are_no_database_in_the_totals() -> None:
    found = totals([good("a"), bad("b"), USERS])
    assert (found.databases, found.succeeded, found.failed, found.size_bytes) == (2, 1, 1, (1 << 20) + 100)


def progress(path: Path, redact: Redactor, saved: list[RunReport]) -> Progress:
    delivery = Delivery(termination_log=path, redact=redact, save=saved.append)
    return Progress(RunId("run-1"), clock=lambda: NOW, deliver=delivery)


def test_the_report_is_there_from_the_beginning_to_the_end(tmp_path: Path) -> None:
    saved: list[RunReport] = []
    path = tmp_path / "log"
    made = progress(path, Redactor(), saved)
    made.announce([("database", "b"), ("database", "a"), ("users", "")])
    first = parse_report(path.read_bytes())
    assert first is not None
    assert first.finished_at is None
    assert {row.status for row in first.databases} == {"running"}
    made.add(good("a"))
    made.add(bad("b"))
    made.add(USERS)
    last = made.end(verdict(made.rows, stopped=None))
    assert (last.exit_code, last.reason, last.finished_at) == (ExitCode.PARTIAL, "PartiallyFailed", NOW)
    delivered = parse_report(path.read_bytes())
    assert delivered is not None
    assert [row.name for row in delivered.databases] == ["b", "", "a"]  # failures first
    assert saved[-1] == last


def test_a_shorter_report_overwrites_a_longer_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("x" * 4096)
    made = progress(path, Redactor(), [])
    made.announce([("database", "a")])
    assert json.loads(path.read_text())["run"] == "run-1"
    assert len(path.read_bytes()) == 4096


def test_a_thousand_databases_fit(tmp_path: Path) -> None:
    path = tmp_path / "log"
    made = progress(path, Redactor(), [])
    made.announce([("database", f"customer_{n:04}") for n in range(1000)])
    for n in range(1000):
        made.add(bad(f"customer_{n:04}") if n % 3 else good(f"customer_{n:04}"))
    made.end(verdict(made.rows, stopped=None))
    report = parse_report(path.read_bytes())
    assert report is not None
    assert len(path.read_bytes()) <= 4096
    assert report.omitted + len(report.databases) == 1000
    assert report.totals.failed == 666


def test_secrets_are_redacted_on_the_way_out(tmp_path: Path) -> None:
    saved: list[RunReport] = []
    path = tmp_path / "log"
    made = progress(path, Redactor(["hunter2"]), saved)
    made.add(bad("a").model_copy(update={"error": "password hunter2 refused"}))
    made.end(verdict(made.rows, stopped=None))
    assert "hunter2" not in path.read_text() + saved[-1].model_dump_json()


def test_a_report_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    def refuse(_report: RunReport) -> None:
        raise StorageUnavailable("read-only")

    delivery = Delivery(termination_log=tmp_path / "no" / "such", redact=Redactor(), save=refuse)
    made = Progress(RunId("run-1"), clock=lambda: NOW, deliver=delivery)
    made.add(good("a"))
    assert made.end(verdict(made.rows, stopped=None)).exit_code == 0

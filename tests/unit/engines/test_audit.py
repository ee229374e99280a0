"""The audit log in a SQLite file: what it keeps, whom it lets read it, and how it fails."""

import os
import resource
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.storage.support import fork

from vya_backupdb.domain.audit import AuditEntry
from vya_backupdb.domain.errors import AuditUnavailable
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.engines.audit import AuditLog

BERLIN = timezone(timedelta(hours=1))
ENTRY = AuditEntry(
    timestamp=datetime(2026, 11, 21, 3, 0, 0, 123456, tzinfo=BERLIN),
    operation="backup",
    database_id="shop",
    database_name='o\'rders "😀"',
    status="success",
    duration_seconds=1.25,
    size_bytes=1 << 40,
    error_message=None,
    hostname="backup01",
    actor="root (sudo by alice)",
    run_id="run-1",
    backup_id="shop_20261121_030000_full",
)


def log(path: Path) -> AuditLog:
    return AuditLog(path, redact=Redactor(), patience_seconds=0.2)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    audit = log(tmp_path / "new folder" / "a?b#c%20.db")
    later = replace(ENTRY, timestamp=ENTRY.timestamp + timedelta(hours=2), operation="cleanup", database_name=None)
    audit.write([ENTRY])
    audit.write([later])
    assert audit.read() == [replace(later, timestamp=later.timestamp.astimezone(UTC)), ENTRY]
    assert audit.read(since=ENTRY.timestamp + timedelta(seconds=1)) == [later]
    assert audit.read(since=ENTRY.timestamp) == [later, ENTRY]
    assert audit.read(operation="backup") == [ENTRY]
    assert audit.read(limit=1) == [later]
    assert [one.name for one in tmp_path.rglob("*.db")] == ["a?b#c%20.db"]


def test_a_proof_leaves_nothing(tmp_path: Path) -> None:
    audit = log(tmp_path / "audit.db")
    audit.prove(ENTRY.timestamp)
    assert audit.read() == []


def test_the_file_is_its_owners_whatever_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log(tmp_path / "state" / "audit.db").write([ENTRY])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state" / "audit.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_table_of_the_vya_tool_gets_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute(
            "CREATE TABLE audit_logs (id INTEGER PRIMARY KEY, timestamp DATETIME, operation VARCHAR(20), "
            "database_id VARCHAR(50), database_name VARCHAR(100), status VARCHAR(20), duration_seconds FLOAT, "
            "size_bytes BIGINT, error_message TEXT, hostname VARCHAR(100))"
        )
        old.execute(
            "INSERT INTO audit_logs (timestamp, operation, status) VALUES ('2026-01-01 00:00:00', 'backup', 'x')"
        )
        old.commit()
    audit = log(path)
    audit.write([ENTRY])
    assert [one.run_id for one in audit.read()] == ["run-1", None]


@given(st.text(st.characters(), max_size=80), st.text(max_size=80))
def test_any_text_can_be_kept(name: str, message: str) -> None:
    audit = log(Path("/dev/shm") / f"vya-audit-{os.getpid()}.db")
    try:
        audit.write([replace(ENTRY, database_name=name, error_message=message)])
        (found,) = audit.read()
    finally:
        Path(f"/dev/shm/vya-audit-{os.getpid()}.db").unlink()
    assert found.database_name == name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def test_a_log_that_is_not_there_yet_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(AuditUnavailable, match="there is no audit log"):
        log(tmp_path / "audit.db").read()
    assert list(tmp_path.iterdir()) == []


def test_a_locked_log_is_an_error_in_a_few_seconds(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    audit = log(path)
    audit.write([ENTRY])
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(AuditUnavailable, match="locked"):
            audit.write([ENTRY])
    audit.write([ENTRY])
    assert len(audit.read()) == 2


def test_a_full_log_is_an_error_and_what_stood_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    audit = log(path)
    audit.write([ENTRY])

    def child() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, resource.RLIM_INFINITY))
        with pytest.raises(AuditUnavailable, match=r"full|I/O"):
            audit.write([replace(ENTRY, error_message="x" * 1000)] * 100)

    assert fork(child) == 0
    assert audit.read() == [ENTRY]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bob:geh%40im@127.0.0.1:1/audit",
        "mysql://bob:geh%40im@127.0.0.1:1/audit",
        "mariadb+pymysql://bob:geh%40im@127.0.0.1:1/audit?charset=utf8mb4",
        "postgresql://bob@127.0.0.1:1/audit?password=geh%40im",
        "oracle+nodriver://bob:geh%40im@db/audit",
        "postgresql://bob:geh%40im@db:port/audit",
        "nonsense://bob:geh%40im@db/audit",
        "sqlite:////dev/null/audit.db",
        "sqlite:////proc/audit.db",
    ],
)
def test_what_cannot_be_used_is_said_without_the_secret(url: str) -> None:
    redact = Redactor()
    with pytest.raises(AuditUnavailable) as caught:
        AuditLog(url, redact=redact).write([ENTRY])
    assert caught.value.hint
    assert caught.value.__cause__ is None
    assert "geh" not in str(caught.value)

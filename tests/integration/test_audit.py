"""The audit log of the whole program, and in databases of other products: what is in it, and what a broken one does."""

import json
import os
import pwd
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from tests.fixtures.workspace import Done, Workspace
from tests.servers import Server

from vya_backupdb.domain.audit import AuditEntry
from vya_backupdb.domain.errors import AuditUnavailable
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.engines.audit import AuditLog

NOBODY_LISTENS = "postgresql://auditor:geh%40im@127.0.0.1:1/audit"


def entries(workspace: Workspace, *more: str) -> list[dict[str, Any]]:
    done = workspace.run("audit", "list", "--format", "json", *more)
    assert done.code == 0, done.err
    return list(reversed(json.loads(done.out)))


def told(workspace: Workspace, *more: str) -> list[tuple[str, str | None, str]]:
    return [(one["operation"], one["database_name"], one["status"]) for one in entries(workspace, *more)]


@pytest.fixture
def audited(workspace: Workspace) -> Workspace:
    """A workspace with a home directory, and so with the default audit log; only the test's own database is covered."""
    home = workspace.root / "home"
    home.mkdir()
    workspace.environment["HOME"] = str(home)
    workspace.instance["include_databases"] = ["shop"]
    return workspace


def test_who_did_what_when_from_where_with_which_result(audited: Workspace, database: str) -> None:
    begun = datetime.now(UTC)
    assert audited.run("backup").code == 0
    assert audited.run("restore", "--database", database, "--to-database", "copy").code == 0
    assert audited.run("restore", "--database", database, "--to-database", "copy").code == ExitCode.TARGET_EXISTS
    audited.run("backup")
    audited.config["retention"] = {"daily_keep": 1, "weekly_keep": 0, "monthly_keep": 0}
    assert audited.run("retention", "apply").code == 0
    audited.instance["port"] = 1
    assert audited.run("backup").code == ExitCode.CONNECTION_FAILED
    assert told(audited) == [
        ("users-backup", None, "success"),
        ("backup", "shop", "success"),
        ("restore", "copy", "success"),
        ("restore", None, "failed"),
        ("users-backup", None, "success"),
        ("backup", "shop", "success"),
        ("cleanup", "shop", "success"),  # the users of a run go after its databases
        ("cleanup", None, "success"),
        ("backup", None, "failed"),
    ]
    seen = entries(audited)
    assert {one["database_id"] for one in seen} == {"demo"}
    assert {one["actor"] for one in seen} == {pwd.getpwuid(os.geteuid()).pw_name}
    assert all(one["hostname"] and one["run_id"] and one["timestamp"] >= begun.isoformat() for one in seen)
    assert seen[1]["backup_id"] == seen[2]["backup_id"] == seen[6]["backup_id"]
    assert seen[1]["size_bytes"] == seen[6]["size_bytes"] > 0
    assert "127.0.0.1:1" in seen[8]["error_message"]
    assert told(audited, "--operation", "restore") == [("restore", "copy", "success"), ("restore", None, "failed")]
    assert told(audited, "--since", "2999-01-01T00:00:00Z") == []
    path = audited.root / "home/.local/state/vya-backupdb/audit.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def healthy(workspace: Workspace, done: Done) -> dict[str, Any]:
    """Assert that the backup stands whatever the audit log did, and return the finding about the log."""
    assert done.code == 0, done.err
    assert done.report["exit_code"] == 0
    (backup,) = workspace.ids("shop")
    assert workspace.run("list", "--format", "json").code == 0
    (finding,) = done.report["findings"]
    assert finding["reason"] == "AuditUnavailable"
    assert finding["blocking"] is False
    assert "the audit log" in done.err
    (saved,) = (workspace.tree / ".runs").glob("*.json")
    assert json.loads(saved.read_text())["findings"] == [finding]
    assert "geh" not in done.out + done.err + saved.read_text()
    assert backup
    return dict(finding)


@pytest.mark.parametrize("broken", ["unreachable", "locked", "no file"])
def test_a_broken_log_stops_no_backup_and_is_told_of(audited: Workspace, database: str, broken: str) -> None:
    path = audited.root / "audit.db"
    audit: dict[str, Any] = {"database_url": f"sqlite:///{path}"}
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        if broken == "locked":
            other.execute("BEGIN EXCLUSIVE")
        elif broken == "unreachable":
            audit = {"database_url": NOBODY_LISTENS}
        else:
            audit = {"database_url_file": str(audited.root / "absent")}
        audited.config["audit"] = audit
        healthy(audited, audited.run("backup"))


def test_a_required_log_that_is_broken_lets_nothing_begin(audited: Workspace, database: str) -> None:
    audited.config["audit"] = {"database_url": NOBODY_LISTENS, "required": True}
    for command in (("backup",), ("restore", "--database", database, "--to-database", "copy"), ("retention", "apply")):
        done = audited.run(*command)
        assert done.code == ExitCode.AUDIT_UNAVAILABLE, done.err
        assert "the audit log" in done.err
        assert "geh" not in done.err
    assert audited.files() == []


def test_the_url_may_come_from_a_file_or_the_environment(audited: Workspace, database: str) -> None:
    (audited.root / "url").write_text(f"sqlite:///{audited.root}/from-file.db\n")
    audited.config["audit"] = {"database_url_file": str(audited.root / "url")}
    audited.run("backup")
    del audited.config["audit"]
    audited.environment["VYA_BACKUPDB_AUDIT__DATABASE_URL"] = f"sqlite:///{audited.root}/from-environment.db"
    audited.run("backup")
    assert len(told(audited)) == 2
    assert {one.name for one in audited.root.glob("*.db")} == {"from-file.db", "from-environment.db"}


@pytest.mark.parametrize("config", [{"audit": {"enabled": False}}, {"owner": "ns/shop"}])
def test_where_it_is_off_nothing_is_written(audited: Workspace, database: str, config: dict[str, Any]) -> None:
    audited.config.update(config)
    assert audited.run("backup").code == 0
    assert list((audited.root / "home").rglob("*")) == []
    assert audited.run("audit", "list").code == ExitCode.AUDIT_UNAVAILABLE


PASSWORD = "p@ss/w:ör'd\"%41 😀"
ENTRY = AuditEntry(
    timestamp=datetime(2026, 11, 21, 3, 0, 0, 123456, tzinfo=UTC),
    operation="backup",
    database_id="shop",
    database_name="o'rders `\"😀\\",
    status="success",
    duration_seconds=1.25,
    size_bytes=1 << 40,
    error_message=None,
    hostname="backup01",
    actor="root",
    run_id="run-1",
    backup_id="x" * 3000,
)
DRIVERS = {"postgres": "postgresql", "mariadb": "mariadb", "mysql": "mysql"}


@pytest.fixture(params=["postgres:17", "mariadb:11.8", "mysql:9.7"])
def url(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Iterator[tuple[str, Server]]:
    """The URL of an empty database for an account that may create and use tables there, and no more."""
    server: Server = servers(request.param)
    if server.product == "postgres":
        server.sql(f"CREATE ROLE auditor LOGIN PASSWORD E'{PASSWORD.replace(chr(39), chr(39) * 2)}'")
        server.sql("CREATE DATABASE audit_log OWNER auditor")
    else:
        server.sql("CREATE DATABASE audit_log")
        server.sql("CREATE USER auditor IDENTIFIED BY %s", (PASSWORD,))
        server.sql("GRANT CREATE, ALTER, INSERT, SELECT ON audit_log.* TO auditor")
    at = f"{server.host}:{server.port}/audit_log"
    yield f"{DRIVERS[server.product]}://auditor:{quote(PASSWORD, safe='')}@{at}", server
    server.sql("DROP DATABASE audit_log")
    server.sql("DROP ROLE auditor" if server.product == "postgres" else "DROP USER auditor")


def test_a_log_in_a_database_server(url: tuple[str, Server]) -> None:
    redact = Redactor()
    audit = AuditLog(url[0], redact=redact)
    audit.prove(ENTRY.timestamp)
    audit.write([ENTRY, replace(ENTRY, timestamp=ENTRY.timestamp + timedelta(days=1), error_message="no\0pe \ud800")])
    again = AuditLog(url[0], redact=redact)
    again.write([])
    assert again.read(operation="backup", since=ENTRY.timestamp - timedelta(seconds=1))[1] == ENTRY
    assert [one.error_message for one in again.read()] == ["no\\0pe \\ud800", None]
    url[1].sql("ALTER TABLE audit_logs DROP COLUMN actor", database="audit_log")
    AuditLog(url[0], redact=redact).write([ENTRY])
    assert [one.actor for one in again.read()] == [None, "root", None]
    assert PASSWORD not in redact(f"a driver that quotes {PASSWORD}")
    assert quote(PASSWORD, safe="") not in redact(url[0])


def test_a_locked_table_is_given_up_in_seconds(url: tuple[str, Server]) -> None:
    audit = AuditLog(url[0], redact=Redactor())
    audit.write([ENTRY])
    with closing(url[1].connect("audit_log")) as other, other.cursor() as cursor:
        if url[1].product == "postgres":
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE audit_logs")
        else:
            cursor.execute("LOCK TABLES audit_logs WRITE")
        with pytest.raises(AuditUnavailable) as caught:
            audit.write([ENTRY])
    assert PASSWORD not in str(caught.value)
    assert len(audit.read()) == 1


def test_a_wrong_password_is_not_shown(url: tuple[str, Server]) -> None:
    wrong = url[0].replace("auditor:", "auditor:wr0ng")
    with pytest.raises(AuditUnavailable) as caught:
        AuditLog(wrong, redact=Redactor()).write([ENTRY])
    assert "wr0ng" not in str(caught.value)
    assert "audit_log" in str(caught.value)

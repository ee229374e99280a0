"""What a backup must not leave out in silence, and what it may not take for a loss."""

import gzip
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clients import shipped_clients
from tests.fixtures.workspace import Connect, Workspace
from tests.servers import Server

from vya_backupdb.domain.exitcodes import ExitCode

SCRIPT = """
CREATE TABLE refsys (id int PRIMARY KEY, t text);
INSERT INTO refsys SELECT n, 'given' FROM generate_series(1, 50) n;
SELECT pg_catalog.pg_extension_config_dump('refsys', 'WHERE id > 50');
"""


@pytest.fixture
def extension(connect: Connect) -> Iterator[str]:
    """An extension with a table of its own that users add rows to, as PostGIS' spatial_ref_sys."""
    with tempfile.TemporaryDirectory() as name, connect("postgres") as connection:
        folder = Path(name) / "extension"
        folder.mkdir()
        (folder / "refs.control").write_text("default_version = '1'\nschema = public\nrelocatable = false\n")
        (folder / "refs--1.sql").write_text(SCRIPT)
        for path in (Path(name), folder):
            path.chmod(0o755)
        connection.execute(f"ALTER ROLE CURRENT_USER SET extension_control_path = '{name}:$system'".encode())
        yield "refs"
        connection.execute("ALTER ROLE CURRENT_USER RESET extension_control_path")


def test_rows_added_to_an_extensions_table_come_back(
    workspace: Workspace, database: str, connect: Connect, extension: str
) -> None:
    with connect(database) as connection:
        connection.execute(f"CREATE EXTENSION {extension}".encode())
        connection.execute("INSERT INTO refsys VALUES (1001, 'mine')")
    assert workspace.run("backup", "--database", database).code == 0
    done = workspace.run("restore", "--database", database, "--to-database", "restored")
    assert done.code == 0, done.err
    with connect("restored") as connection:
        rows = connection.execute("SELECT count(*), max(t) FILTER (WHERE id > 50) FROM refsys").fetchone()
    assert rows == (51, "mine")


def test_a_named_database_that_the_account_may_not_enter_fails(
    workspace: Workspace, database: str, connect: Connect
) -> None:
    with connect("postgres") as connection:
        connection.execute("CREATE DATABASE closed")
        connection.execute("REVOKE CONNECT ON DATABASE closed FROM public")
        connection.execute("CREATE ROLE visitor LOGIN PASSWORD 'visitor password' IN ROLE pg_read_all_data")
    try:
        workspace.set_credentials("visitor", "visitor password")
        workspace.instance["users"] = False
        workspace.instance["include_databases"] = [database, "closed"]
        done = workspace.run("backup")
        assert done.code == ExitCode.PARTIAL
        assert {row["name"]: row["status"] for row in done.report["databases"]} == {
            database: "success",
            "closed": "failed",
        }
        assert "may not connect" in done.report["message"]
        # one that a pattern selects is told, and fails nothing: a provider's own database is such a one
        workspace.instance["include_databases"] = ["*"]
        done = workspace.run("backup")
        assert done.code == 0
        assert [line["name"] for line in done.lines if "may not connect" in line.get("message", "")] == ["closed"]
    finally:
        with connect("postgres") as connection:
            connection.execute("DROP ROLE visitor")


def test_a_role_is_left_out_only_where_its_provider_is(workspace: Workspace, connect: Connect) -> None:
    with connect("postgres") as connection:
        for name in ("rdsync", "azure_app", "rds_superuser"):
            connection.execute(f"CREATE ROLE {name}".encode())
        try:
            alone = users_file(workspace)
            assert {name for name in ("rdsync", "azure_app") if f'CREATE ROLE "{name}"' in alone} == {
                "rdsync",
                "azure_app",
            }
            connection.execute("CREATE ROLE rdsadmin")
            assert "rds_superuser" not in users_file(workspace)
        finally:
            for name in ("rdsync", "azure_app", "rds_superuser", "rdsadmin"):
                connection.execute(f"DROP ROLE IF EXISTS {name}".encode())


def users_file(workspace: Workspace) -> str:
    workspace.instance["include_databases"] = ["nothing*"]
    assert workspace.run("backup").code == 0
    newest = max(workspace.tree.glob("users_*.sql.gz"), key=lambda path: path.stat().st_mtime_ns)
    return gzip.decompress(newest.read_bytes()).decode()


def test_what_a_server_hides_from_the_account_fails_the_backup(
    servers: Callable[[str], Server], tmp_path: Path
) -> None:
    server = servers("mariadb:11.8")
    server.sql("CREATE DATABASE hidden")
    server.sql("CREATE TABLE hidden.item (id int)")
    server.sql("CREATE USER blind@'%' IDENTIFIED BY 'blind password'")
    try:
        home = Workspace(tmp_path / "work", server, kind="mysql")
        home.set_credentials("blind", "blind password")
        home.environment["VYA_BACKUPDB_CLIENT_PATH"] = ":".join(shipped_clients())
        home.instance["users"] = False

        server.sql("GRANT SELECT, EVENT, SHOW VIEW ON hidden.* TO blind@'%'")
        refused = home.run("backup", "--database", "hidden")
        assert refused.code == ExitCode.PRIVILEGE_MISSING
        assert refused.row["reason"] == "PrivilegeMissing"
        for part in (
            "triggers of 'hidden' may be missing",
            "GRANT TRIGGER ON `hidden`.* TO `blind`@`%`",
            "mysql`.`proc",
        ):
            assert part in refused.row["error"]
        checked = home.run("check", "--format", "json")
        assert checked.code == ExitCode.PRIVILEGE_MISSING
        found = {one["reason"] for one in json.loads(checked.out)["findings"]}
        assert found == {"PrivilegeMissing", "DatabasesHidden", "WeakDetector"}
        server.sql("GRANT SELECT ON mysql.proc TO blind@'%'")
        server.sql("GRANT TRIGGER ON hidden.* TO blind@'%'")
        assert home.run("backup", "--database", "hidden").code == 0
        assert home.run("check").code == 0
        server.sql("REVOKE ALL PRIVILEGES, GRANT OPTION FROM blind@'%'")
        assert home.run("backup").code == ExitCode.NOTHING_VISIBLE
        assert home.run("check").code == ExitCode.NOTHING_VISIBLE
    finally:
        server.sql("DROP USER blind@'%'")
        server.sql("DROP DATABASE hidden")


def test_what_a_dump_alters_at_its_source_by_name_is_applied_to_the_target(
    servers: Callable[[str], Server], tmp_path: Path
) -> None:
    server = servers("mariadb:11.8")
    server.sql("CREATE DATABASE source CHARACTER SET latin1")
    try:
        server.sql("CREATE PROCEDURE source.old() SELECT 1")
        server.sql("ALTER DATABASE source CHARACTER SET utf8mb4")
        home = Workspace(tmp_path / "work", server, kind="mysql")
        home.environment["VYA_BACKUPDB_CLIENT_PATH"] = ":".join(shipped_clients())
        assert home.run("backup", "--database", "source").code == 0
        done = home.run("restore", "--database", "source", "--to-database", "other")
        assert done.code == 0, done.err
        assert {one["name"]: one["count"] for one in done.report["restored"]["transforms"]}["alter-database"] == 2
        ask = "SELECT DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"
        routine = "SELECT DATABASE_COLLATION FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s"
        for name in ("source", "other"):
            assert server.sql(ask, (name,)) == [("utf8mb4",)]
            assert "latin1" in server.sql(routine, (name,))[0][0]
    finally:
        server.sql("DROP DATABASE IF EXISTS source")
        server.sql("DROP DATABASE IF EXISTS other")


def test_sequences_as_defaults_and_histories_come_back(servers: Callable[[str], Server], tmp_path: Path) -> None:
    server = servers("mariadb:11.8")
    server.sql("CREATE DATABASE source")
    try:
        server.sql("CREATE SEQUENCE source.numbers START WITH 100")
        server.sql("CREATE TABLE source.numbered (id int DEFAULT NEXTVAL(source.numbers), n int)")
        server.sql("INSERT INTO source.numbered (n) VALUES (1)")
        server.sql("CREATE TABLE source.versioned (id int PRIMARY KEY, n int) WITH SYSTEM VERSIONING")
        server.sql("INSERT INTO source.versioned VALUES (1, 1)")
        server.sql("UPDATE source.versioned SET n = 2")
        home = Workspace(tmp_path / "work", server, kind="mysql")
        home.environment["VYA_BACKUPDB_CLIENT_PATH"] = ":".join(shipped_clients())
        assert home.run("backup", "--database", "source").code == 0
        server.sql("DROP DATABASE source")
        done = home.run("restore", "--database", "source")
        assert done.code == 0, done.err
        # the number of the row, and both the row and what it was
        assert done.report["restored"]["rows"] == 3
        # under another name the default is of the copy's own sequence, not of the source's
        done = home.run("restore", "--database", "source", "--to-database", "other")
        assert done.code == 0, done.err
        assert "`source`" not in server.sql("SHOW CREATE TABLE other.numbered")[0][1]
    finally:
        server.sql("DROP DATABASE IF EXISTS other")
        server.sql("DROP DATABASE IF EXISTS source")

"""The schema in a backup: what the metadata says of it, and that a change under the dump is seen and named."""

import json
from collections.abc import Callable

import pytest
from tests.clients import shipped_clients
from tests.demo.embedded import EmbeddedServer
from tests.fixtures.engine_rig import Account, rig
from tests.fixtures.scratch_databases import Make, run
from tests.fixtures.workspace import Connect, Workspace
from tests.servers import Server

from vya_backupdb.domain import schema
from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.errors import DumpFailed
from vya_backupdb.engines import pg_catalog, pg_schema, pg_session

EVERYTHING = """CREATE SEQUENCE q; CREATE VIEW v AS SELECT id FROM item;
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMENT ON VIEW v IS 's3cret';"""


@pytest.fixture
def reader(embedded: EmbeddedServer) -> pg_session.Server:
    """How the engine reaches the embedded server."""
    config = DatabaseConfig(id="x", type="postgresql", host=embedded.host, port=embedded.port)
    return pg_session.Server(config, Account(embedded.user, embedded.password), str)


def test_a_backup_tells_its_schema_and_a_restore_has_it(
    workspace: Workspace, database: str, connect: Connect, reader: pg_session.Server
) -> None:
    with connect(database) as connection:
        connection.execute(EVERYTHING)
    assert workspace.run("backup", "--database", database).code == 0
    (backup,) = workspace.ids(database)
    path = workspace.data_file(backup).with_name(f"{backup}.metadata.json")
    metadata = json.loads(path.read_text())
    with reader.session(database) as session:
        source = pg_schema.read_now(session, database)
    info = metadata["schema_info"]
    assert info["schema_hash"] == source.structure_hash
    assert info["definition_hash"] == source.definition_hash
    assert info["labels_hash"] == source.labels_hash
    assert (info["sequences_count"], info["events_count"], metadata["schema_hash_version"]) == (1, 0, 1)
    assert schema.unpack(metadata["schema_objects"], source="x") == source
    assert metadata["server_settings"]["server_encoding"] == "UTF8"
    assert "s3cret" not in path.read_text()
    assert "schema (every object before and after)" in metadata["consistency"]["checked"]
    done = workspace.run("restore", "--database", database, "--to-database", "again")
    assert done.code == 0, done.err
    assert not [line for line in done.lines if "differ" in str(line)]
    with reader.session("again") as session:
        assert schema.diff(source, pg_schema.read_now(session, "again")) == ()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE OR REPLACE VIEW v AS SELECT id FROM item WHERE id > 1", r"view public\.v \(query\)"),
        ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'", r"routine public\.f\(\) \(body\)"),
        ("DROP SEQUENCE q", r"sequence public\.q is removed"),
        ("ALTER TABLE item ALTER name SET DEFAULT 'x'", r"column public\.item\.name \(has_default, default\)"),
    ],
)
def test_a_change_under_a_postgresql_dump_fails_it_by_name(
    database: str, connect: Connect, reader: pg_session.Server, statement: str, named: str
) -> None:
    with connect(database) as connection:
        connection.execute(EVERYTHING)
        with pg_catalog.snapshot(reader, database, lambda _: False) as snapshot:
            # nothing of ours is in its way
            connection.execute("SET lock_timeout = '20s'")
            connection.execute(statement)
            with pytest.raises(DumpFailed, match=f"its schema changed: {named}") as caught:
                snapshot.verify(snapshot.tables)
    assert caught.value.hint


def test_what_a_postgresql_dump_does_not_depend_on_may_change(
    database: str, connect: Connect, reader: pg_session.Server
) -> None:
    with connect(database) as connection, pg_catalog.snapshot(reader, database, lambda _: False) as snapshot:
        connection.execute(
            "CREATE VIEW newer AS SELECT 1 AS a; GRANT SELECT ON item TO PUBLIC; CREATE INDEX ON item (name)"
        )
        assert snapshot.verify(snapshot.tables)


@pytest.mark.parametrize("product", ["mariadb:11.8", "mysql:9.7"])
def test_a_change_under_a_mysql_dump_fails_it_by_name(
    servers: Callable[[str], Server], make: Make, product: str
) -> None:
    """Where nothing holds changes back: the account has no BACKUP_ADMIN."""
    server = servers(product)
    name = make(
        server,
        "changing",
        "CREATE TABLE t (a int)",
        "CREATE VIEW v AS SELECT a FROM t",
        "CREATE PROCEDURE p() SELECT 1",
    )
    routines = ", SHOW_ROUTINE" if server.product == "mysql" else ""
    server.sql(
        f"CREATE USER onlooker IDENTIFIED BY 'pw'; GRANT SELECT, SHOW VIEW, PROCESS{routines} ON *.* TO onlooker"
    )
    try:
        my = rig(server, shipped_clients(), user="onlooker", password="pw")
        with my.engine.snapshot(name) as snapshot:
            assert snapshot.server_settings["lower_case_table_names"] == "0"
            assert snapshot.schema_info.events_count == 0
            run(server, name, "CREATE VIEW newer AS SELECT 1 AS a")
            assert snapshot.verify(snapshot.tables)
            run(server, name, "ALTER VIEW v AS SELECT a FROM t WHERE a = 1", "DROP PROCEDURE p")
            with pytest.raises(DumpFailed, match=r"schema changed: procedure p is removed; view v \(query\)"):
                snapshot.verify(snapshot.tables)
    finally:
        server.sql("DROP USER onlooker")

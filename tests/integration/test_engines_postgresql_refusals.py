"""PostgreSQL: what is not whole, not there or not allowed is refused, and said; locks and coverage."""

import pytest
from tests.clients import shipped_clients
from tests.fixtures.engine_rig import Rig, rig
from tests.fixtures.scratch_databases import (
    Make,
)

from vya_backupdb.domain.errors import (
    Busy,
    ConfigurationError,
    DumpFailed,
    NotFound,
    RestoreFailed,
    TargetExists,
)
from vya_backupdb.domain.metadata import DatabaseSettings
from vya_backupdb.engines.base import DatabaseInfo


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE t",
        "ALTER TABLE t ALTER COLUMN a TYPE bigint",
        "DROP TABLE t",
        "VACUUM FULL t",
        "CLUSTER t USING t_a",
        "ALTER TABLE t SET TABLESPACE pg_default; ALTER TABLE t ADD COLUMN b float DEFAULT random()",
        "DROP TABLE t; CREATE TABLE t AS SELECT 1 AS a",
        "ALTER TABLE t RENAME TO x; ALTER TABLE other RENAME TO t",
        "CREATE SCHEMA aside; ALTER TABLE t SET SCHEMA aside",
    ],
)
def test_a_table_that_is_rewritten_under_the_snapshot_fails_the_dump(pg: Rig, make: Make, statement: str) -> None:
    """pg_dump itself ends with 0 and an empty table after a TRUNCATE between its snapshot and its lock."""
    name = make(
        pg.server,
        "rewritten",
        "CREATE TABLE t AS SELECT 1 AS a; CREATE INDEX t_a ON t (a); CREATE TABLE other (id int)",
    )
    with pg.engine.snapshot(name) as snapshot:
        pg.server.sql(statement, database=name)
        with pytest.raises(DumpFailed, match=r"public\.t"):
            snapshot.verify()


def test_what_happens_beside_the_tables_does_not_fail_the_dump(pg17: Rig, make: Make) -> None:
    name = make(
        pg17.server, "busy", "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE SEQUENCE s"
    )
    with pg17.engine.snapshot(name) as snapshot:
        pg17.server.sql("REFRESH MATERIALIZED VIEW m; CREATE TABLE newer (id int)", database=name)
        pg17.server.sql("INSERT INTO t VALUES (1); DELETE FROM t; SELECT nextval('s')", database=name)
        assert snapshot.verify(snapshot.tables)


def test_a_stream_without_a_table_of_the_snapshot_is_refused(pg17: Rig, make: Make) -> None:
    name = make(pg17.server, "lacking", "CREATE TABLE t (a int); CREATE TABLE u (a int)")
    with pg17.engine.snapshot(name) as snapshot, pytest.raises(DumpFailed, match=r"lacks tables: public\.u"):
        snapshot.verify(snapshot.tables[:1])


def test_row_level_security_fails_loudly(pg17: Rig, make: Make) -> None:
    """Rows hidden from the backup's account must not be left out in silence."""
    make(pg17.server, "plain_user", kind="ROLE", options="LOGIN PASSWORD 'pw'")
    name = make(
        pg17.server,
        "secured",
        "CREATE TABLE t (a int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT SELECT ON t TO plain_user",
    )
    weak = rig(pg17.server, shipped_clients(), user="plain_user", password="pw")
    with pytest.raises(DumpFailed, match="row-level security") as caught:
        weak.dump(name)
    assert "BYPASSRLS" in caught.value.hint


def test_a_lock_keeps_others_out_and_ends_with_its_session(pg: Rig) -> None:
    with pg.engine.lock("locked", wait_seconds=0) as held:
        held.verify()
        with pytest.raises(Busy, match="locked"), pg.engine.lock("locked", wait_seconds=0):
            pass
        with pg.engine.lock("another", wait_seconds=0):
            pass
        pg.server.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        with pytest.raises(DumpFailed, match="lock on database 'locked' was lost"):
            held.verify()
    with pg.engine.lock("locked", wait_seconds=0):
        pass


def test_waiting_for_a_lock_can_be_given_up(pg17: Rig) -> None:
    asked: list[int] = []

    def give_up() -> None:
        asked.append(1)
        raise InterruptedError

    with (
        pg17.engine.lock("locked", wait_seconds=0),
        pytest.raises(InterruptedError),
        pg17.engine.lock("locked", wait_seconds=60, checkpoint=give_up),
    ):
        pass
    assert asked == [1]


def test_which_databases_are_covered(pg17: Rig, make: Make) -> None:
    server = pg17.server
    objects = (
        "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY)", "CREATE TABLE u (a int)",
        "CREATE VIEW v AS SELECT 1", "CREATE SEQUENCE s", "CREATE PROCEDURE p() LANGUAGE SQL AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    )  # fmt: skip
    for name in ("shop", "shop_test", "blog", "vya_0123456789ab"):
        make(server, name)
    for statement in objects:
        server.sql(statement, database="shop")
    make(server, "frozen", options="ALLOW_CONNECTIONS false")
    make(server, "pattern", options="IS_TEMPLATE true")
    chosen = rig(server, (), include_databases=["shop*", "frozen", "pattern"], exclude_databases=["*_test"]).engine
    found = {info.name: info for info in chosen.databases()}
    assert {name for name, info in found.items() if info.covered} == {"shop"}
    assert found["shop_test"].why == "is in exclude_databases"
    assert found["blog"].why == "is not in include_databases"
    assert found["frozen"].why == "accepts no connections"
    assert found["pattern"].why == "is a template"
    assert found["shop"].size_bytes
    # one that cannot be looked into is left out, and stops no other
    assert chosen.count_objects(["shop", "frozen", "none"]) == {
        "shop": {"tables": 2, "views": 1, "sequences": 2, "routines": 2, "triggers": 1}
    }
    assert not {"template0", "template1", "vya_0123456789ab", "postgres"} & found.keys()


def test_objects_in_the_maintenance_database_are_seen(pg17: Rig) -> None:
    def of(*included: str) -> DatabaseInfo | None:
        engine = rig(pg17.server, (), include_databases=included or ("*",)).engine
        return next((info for info in engine.databases() if info.name == "postgres"), None)

    assert of() is None
    pg17.server.sql("CREATE TABLE left_behind (id int)")
    try:
        uncovered, named = of(), of("postgres")
    finally:
        pg17.server.sql("DROP TABLE left_behind")
    assert uncovered is not None
    assert not uncovered.covered
    assert "include_databases" in uncovered.why
    assert named is not None
    assert named.covered


def test_a_restore_is_refused_before_anything_is_made(pg17: Rig, make: Make) -> None:
    name = make(pg17.server, "there")
    with pytest.raises(TargetExists, match="there"):
        pg17.engine.create(name, DatabaseSettings())
    with pytest.raises(RestoreFailed, match="lacks roles") as caught:
        pg17.engine.create("vya_000000000001", DatabaseSettings(owner="postgres", acl=('"gh""ost"=c/postgres',)))
    assert 'gh"ost' in caught.value.message
    assert "users" in caught.value.hint
    with pytest.raises(RestoreFailed, match="xx_XX"):
        pg17.engine.create("vya_000000000001", DatabaseSettings(charset="UTF8", collation="xx_XX"))
    assert not pg17.engine.exists("vya_000000000001")
    with pytest.raises(ConfigurationError, match="63 bytes"):
        pg17.engine.create("ü" * 32, DatabaseSettings())
    make(pg17.server, "scratch")
    with pytest.raises(TargetExists, match="there"):
        pg17.engine.placer.swap(pg17.engine.placer.prepare_swap("scratch", name, kept=None))


def test_a_load_stops_at_the_first_error_and_says_where(pg17: Rig, make: Make) -> None:
    name = make(pg17.server, "half")
    with pytest.raises(RestoreFailed, match=r"statement 2 on line 2, 'INSERT INTO nowhere VALUES …': rel") as caught:
        pg17.load(b"CREATE TABLE a (b int);\nINSERT INTO nowhere VALUES (1);\nCREATE TABLE c (d int);\n", name)
    assert "half" in caught.value.message
    assert [table.name for table in pg17.engine.count(name).by_table] == ["a"]
    with pytest.raises(RestoreFailed) as missing:
        pg17.load(b'ALTER TABLE a OWNER TO "nobody here";\n', name)
    assert "--users" in missing.value.hint


def test_a_database_that_is_not_there(pg17: Rig) -> None:
    with pytest.raises(NotFound, match="nowhere"), pg17.engine.snapshot("nowhere"):
        pass

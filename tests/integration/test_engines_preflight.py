"""What a dump would lack is named before it begins, with the statement that mends it; and the statement does."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.clients import shipped_clients
from tests.fixtures.engine_rig import Rig, rig
from tests.fixtures.findings import blocking, remedy
from tests.fixtures.scratch_databases import Make, run
from tests.servers import Server

from vya_backupdb.domain.errors import PrivilegeMissing
from vya_backupdb.engines.findings import require_dumpable


@pytest.fixture(params=["postgres:15", "postgres:18"])
def pg(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Rig:
    """The oldest and the newest PostgreSQL, as its administrator."""
    return rig(servers(request.param), shipped_clients())


def test_a_healthy_database_has_no_findings(my: Rig, make: Make) -> None:
    assert (
        my.engine.inspect(make(my.server, "healthy", "CREATE TABLE t (a int)", "CREATE VIEW v AS SELECT 1 AS a")) == ()
    )
    assert my.engine.preflight() == ()


def test_values_that_come_back_otherwise_are_told(my: Rig, make: Make) -> None:
    """And that they do: as soon as a client writes them whole, the warning is too much."""
    name = make(
        my.server,
        "val`ues",
        """CREATE TABLE `t``ab` (id int PRIMARY KEY, f float, `c``y` text CHARACTER SET cp1251,
           g varchar(9) CHARACTER SET gbk, j varchar(9) CHARACTER SET cp932, h char(3) CHARACTER SET greek,
           l varchar(9) CHARACTER SET latin1, made char(9) CHARACTER SET greek AS (h), d double)""",
        """INSERT INTO `t``ab` (id, f, `c``y`, g, j, h, l, d) VALUES
           (1, 16777216, 0xd098, 0xa2a1fefe, 0x8790, 'ok?', 0x818d, 1/3), (2, 0.5, 'И?', NULL, '', NULL, '', 0.1),
           (3, NULL, 0x983f98, NULL, NULL, NULL, NULL, NULL)""",
        "CREATE TABLE plain (a varchar(9) CHARACTER SET koi8r)",
    )
    found = my.engine.inspect(name)
    assert [(one.reason, one.blocking) for one in found] == [("ShortFloat", False), *[("LostCharacters", False)] * 2]
    assert "'val`ues': t`ab.f (ALTER TABLE" in found[0].message
    assert "2 rows of t`ab.c`y of 'val`ues' hold bytes that mean nothing in cp1251" in found[1].message
    assert "1 rows of t`ab.g " in found[2].message
    target = make(my.server, "values again", exists=False)
    dumped = my.dump(name)
    assert my.restore(dumped.sql, target, dumped.snapshot.settings) == ()
    seen = "SELECT CAST(f AS DOUBLE), HEX(`c``y`), HEX(g), HEX(h), HEX(l), d FROM `t``ab` ORDER BY id"
    assert my.server.sql(seen, database=name)[0][:3] == (16777216, "D098", "A2A1FEFE")
    assert my.server.sql(seen, database=target)[0][:3] == (16777200, "D03F", "A2A13F")
    assert [row[3:] for row in my.server.sql(seen, database=name)] == [
        row[3:] for row in my.server.sql(seen, database=target)
    ]


def test_objects_that_the_account_cannot_see_are_named_and_granted(my: Rig, make: Make) -> None:
    """The server hides what an account may not use: without this, the dump would end well and lack it."""
    name = make(
        my.server, "hi_d`den", "CREATE TABLE t (a int)", "CREATE VIEW v AS SELECT a FROM t", "CREATE TABLE u (a int)"
    )
    my.server.sql("CREATE USER `bl'ind`@'%' IDENTIFIED BY 'pw'; GRANT SELECT ON `hi_d``den`.`v` TO `bl'ind`@'%'")
    try:
        blind = rig(my.server, shipped_clients(), user="bl'ind", password="pw")
        first = blocking(blind.engine.inspect(name))
        assert [one.reason for one in first] == ["PrivilegeMissing"] * (4 if my.server.product == "mysql" else 3)
        assert "lacks SELECT, TRIGGER, EVENT" in first[0].message
        assert "SHOW VIEW" in first[1].message
        assert "procedures and functions" in first[2].message
        with pytest.raises(PrivilegeMissing, match="may be missing"):
            require_dumpable(first)
        for one in first:
            my.server.sql(remedy(one))
        assert blind.engine.inspect(name) == ()
        assert blind.dump(name).scan.complete
    finally:
        my.server.sql("DROP USER `bl'ind`@'%'")


def test_what_was_made_in_the_servers_own_schemas_is_told(pg: Rig, make: Make) -> None:
    """pg_dump takes it for the server's: it is in no dump, and what needs it comes back nowhere."""
    name = make(
        pg.server, "str'ay", "CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE t (a int)", "CREATE TYPE pg_catalog.kept AS ENUM ('a')",
        "CREATE FUNCTION lower_than(t, t) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1.a < $2.a'",
        "CREATE OPERATOR < (leftarg = t, rightarg = t, function = lower_than)",
        "ALTER OPERATOR FAMILY pg_catalog.integer_ops USING btree ADD OPERATOR 1 < (t, t)",
    )  # fmt: skip
    (finding,) = pg.engine.inspect(name)
    assert (finding.reason, finding.blocking) == ("InSystemSchema", False)
    for one in ("function pg_catalog.mine()", "type pg_catalog.kept", "operator 1 (public.t, public.t) of pg_catalog."):
        assert one in finding.message
    assert pg.dump(name).snapshot.warnings == (finding.message,)
    run(
        pg.server, name, "CREATE VIEW v AS SELECT pg_catalog.mine()", "CREATE TABLE information_schema.rows AS SELECT 1"
    )
    (found,) = blocking(pg.engine.inspect(name))
    assert found.message.split(": ")[1].split(" (make")[0] == (
        "function pg_catalog.mine(), table information_schema.rows"
    )
    run(pg.server, name, "DROP VIEW v", "DROP TABLE information_schema.rows")
    assert blocking(pg.engine.inspect(name)) == []


def test_an_account_that_sees_nothing_is_told(my: Rig) -> None:
    my.server.sql("CREATE USER empty_handed IDENTIFIED BY 'pw'")
    try:
        engine = rig(my.server, (), user="empty_handed", password="pw").engine
        (finding,) = blocking(engine.preflight())
        assert finding.reason == "NothingVisible"
        my.server.sql(remedy(finding))
        hints = engine.preflight()
        assert blocking(hints) == []
        expected = {"WeakDetector"} if my.server.product == "mariadb" else {"WeakDetector", "DefinitionsNotBlocked"}
        assert {one.reason for one in hints} == expected
        for one in hints:
            my.server.sql(remedy(one))
        assert engine.preflight() == ()
    finally:
        my.server.sql("DROP USER empty_handed")


def test_changes_of_definitions_wait_for_a_dump(mysql: Rig, make: Make) -> None:
    name = make(mysql.server, "guarded", "CREATE TABLE t (a int)", "CREATE TABLE m (a int) ENGINE=MyISAM")
    with contextlib.closing(mysql.server.connect(name)) as other, other.cursor() as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = 1")
        with mysql.engine.snapshot(name) as one, mysql.engine.snapshot(name) as two:
            one.keep()
            assert "LOCK INSTANCE FOR BACKUP" in one.method
            assert one.method == two.method
            cursor.execute("INSERT INTO t VALUES (1)")
            cursor.execute("INSERT INTO m VALUES (1)")
            with pytest.raises(Exception, match="Lock wait timeout"):
                cursor.execute("TRUNCATE t")
            one.verify()
        cursor.execute("TRUNCATE t")


def test_a_lock_that_is_not_to_be_had_leaves_it_to_the_detectors(mysql: Rig, make: Make) -> None:
    name, other = make(mysql.server, "unguarded", "CREATE TABLE t (a int)"), make(mysql.server, "another")
    run(mysql.server, other, "CREATE TABLE t (a int)")
    weak = rig(mysql.server, shipped_clients(), timeouts={"lock_seconds": 1})
    waiting = "SELECT 1 FROM performance_schema.processlist WHERE STATE = 'Waiting for table metadata lock'"
    with ThreadPoolExecutor(1) as pool:
        with contextlib.closing(mysql.server.connect(other)) as reader, reader.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT * FROM t")
            altered = pool.submit(run, mysql.server, other, "ALTER TABLE t ADD COLUMN b int")
            while not mysql.server.sql(waiting):
                assert not altered.done()
            with weak.engine.snapshot(name) as snapshot:
                assert "LOCK INSTANCE" not in snapshot.method
        altered.result()


def test_a_lost_guard_is_not_claimed(mysql: Rig, make: Make) -> None:
    name = make(mysql.server, "lost guard", "CREATE TABLE t (a int)")
    with mysql.engine.snapshot(name) as snapshot:
        for (identity,) in mysql.server.sql("SELECT ID FROM performance_schema.processlist WHERE COMMAND = 'Sleep'"):
            mysql.server.sql(f"KILL {identity}")
        assert snapshot.verify(snapshot.tables)
        assert "LOCK INSTANCE" not in snapshot.method


SEALED = """
CREATE SCHEMA "se aled"; CREATE TABLE "se aled".t (a int); CREATE TABLE open (a int); CREATE SEQUENCE s;
CREATE TABLE secured (a int); ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
SELECT lo_from_bytea(4242, 'x');
"""


def test_what_a_plain_role_may_not_read_is_named_and_granted(pg: Rig, make: Make) -> None:
    name = make(pg.server, "sealed", SEALED)
    make(pg.server, 'pl"ain', kind="ROLE", options="LOGIN PASSWORD 'pw'")
    plain = rig(pg.server, shipped_clients(), user='pl"ain', password="pw")
    found = blocking(plain.engine.inspect(name))
    text = "\n".join(one.message for one in found)
    assert {one.reason for one in found} == {"PrivilegeMissing"}
    for part in ('"se aled"', '"public"."open"', '"public"."s"', "public.secured", "1 large objects"):
        assert part in text
    with pytest.raises(PrivilegeMissing, match="and 2 more"):
        require_dumpable(found)
    pg.server.sql('GRANT pg_read_all_data TO "pl""ain"')
    left = blocking(plain.engine.inspect(name))
    assert [remedy(one) for one in left] == [
        'ALTER ROLE "pl""ain" BYPASSRLS',
        'ALTER ROLE "pl""ain" SET lo_compat_privileges = on',
    ]
    for one in left:
        pg.server.sql(remedy(one))
    assert plain.engine.inspect(name) == ()
    assert b"4242" in plain.dump(name).sql


def test_what_only_superusers_see_is_named(pg: Rig, make: Make) -> None:
    name = make(
        pg.server,
        "subscribed",
        "CREATE SUBSCRIPTION news CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE);",
    )
    make(pg.server, "plain", kind="ROLE", options="LOGIN PASSWORD 'pw' BYPASSRLS")
    pg.server.sql("GRANT pg_read_all_data TO plain")
    try:
        (finding,) = rig(pg.server, (), user="plain", password="pw").engine.inspect(name)
        assert "news" in finding.message
        accepting = {"allowed_stderr": ["pg_dump: warning: subscriptions not dumped .*"]}
        accepted = rig(pg.server, shipped_clients(), user="plain", password="pw", **accepting)
        assert accepted.engine.inspect(name) == ()
        assert accepted.dump(name).scan.complete
    finally:
        pg.server.sql("DROP SUBSCRIPTION news", database=name)


MANY = """DO $$ BEGIN FOR n IN 1..40 LOOP
    EXECUTE format('CREATE TABLE %I (a int)', gen_random_uuid()); END LOOP; END $$"""


def test_more_tables_than_locks_are_warned_of(servers: Any) -> None:
    arguments = ("-c", "max_locks_per_transaction=10", "-c", "max_connections=10", "-c", "max_wal_senders=0")
    with servers.own("postgres:17", arguments=arguments) as server:
        for _ in range(3):
            server.sql(MANY)
        (finding,) = rig(server, ()).engine.inspect("postgres")
    assert (finding.reason, finding.blocking) == ("LockBudget", False)
    assert "120 tables" in finding.message


def test_a_server_that_only_reads_can_be_dumped(my: Rig, make: Make) -> None:
    """A replica is one: the session lock, the guard and the snapshot write nothing."""
    name = make(my.server, "read only", "CREATE TABLE t AS SELECT 1 AS a")
    setting = "super_read_only" if my.server.product == "mysql" else "read_only"
    my.server.sql("CREATE USER onlooker IDENTIFIED BY 'pw'; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO onlooker")
    my.server.sql(f"SET GLOBAL {setting} = 1")
    try:
        assert my.dump(name).scan.complete
        assert rig(my.server, shipped_clients(), user="onlooker", password="pw").dump(name).scan.complete
    finally:
        my.server.sql(f"SET GLOBAL {setting} = 0; SET GLOBAL read_only = 0")
        my.server.sql("DROP USER onlooker")


STANDBY = b"""
psql -v ON_ERROR_STOP=1 --no-psqlrc -U postgres -c "CREATE TABLE t AS SELECT 1 AS a" \\
  -c "CREATE UNLOGGED TABLE u (a int)"
touch "$PGDATA/standby.signal"
"""


def test_a_standby_can_be_dumped(servers: Any) -> None:
    with servers.own("postgres:17", files={"/docker-entrypoint-initdb.d/standby.sh": STANDBY}) as server:
        assert server.sql("SELECT pg_is_in_recovery()") == [(True,)]
        dumped = rig(server, shipped_clients()).dump("postgres")
    assert dumped.rows == {"public.t": 1}
    (warning,) = dumped.snapshot.warnings
    assert "public.u" in warning

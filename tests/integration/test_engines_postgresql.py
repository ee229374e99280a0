"""PostgreSQL 15, 17 and 18: what is dumped comes back, byte for byte; what is not whole is refused."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest
from psycopg import sql
from tests.clients import clients_of, shipped_clients
from tests.fixtures.engine_rig import Rig, rig
from tests.servers import Server

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

VERSIONS = ("postgres:15", "postgres:17", "postgres:18")
Make = Callable[..., str]

EVERYTHING = """
CREATE SCHEMA "odd schema; --";
CREATE EXTENSION hstore; CREATE EXTENSION citext SCHEMA "odd schema; --";
CREATE TYPE mood AS ENUM ('sad', 'ok', E'it''s\\n\\\\');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE item (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL DEFAULT 'x', feeling mood,
  amount numeric(12, 3) CHECK (amount <> 1), twice numeric GENERATED ALWAYS AS (amount * 2) STORED, at timestamptz,
  blob bytea, tags text[], doc jsonb, place point, p pair, pos positive, h hstore, ci "odd schema; --".citext,
  f float8);
INSERT INTO item (name, feeling, amount, at, blob, tags, doc, place, p, pos, h, ci, f)
  SELECT E'name\\t' || n || E'\\n\\\\.\\n\\\\', 'ok', n / 8.0 + 2, 'epoch'::timestamptz + n * interval '1 hour',
         decode(md5(n::text), 'hex'), ARRAY['a', NULL, E'"{}\\\\'], jsonb_build_object('n', n), point(n, -n),
         ROW(n, 'x')::pair, n, hstore('k', n::text), 'MiXed', n / 3.0 FROM generate_series(1, 500) n;
INSERT INTO item (name, amount) VALUES ('COPY "public"."item" FROM stdin;', NULL), ('', 0), ('-- complete', 3);
CREATE INDEX item_name ON item (lower(name)) WHERE amount > 2;
CREATE TABLE "odd schema; --"."we""ird\n(t)" ("a ""b""\n" int, "FROM stdin;" text);
INSERT INTO "odd schema; --"."we""ird\n(t)" VALUES (1, 'FROM stdin;'), (2, NULL);
CREATE TABLE empty_table (id int); CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES;
CREATE UNLOGGED TABLE fast (id int); INSERT INTO fast VALUES (1);
CREATE TABLE part (id int, k text) PARTITION BY LIST (k);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a'); CREATE TABLE part_rest PARTITION OF part DEFAULT;
INSERT INTO part VALUES (1, 'a'), (2, 'b'), (3, 'c');
CREATE TABLE base (id int); CREATE TABLE child (more text) INHERITS (base); INSERT INTO child VALUES (1, 'x');
CREATE SEQUENCE seq START 7; SELECT nextval('seq');
CREATE FUNCTION trap() RETURNS text LANGUAGE plpgsql AS $body$
BEGIN
  -- the next lines are text, and deceive who reads dumps by lines
  RETURN 'x
COPY "public"."ghost" ("a") FROM stdin;
1
--
-- PostgreSQL database dump complete
--
';
END $body$;
CREATE FUNCTION atomic_sum(a int, b int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT $1 + $2; END;
CREATE PROCEDURE nothing() LANGUAGE sql AS '';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := NEW.name; RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch();
CREATE VIEW names AS SELECT name FROM item WHERE name <> '$x$';
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM item;
ALTER TABLE item ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON item USING (name = current_user);
COMMENT ON TABLE item IS 'it''s $$ a "comment"'; COMMENT ON COLUMN item.name IS E'line\\nbreak';
CREATE PUBLICATION news FOR TABLE item;
SELECT lo_from_bytea(424242, decode(repeat('00ff5c27', 9000), 'hex'));
"""


@pytest.fixture(params=VERSIONS)
def pg(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Rig:
    """Each version of the server, with the clients that we ship."""
    return rig(servers(request.param), shipped_clients())


@pytest.fixture
def pg17(servers: Callable[[str], Server]) -> Rig:
    """One version, where the version makes no difference."""
    return rig(servers("postgres:17"), shipped_clients())


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Make databases and roles that are dropped afterwards, and name databases that a restore will make."""
    dropped: list[tuple[Server, str, str]] = []

    def making(
        server: Server,
        name: str,
        statements: str = "",
        *,
        kind: str = "DATABASE",
        options: str = "",
        exists: bool = True,
    ) -> str:
        identifier = sql.Identifier(name).as_string(None)
        dropped.append((server, kind, identifier))
        if exists:
            server.sql(f"CREATE {kind} {identifier} {options}")
        if statements:
            with server.connect(name) as connection:
                connection.execute(statements)
        return name

    yield making
    for server, kind, identifier in reversed(dropped):
        if kind == "DATABASE":
            with suppress(psycopg.errors.InvalidCatalogName):
                server.sql(f"ALTER DATABASE {identifier} IS_TEMPLATE false")
            server.sql(f"DROP DATABASE IF EXISTS {identifier} WITH (FORCE)")
        else:
            server.sql(f"DROP {kind} IF EXISTS {identifier}")


def test_everything_in_a_database_comes_back(pg: Rig, make: Make) -> None:
    source = make(pg.server, "everything", EVERYTHING)
    target = make(pg.server, "everything again", exists=False)
    dumped = pg.dump(source)
    assert pg.restore(dumped.sql, target, dumped.snapshot.settings) == ()
    again = pg.dump(target)
    assert again.comparable == dumped.comparable
    assert again.scan == dumped.scan
    assert again.snapshot.schema_info == dumped.snapshot.schema_info
    assert {(table.schema_name, table.name, table.rows) for table in pg.engine.count(target).by_table} == {
        (table.schema_name, table.name, table.rows) for table in dumped.scan.tables
    }


def test_rows_are_counted_in_the_stream(pg17: Rig, make: Make) -> None:
    dumped = pg17.dump(make(pg17.server, "counted", EVERYTHING))
    assert dumped.rows == {
        "public.item": 503,
        'odd schema; --.we"ird\n(t)': 2,
        "public.empty_table": 0,
        "public.no_columns": 1,
        "public.fast": 1,
        "public.part_a": 1,
        "public.part_rest": 2,
        "public.base": 0,
        "public.child": 1,
    }
    info = dumped.snapshot.schema_info
    assert (info.tables_count, info.views_count, info.procedures_count) == (10, 2, 1)
    assert (info.functions_count, info.triggers_count) == (3, 1)


def test_a_dump_of_an_old_server_restores_onto_it(servers: Callable[[str], Server], make: Make) -> None:
    """pg_dump 17 sets transaction_timeout, which 15 refuses (databasement#596); 15's own client is used where it is."""
    server = servers("postgres:15")
    make(server, "old", "CREATE TABLE t AS SELECT 'SET transaction_timeout = 0;' AS v")
    make(server, "old2", exists=False)
    shipped, own = rig(server, shipped_clients()), rig(server, clients_of("postgres:15", "postgres:17"))
    dumped = shipped.dump("old")
    assert dumped.client.startswith("pg_dump 17.")
    assert dumped.client.endswith("(without SET transaction_timeout)")
    shipped.restore(dumped.sql, "old2", dumped.snapshot.settings)
    assert server.sql("SELECT v FROM t", database="old2") == [("SET transaction_timeout = 0;",)]
    assert own.dump("old").client.startswith("pg_dump 15.")


def test_what_belongs_to_the_database_comes_back(pg: Rig, make: Make) -> None:
    server = pg.server
    owner = make(server, 'own"er', kind="ROLE", options="LOGIN")
    reader = make(server, "a=b/c,reader", kind="ROLE")
    options = "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'de_DE.UTF-8'"
    source, target = make(server, "belongings", options=options), make(server, "belongings 2", exists=False)
    server.sql(
        """ALTER DATABASE belongings OWNER TO "own""er"; REVOKE ALL ON DATABASE belongings FROM PUBLIC;
        GRANT CONNECT ON DATABASE belongings TO "a=b/c,reader" WITH GRANT OPTION;
        ALTER DATABASE belongings SET search_path = "$user", public, "odd, one";
        ALTER DATABASE belongings SET work_mem = '7MB'; ALTER DATABASE belongings SET my.own = 'it''s \\';
        ALTER ROLE "own""er" IN DATABASE belongings SET statement_timeout = '5s';
        ALTER DATABASE belongings CONNECTION LIMIT 7; COMMENT ON DATABASE belongings IS 'a ''note'': 50%'"""
    )
    dumped = pg.dump(source)
    settings = dumped.snapshot.settings
    assert pg.restore(dumped.sql, target, settings) == ()
    assert pg.dump(target).snapshot.settings == settings
    assert (settings.owner, settings.connection_limit, settings.comment) == (owner, 7, "a 'note': 50%")
    assert (settings.charset, settings.collation, settings.locale["ctype"]) == ("UTF8", "C", "de_DE.UTF-8")
    assert settings.role_settings == {owner: ("statement_timeout=5s",)}
    assert any(reader in item for item in settings.acl)


@pytest.mark.parametrize(
    "options",
    [
        "LOCALE_PROVIDER icu ICU_LOCALE 'de-DE-u-co-phonebk'",
        "LOCALE_PROVIDER icu ICU_LOCALE 'und' ICU_RULES '&V << w <<< W'",
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
    ],
)
def test_locale_providers_come_back(pg: Rig, make: Make, options: str) -> None:
    if pg.server.version == "15" and ("RULES" in options or "builtin" in options):
        return  # 15 has neither: nothing of this kind can be backed up there
    make(pg.server, "located", options=f"TEMPLATE template0 ENCODING 'UTF8' {options}")
    make(pg.server, "located 2", exists=False)
    dumped = pg.dump("located")
    pg.restore(dumped.sql, "located 2", dumped.snapshot.settings)
    assert pg.dump("located 2").snapshot.settings == dumped.snapshot.settings


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_other_encodings_stay_byte_for_byte(pg17: Rig, make: Make, encoding: str) -> None:
    """A dump forced to UTF8 fails for bytes of no encoding, and changes what it can convert."""
    options = f"TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
    source, target = make(pg17.server, "coded", options=options), make(pg17.server, "coded 2", exists=False)
    raw = {"LATIN1": b"caf\xe9", "SQL_ASCII": b"\xff\xe9\x80", "EUC_JP": b"\xb0\xa6"}[encoding]
    with pg17.server.connect(source) as connection:
        connection.execute(f"SET client_encoding = '{encoding}'")
        connection.pgconn.exec_(b'CREATE TABLE "t_' + raw + b"\" AS SELECT '" + raw + b"'::text AS v")
    dumped = pg17.dump(source)
    assert raw in dumped.sql
    pg17.restore(dumped.sql, target, dumped.snapshot.settings)
    with pg17.server.connect(target) as connection:
        connection.execute(f"SET client_encoding = '{encoding}'")
        result = connection.pgconn.exec_(b'SELECT v FROM "t_' + raw + b'"')
        assert result.get_value(0, 0) == raw
    assert pg17.dump(target).scan == dumped.scan


@pytest.mark.parametrize(
    "name",
    [
        "host=evil.example dbname=x",
        "postgresql://evil.example/x",
        "-x",
        "--file=gotcha",
        'it\'s "q" \\ `b` $HOME %s :name ; -- /* ',
        "line\nbreak\ttab",
        "../../etc",
        "ümläut 漢字 😀",
        "x" * 63,
    ],
)
def test_a_name_stays_a_name(pg17: Rig, make: Make, name: str) -> None:
    make(pg17.server, name, "CREATE TABLE t AS SELECT 1 AS a")
    assert name in {info.name for info in pg17.engine.databases() if info.covered}
    dumped = pg17.dump(name)
    target = make(pg17.server, name[:-1] + "~", exists=False)
    pg17.restore(dumped.sql, target, dumped.snapshot.settings)
    assert pg17.engine.exists(target)
    assert pg17.engine.count(target).rows == 1
    pg17.engine.drop(target)
    assert not pg17.engine.exists(target)


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE t",
        "ALTER TABLE t ALTER COLUMN a TYPE bigint",
        "DROP TABLE t",
        "VACUUM FULL t",
    ],
)
def test_a_table_that_is_rewritten_under_the_snapshot_fails_the_dump(pg: Rig, make: Make, statement: str) -> None:
    """pg_dump itself ends with 0 and an empty table after a TRUNCATE between its snapshot and its lock."""
    name = make(pg.server, "rewritten", "CREATE TABLE t AS SELECT 1 AS a; CREATE TABLE other (id int)")
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
    for name in ("shop", "shop_test", "blog", "vya_0123456789ab"):
        make(server, name)
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
        pg17.engine.rename("scratch", name)


def test_a_load_stops_at_the_first_error_and_says_where(pg17: Rig, make: Make) -> None:
    name = make(pg17.server, "half")
    with pytest.raises(RestoreFailed, match=r'psql ended with exit code 3: .*:2: ERROR: .*"nowhere"') as caught:
        pg17.load(b"CREATE TABLE a (b int);\nINSERT INTO nowhere VALUES (1);\nCREATE TABLE c (d int);\n", name)
    assert "half" in caught.value.message
    assert [table.name for table in pg17.engine.count(name).by_table] == ["a"]
    with pytest.raises(RestoreFailed) as missing:
        pg17.load(b'ALTER TABLE a OWNER TO "nobody here";\n', name)
    assert "users file" in missing.value.hint


def test_a_template_comes_back_and_can_be_dropped(pg17: Rig, make: Make) -> None:
    target = make(pg17.server, "stencil", exists=False)
    pg17.restore(b"", target, DatabaseSettings(is_template=True, tablespace="elsewhere"))
    assert pg17.server.sql("SELECT datistemplate FROM pg_database WHERE datname = 'stencil'") == [(True,)]
    pg17.engine.drop(target)
    assert not pg17.engine.exists(target)


def test_a_setting_that_the_server_refuses_is_a_warning(pg17: Rig, make: Make) -> None:
    target = make(pg17.server, "unset", exists=False)
    settings = DatabaseSettings(settings=("no_such_setting=1", "work_mem=5MB"), tablespace="elsewhere")
    warnings = pg17.restore(b"", target, settings)
    assert len(warnings) == 2
    assert "elsewhere" in warnings[0]
    assert "no_such_setting" in warnings[1]
    assert pg17.dump(target).snapshot.settings.settings == ("work_mem=5MB",)


def test_a_database_that_is_not_there(pg17: Rig) -> None:
    with pytest.raises(NotFound, match="nowhere"), pg17.engine.snapshot("nowhere"):
        pass

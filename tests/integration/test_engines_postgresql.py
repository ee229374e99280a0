"""PostgreSQL 15, 17 and 18: what is dumped comes back, byte for byte; what is not whole is refused."""

from collections.abc import Callable

import pytest
from tests.clients import clients_of, shipped_clients
from tests.fixtures.engine_rig import Rig, rig
from tests.fixtures.scratch_databases import (
    POSTGRESQL_EVERYTHING,
    Make,
)
from tests.servers import Server

from vya_backupdb.domain.errors import RestoreFailed
from vya_backupdb.domain.metadata import DatabaseSettings
from vya_backupdb.dumper.same_schema import require_same_rows


def test_everything_in_a_database_comes_back(pg: Rig, make: Make) -> None:
    source = make(pg.server, "everything", POSTGRESQL_EVERYTHING)
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


BARE_NAMES = """
CREATE SCHEMA app; CREATE TABLE app.codes (code text); INSERT INTO app.codes VALUES ('x');
CREATE FUNCTION app.known(c text) RETURNS boolean LANGUAGE plpgsql STABLE AS
  'BEGIN RETURN EXISTS (SELECT FROM codes WHERE code = c); END';
CREATE FUNCTION app.half(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 2';
CREATE FUNCTION app.made(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN half($1); EXCEPTION WHEN undefined_function THEN RETURN NULL; END';
CREATE DOMAIN app.code AS text CHECK (app.known(VALUE));
CREATE FUNCTION app.enough(n int) RETURNS boolean LANGUAGE sql STABLE AS
  $$SELECT n >= pg_catalog.current_setting('app.least')::int$$;
CREATE TABLE app.uses (c text CHECK (app.known(c)), d app.code, n int CHECK (app.enough(n)),
  h int GENERATED ALWAYS AS (app.made(n)) STORED);
INSERT INTO app.uses VALUES ('x', 'x', 8);
CREATE MATERIALIZED VIEW app.seen AS SELECT n FROM app.uses;
CREATE FUNCTION app.no() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''it is forbidden''; END';
CREATE EVENT TRIGGER nothing ON ddl_command_start WHEN TAG IN ('REFRESH MATERIALIZED VIEW') EXECUTE FUNCTION app.no();
COMMENT ON EVENT TRIGGER nothing IS 'no views are filled';
"""
BARE_INDEX = """
CREATE FUNCTION app.quarter(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN half($1) / 2; END'
"""


def test_what_a_database_s_own_code_needs_or_forbids_stops_no_load(pg: Rig, make: Make) -> None:
    source, target = make(pg.server, "bare"), make(pg.server, "bare again", exists=False)
    pg.server.sql("ALTER DATABASE bare SET search_path = app, public; ALTER DATABASE bare SET app.least = '5'")
    pg.server.sql(BARE_NAMES, database=source)
    if pg.server.version == "15":  # later ones let no index be made by such a function
        pg.server.sql(f"{BARE_INDEX}; CREATE INDEX halves ON app.uses (app.quarter(n))", database=source)
    dumped = pg.dump(source)
    assert pg.restore(dumped.sql, target, dumped.snapshot.settings) == ()
    seen = "SELECT c, d, u.n, h, s.n FROM app.uses u, app.seen s"
    assert pg.server.sql(seen, database=target) == pg.server.sql(seen, database=source)
    assert pg.dump(target).comparable == dumped.comparable


ENUM_HASH = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'none', 'odd');
CREATE TABLE felt (m mood, n int) PARTITION BY LIST (n);
CREATE TABLE felt_1 PARTITION OF felt FOR VALUES IN (1) PARTITION BY HASH (m);
CREATE TABLE felt_1_0 PARTITION OF felt_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE felt_1_1 PARTITION OF felt_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE felt_rest PARTITION OF felt DEFAULT;
INSERT INTO felt SELECT m, n FROM unnest(enum_range(NULL::mood)) m, generate_series(1, 2) n;
"""


def test_partitions_whose_rows_a_dump_puts_into_their_root_come_back(pg: Rig, make: Make) -> None:
    source, target = make(pg.server, "hashed"), make(pg.server, "hashed again", exists=False)
    pg.server.sql(ENUM_HASH, database=source)
    dumped = pg.dump(source)
    assert dumped.rows == {"public.felt": 5, "public.felt_rest": 5}
    assert pg.restore(dumped.sql, target, dumped.snapshot.settings) == ()
    require_same_rows(dumped.scan.tables, pg.engine.count(target), target)
    for table in ("felt_1", "felt_rest"):
        seen = f"SELECT m::text, n FROM {table} ORDER BY 1, 2"
        assert pg.server.sql(seen, database=target) == pg.server.sql(seen, database=source)
    pg.server.sql("DELETE FROM felt WHERE m = 'odd' AND n = 1", database=target)
    with pytest.raises(RestoreFailed, match=r"public\.felt has 4 rows instead of 5"):
        require_same_rows(dumped.scan.tables, pg.engine.count(target), target)


def test_rows_are_counted_in_the_stream(pg17: Rig, make: Make) -> None:
    dumped = pg17.dump(make(pg17.server, "counted", POSTGRESQL_EVERYTHING))
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
    newer, own = rig(server, clients_of("postgres:17", "postgres:18")), rig(server, shipped_clients())
    dumped = newer.dump("old")
    assert dumped.client.startswith("pg_dump 17.")
    assert dumped.client.endswith("(without SET transaction_timeout)")
    newer.restore(dumped.sql, "old2", dumped.snapshot.settings)
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
    # a name of no encoding is found again, too
    assert pg17.engine.count(target).by_table == dumped.scan.tables


@pytest.mark.parametrize(("encoding", "name"), [("EUC_JP", "\u2460\u3231"), ("EUC_TW", "\u8cc7\u6599")])
def test_tables_with_names_that_python_has_no_codec_for(pg17: Rig, make: Make, encoding: str, name: str) -> None:
    """They were missed in the dump, or in what was restored."""
    options = f"TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
    source, target = make(pg17.server, "far", options=options), make(pg17.server, "far 2", exists=False)
    names = [f"s{name}", f"t{name}"]
    schema, table = (pg17.server.quoted(one) for one in names)
    with pg17.server.connect(source) as connection:
        connection.pgconn.exec_(b"SET client_encoding = 'UTF8'")
        text = f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.{table} AS SELECT '{name}'::text AS v"
        connection.pgconn.exec_(text.encode())
    dumped = pg17.dump(source)
    assert dumped.rows == {".".join(names): 1}
    pg17.restore(dumped.sql, target, dumped.snapshot.settings)
    assert pg17.engine.count(target).by_table == dumped.scan.tables
    assert pg17.engine.schema(target) == dumped.snapshot.schema


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

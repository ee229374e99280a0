"""Loading into real servers: what a hostile file may not touch, what a part of a file brings, what bytes survive."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
from tests.clients import shipped_clients
from tests.fixtures import samples
from tests.fixtures.engine_rig import Rig, rig
from tests.servers import Server

from vya_backupdb.domain.errors import RestoreFailed, RestoreImpossible
from vya_backupdb.engines.loader import StatementFailed
from vya_backupdb.engines.loading import LoadOptions

TARGET, WITNESS = "load target", "witness"
PG_HOSTILE = [
    b"\\! touch {file}\n", b"\\copy t TO '{file}'\n", b"COPY t TO PROGRAM 'touch {file}';", b"COPY t TO '{file}';",
    b"\\connect witness\nDROP TABLE w;\n", b"DROP DATABASE witness;", b"ALTER DATABASE witness RENAME TO taken;",
    b"ALTER SYSTEM SET work_mem = '1GB';", b"CREATE ROLE intruder SUPERUSER;",
    # a name that ends its comment, as unpatched clients wrote it
    b"-- Name: x\n\\! touch {file}\n; Type: TABLE\n", b"SELECT 1 \\gexec\n",
    b"SELECT $a$ $b$; $a$; DROP DATABASE witness;",
    b"COPY t FROM stdin;\n1\n\\.\nDROP DATABASE witness;\n",
]  # fmt: skip
MY_HOSTILE = [
    b"USE witness;\nDROP TABLE w;", b"DROP TABLE `witness`.`w`;", b"DELETE FROM witness . w;",
    b"DROP DATABASE `witness`;",
    b"DROP /*!40000 DATABASE */ witness;", b"INSERT INTO `witness`.`w` VALUES (2);", b"CREATE USER intruder;",
    b"DELIMITER $$\nDROP DATABASE witness$$\n", b"DELIMITER DROP\nSELECT 1 DROP DATABASE witness DROP",
    b"SELECT 'a\\'; DROP DATABASE witness; -- ';\nDROP TABLE witness.w;", b"\\! touch {file}\n;",
    b"system touch {file};",
    b"SET GLOBAL max_connections=9;",
    b"SET sql_mode='NO_BACKSLASH_ESCAPES'; SELECT 'a\\'; DROP DATABASE witness; SELECT ';",
    b"RENAME TABLE t TO witness.t;", b"ALTER TABLE t RENAME witness.t;", b"SELECT 1 INTO OUTFILE '{file}';",
    b"PREPARE p FROM 'DROP DATABASE witness'; EXECUTE p;",
    b"/*M!999999\\- enable the sandbox mode */; DROP SCHEMA witness;",
]  # fmt: skip

ROWS_REFUSED = {
    True: [
        b"CREATE TABLE p (a text PRIMARY KEY); COPY p FROM stdin;\nhunter2\nhunter2\n\\.\n",
        b"CREATE TABLE q (a text CHECK (a < 'b'), b int); COPY q FROM stdin;\nhunter2\t1\n\\.\n",
        b"CREATE TABLE r (a int); COPY r FROM stdin;\nit's \"hunter2\": no\n\\.\n",
    ],
    False: [
        b"CREATE TABLE p (a varchar(30) PRIMARY KEY); INSERT INTO p VALUES ('it''s hunter2'), ('it''s hunter2');",
        b"CREATE TABLE r (a int); INSERT INTO r VALUES ('it''s hunter2 ''or'' not');",
        b"CREATE TABLE s (a datetime); INSERT INTO s VALUES ('hunter2');",
    ],
}  # fmt: skip


@pytest.fixture(scope="module", params=["postgres:17", "mariadb:11.8", "mysql:9.7"])
def one(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Iterator[Rig]:
    """A server with a database that nothing may touch."""
    made = rig(servers(request.param), shipped_clients())
    made.server.sql(f"CREATE DATABASE {WITNESS}")
    made.server.sql("CREATE TABLE w AS SELECT 1 AS a", database=WITNESS)
    yield made
    samples.drop(made.server, WITNESS)


@pytest.fixture
def target(one: Rig) -> Iterator[str]:
    """An empty database to load into."""
    with contextlib.suppress(Exception):
        samples.drop(one.server, TARGET)
    samples.create_empty(one.server, TARGET)
    yield TARGET
    samples.drop(one.server, TARGET)


def test_what_a_file_does_not_commit_is_no_end(one: Rig, target: str) -> None:
    """The server takes it back as soon as the session ends: the rows of such a file would be nowhere."""
    begin = b"BEGIN;" if one.server.product == "postgres" else b"SET autocommit = 0;"
    made = b"CREATE TABLE t (a int);\n"
    with pytest.raises(RestoreFailed, match="begins a transaction that it does not commit"):
        one.load(made + begin + b"\nINSERT INTO t VALUES (1);\n", target)
    made = made.replace(b" t ", b" u ")
    one.load(made + begin + b"\nINSERT INTO u VALUES (1);\nCOMMIT;\n", target)
    assert one.server.sql("SELECT a FROM u", database=target) == [(1,)]


def test_a_hostile_file_is_refused_and_touches_nothing_else(one: Rig, target: str) -> None:
    is_postgresql = one.server.product == "postgres"
    file = f"/tmp/touched-by-{target.split()[0]}"
    before = samples.names(one.server)
    for text in PG_HOSTILE if is_postgresql else MY_HOSTILE:
        sql = b"DROP TABLE IF EXISTS t; CREATE TABLE t (a int);\n" + text.replace(b"{file}", file.encode())
        assert one.inspect(sql, target, LoadOptions(source="load source")).refusals, text
        with pytest.raises(RestoreFailed, match="is not loaded: line"):
            one.load(sql, target, LoadOptions(source="load source"))
        # nor as a foreign file, which may have lines about the one database that it holds
        with contextlib.suppress(RestoreFailed):
            one.load(sql, target, LoadOptions(foreign=True))
    assert samples.names(one.server) == before
    assert one.server.sql("SELECT * FROM w", database=WITNESS) == [(1,)]
    ask = "SELECT count(*) FROM pg_roles WHERE rolname = 'intruder'"
    ask = ask if is_postgresql else "SELECT count(*) FROM mysql.user WHERE user = 'intruder'"
    assert one.server.sql(ask) == [(0,)]
    if is_postgresql:
        assert one.server.sql(f"SELECT pg_stat_file('{file}', true)") == [(None,)]
    else:
        assert one.server.sql(f"SELECT LOAD_FILE('{file}')") == [(None,)]


def test_what_is_taken_for_one_statement_cannot_be_two(one: Rig, target: str) -> None:
    """Were a reader deceived, the server would still take no second statement."""
    with one.engine.loader(target) as loader, pytest.raises(StatementFailed, match=r"multiple commands|1064"):
        loader._target.execute(b"CREATE TABLE a (b int); DROP DATABASE witness")  # type: ignore[attr-defined]
    assert WITNESS in samples.names(one.server)


def test_what_the_server_will_never_take_is_told_apart_from_a_session_that_was_lost(one: Rig, target: str) -> None:
    """The first must not be tried again until the deadline of a Job, the second must."""
    for text in (b"CREATE TABLE t (a int, a int);", *ROWS_REFUSED[one.server.product == "postgres"]):
        with pytest.raises(RestoreImpossible, match="statement") as refused:
            one.load(text, target, LoadOptions(source="load source"))
        # conditions, Events and logs are read by people who may not read the rows
        assert "hunter2" not in str(refused.value)
    with one.engine.loader(target) as loader:
        loader.feed(b"CREATE TABLE u (a int);\n")
        loader.cancel()
        loader.feed(b"CREATE TABLE v (a int);")
        with pytest.raises(RestoreFailed) as lost:
            loader.finish()
    assert lost.value.exit_code.retryable


def test_one_table_comes_back_with_what_belongs_to_it(one: Rig, target: str) -> None:
    samples.create(one.server, "load source")
    try:
        sql = one.dump("load source").sql
    finally:
        samples.drop(one.server, "load source")
    inspection = one.inspect(sql, target, LoadOptions(source="load source", tables=("customer",)))
    inspection.require_loadable("the dump")
    assert len(inspection.tables) > 3
    done = one.load(sql, target, inspection.options)
    count = one.engine.count(target)
    assert [table.name for table in count.by_table] == ["customer"]
    assert count.rows == (2000 if one.server.product == "postgres" else 900)
    assert {each.name for each in done.transforms} >= {"selection"}
    lacking = one.inspect(sql, target, LoadOptions(tables=("custome",)))
    assert "lacks the table 'custome'" in lacking.refusals[0].message


def test_bytes_of_every_kind_pass_as_they_are(one: Rig, target: str) -> None:
    """A row of 32 MiB, and every byte that a text can hold."""
    every = bytes(range(1, 256)).decode("latin-1").encode()
    long = 32 << 20
    if one.server.product == "postgres":
        escaped = every.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
        sql = b"CREATE TABLE t (a text, b text);\nCOPY t FROM stdin;\n" + escaped + b"\t" + b"x" * long + b"\n\\.\n"
        ask = "SELECT encode(convert_to(a, 'UTF8'), 'hex'), length(b) FROM t"
    else:
        if one.server.product == "mariadb":
            long = 8 << 20
        escaped = every.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
        sql = (
            b"CREATE TABLE t (a text, b longtext);\nINSERT INTO t VALUES ('" + escaped + b"','" + b"x" * long + b"');\n"
        )
        ask = "SELECT lower(hex(a)), length(b) FROM t"
    one.load(sql, target)
    assert one.server.sql(ask, database=target) == [(every.hex(), long)]


def test_a_statement_beyond_the_servers_packet_is_refused_by_the_plan(one: Rig, target: str) -> None:
    if one.server.product == "postgres":
        return  # its limit is that of the protocol, 1 GiB
    ((limit,),) = one.server.sql("SELECT @@GLOBAL.max_allowed_packet")
    sql = b"CREATE TABLE t (a longtext);\nINSERT INTO t VALUES ('" + b"x" * int(str(limit)) + b"');\n"
    with pytest.raises(RestoreFailed, match="line 2 is longer than"):
        one.inspect(sql, target)


def test_owners_that_are_missing_are_refused_or_skipped(one: Rig, target: str) -> None:
    if one.server.product != "postgres":
        return
    sql = b"CREATE TABLE t (a int);\nALTER TABLE t OWNER TO nobody_here;\nGRANT SELECT ON TABLE t TO nobody_there;\n"
    with pytest.raises(RestoreFailed, match=r"nobody_here.*nobody_there"):
        one.inspect(sql, target).require_loadable("the dump")
    done = one.load(sql, target, LoadOptions(owners="skip"))
    assert {each.name: each.count for each in done.transforms} == {"owner": 1, "grant": 1}


def test_the_databases_own_restore_needs_no_transform_but_the_clients_lines(one: Rig, target: str) -> None:
    samples.create(one.server, "load source")
    try:
        dumped = one.dump("load source")
        before = samples.state(one.server, "load source")
    finally:
        samples.drop(one.server, "load source")
    one.engine.drop(target)
    one.engine.create(target, dumped.snapshot.settings)
    done = one.load(dumped.sql, target, LoadOptions(source="load source"))
    assert {each.name for each in done.transforms} <= {"restrict", "sandbox"}
    after = samples.state(one.server, target)
    for key in ("comment", "settings"):
        before.pop(key, None), after.pop(key, None)
    assert after == before

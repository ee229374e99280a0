"""MariaDB 10.11 and 11.8, MySQL 9.7: what is dumped comes back, byte for byte; what is not whole is refused."""

import contextlib
from collections.abc import Callable, Iterator

import pymysql
import pytest
from tests.clients import clients_of, shipped_clients
from tests.fixtures.engine_rig import Rig, rig
from tests.servers import Server

from vya_backupdb.domain.errors import (
    Busy,
    ClientMissing,
    ConfigurationError,
    DumpFailed,
    NotFound,
    RestoreFailed,
    TargetExists,
)
from vya_backupdb.domain.metadata import DatabaseSettings

VERSIONS = ("mariadb:10.11", "mariadb:11.8", "mysql:9.7")
Make = Callable[..., str]

#: Statements one by one: in one text the server would keep a trailing ';' in the bodies, which no client can dump.
EVERYTHING = (
    """CREATE TABLE item (
      id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(200) CHARACTER SET latin1, note longtext,
      raw blob, bits bit(10), doc json, twice int GENERATED ALWAYS AS (n * 2) STORED, n int,
      half int AS (n / 2) VIRTUAL,
      price decimal(20, 6), f double, at datetime(6), stamp timestamp NULL, kind enum('a', 'it''s', 'c,d'),
      flags set('x', 'y'), place point NOT NULL, hidden int INVISIBLE DEFAULT 5, y year, t time(3),
      UNIQUE KEY (name, n), KEY prefix (note(10)), FULLTEXT KEY (note), CHECK (n <> 77))
      COMMENT 'it''s a "comment" \\\\ with\\nlines' AUTO_INCREMENT 1000""",
    """INSERT INTO item (name, note, raw, bits, doc, n, price, f, at, stamp, kind, flags, place, y, t) VALUES
      ('caf\u00e9', 'plain', x'00ff27220a5c', b'1010101010', '{"a": [1, null]}', 1, 1.5, 1e300,
       '2026-01-02 03:04:05.678901',
       '2026-01-02 03:04:05', 'it''s', 'x,y', POINT(1, 2), 2026, '-12:34:56.789'),
      ('x', 'quotes '' " ` \\\\ \\0 \\n \\r \\t \\Z ),( INSERT INTO `item` VALUES (1);', '', NULL, NULL, -5, NULL, -0.1,
       NULL, NULL, 'a', '', POINT(-1e10, 0), NULL, NULL),
      ('y', '\U0001f600 \u6f22\u5b57\n-- Dump completed\n', NULL, b'0', '[]', 0, 0, 0, NULL, NULL, NULL, NULL,
       POINT(0, 0), 1999, NULL)""",
    "CREATE TABLE many (id int PRIMARY KEY, pad varchar(300))",
    """INSERT INTO many WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 900)
    SELECT n, CONCAT(REPEAT('),(\\'', n % 70), n) FROM s""",
    "CREATE TABLE empty_table (id int)",
    "CREATE TABLE `we``ird\n'\";name --` (`a``b\nc` int, `VALUES` int)",
    "INSERT INTO `we``ird\n'\";name --` VALUES (1, 2), (3, 4)",
    "CREATE TABLE child (id int PRIMARY KEY, item bigint unsigned, FOREIGN KEY (item) REFERENCES item (id))",
    "INSERT INTO child VALUES (1, 1000), (2, NULL)",
    """CREATE TABLE part (id int, k int) PARTITION BY RANGE (k) (PARTITION p0 VALUES LESS THAN (10),
    PARTITION p1 VALUES LESS THAN MAXVALUE)""",
    "INSERT INTO part VALUES (1, 1), (2, 20)",
    "CREATE VIEW z_view AS SELECT a.name AS `na``me` FROM item a",
    "CREATE VIEW a_view AS SELECT * FROM z_view",
    "CREATE TRIGGER touched BEFORE INSERT ON item FOR EACH ROW BEGIN SET NEW.n = NEW.n + 0; /* it''s ;; */ END",
    "CREATE PROCEDURE nothing() BEGIN SELECT '-- Dump completed\n\nINSERT INTO `ghost` VALUES\n(1);\n'; END",
    "CREATE FUNCTION two() RETURNS int DETERMINISTIC RETURN 2",
    "CREATE EVENT daily ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DISABLE DO SELECT ';'",
)


@pytest.fixture(params=VERSIONS)
def my(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Rig:
    """Each server, with the clients that we ship."""
    return rig(servers(request.param), shipped_clients())


@pytest.fixture
def maria(servers: Callable[[str], Server]) -> Rig:
    """One server, where the product makes no difference."""
    return rig(servers("mariadb:11.8"), shipped_clients())


@pytest.fixture
def make() -> Iterator[Make]:
    """Make databases that are dropped afterwards, and name those that a restore will make."""
    dropped: list[tuple[Server, str]] = []

    def making(server: Server, name: str, *statements: str, options: str = "", exists: bool = True) -> str:
        quoted = "`" + name.replace("`", "``") + "`"
        dropped.append((server, quoted))
        if exists:
            server.sql(f"CREATE DATABASE {quoted} {options}")
        if statements:
            run(server, name, *statements)
        return name

    yield making
    for server, quoted in reversed(dropped):
        server.sql(f"DROP DATABASE IF EXISTS {quoted}")


def run(server: Server, database: str, *statements: str) -> None:
    """Execute statements one at a time."""
    with contextlib.closing(server.connect(database)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_everything_in_a_database_comes_back(my: Rig, make: Make) -> None:
    source = make(my.server, "everything", *EVERYTHING)
    target = make(my.server, "everything again", exists=False)
    dumped = my.dump(source)
    assert my.restore(dumped.sql, target, dumped.snapshot.settings) == ()
    again = my.dump(target)
    assert again.comparable == dumped.comparable
    assert again.scan == dumped.scan
    assert again.snapshot.schema_info == dumped.snapshot.schema_info
    info = dumped.snapshot.schema_info
    assert (info.tables_count, info.views_count, info.procedures_count) == (6, 2, 1)
    assert (info.functions_count, info.triggers_count) == (1, 1)
    assert my.server.sql("SELECT hidden, place FROM item ORDER BY id", database=target) == my.server.sql(
        "SELECT hidden, place FROM item ORDER BY id", database=source
    )


def test_rows_are_counted_where_the_client_writes_lines(my: Rig, make: Make) -> None:
    """Oracle's client writes many rows on a line: counting them exactly is too dear, and a guess is no count."""
    rows = my.dump(make(my.server, "counted", *EVERYTHING)).rows
    expected = {
        "item": 3,
        "many": 900,
        "empty_table": 0,
        "we`ird\n'\";name --": 2,
        "child": 2,
        "part": 2,
    }
    if my.server.product == "mysql":
        assert rows == {name: 0 if name == "empty_table" else None for name in expected}
    else:
        assert rows == expected
    assert {one.name: one.rows for one in my.engine.count("counted").by_table} == expected


@pytest.mark.parametrize("server", ["mariadb:10.11", "mariadb:11.8"])
def test_each_mariadb_client_dumps_what_the_other_restores(
    servers: Callable[[str], Server], make: Make, server: str
) -> None:
    for client in ("mariadb:10.11", "mariadb:11.8"):
        one = rig(servers(server), clients_of(client))
        source, target = make(one.server, f"by {client}", *EVERYTHING), make(one.server, f"to {client}", exists=False)
        dumped = one.dump(source)
        other = rig(servers(server), clients_of("mariadb:10.11" if client == "mariadb:11.8" else "mariadb:11.8"))
        other.restore(dumped.sql, target, dumped.snapshot.settings)
        assert one.dump(target).comparable == dumped.comparable


def test_what_belongs_to_the_database_comes_back(my: Rig, make: Make) -> None:
    options = "CHARACTER SET latin1 COLLATE latin1_german1_ci"
    if my.server.product == "mariadb":
        options += " COMMENT 'it''s \\\\ a note'"
    source, target = make(my.server, "belongings", options=options), make(my.server, "belongings 2", exists=False)
    settings = my.dump(source).snapshot.settings
    assert (settings.charset, settings.collation) == ("latin1", "latin1_german1_ci")
    assert settings.comment == ("it's \\ a note" if my.server.product == "mariadb" else None)
    my.restore(my.dump(source).sql, target, settings)
    assert my.dump(target).snapshot.settings == settings


def test_history_of_versioned_tables_comes_back(maria: Rig, make: Make) -> None:
    source = make(
        maria.server, "versions", "CREATE TABLE t (a int) WITH SYSTEM VERSIONING", "CREATE SEQUENCE s START 5"
    )
    target = make(maria.server, "versions 2", exists=False)
    run(maria.server, source, "INSERT INTO t VALUES (1), (2)", "UPDATE t SET a = 10 WHERE a = 1", "SELECT NEXTVAL(s)")
    dumped = maria.dump(source)
    assert dumped.rows == {"t": 3}
    maria.restore(dumped.sql, target, dumped.snapshot.settings)
    history = "SELECT a, ROW_START, ROW_END FROM t FOR SYSTEM_TIME ALL ORDER BY 1"
    assert maria.server.sql(history, database=target) == maria.server.sql(history, database=source)
    assert maria.server.sql("SELECT a FROM t ORDER BY 1", database=target) == [(2,), (10,)]
    run(maria.server, source, "SELECT 1")
    assert maria.server.sql("SELECT NEXTVAL(s)", database=target)[0][0] > 5


@pytest.mark.parametrize(
    "name",
    [
        "-x",
        "--result-file=gotcha",
        "--all-databases",
        'it\'s "q" \\ `b` $HOME %s %% :name ; -- /*',
        "line\nbreak\ttab#",
        "../../etc",
        "\u00fcml\u00e4ut \u6f22\u5b57",
        "x" * 64,
        "a/b.c@d",
    ],
)
def test_a_name_stays_a_name(my: Rig, make: Make, name: str) -> None:
    make(my.server, name, "CREATE TABLE t AS SELECT 1 AS a")
    assert name in {info.name for info in my.engine.databases() if info.covered}
    dumped = my.dump(name)
    assert dumped.checked[0].endswith("(InnoDB table ids)")
    target = make(my.server, name[:-1] + "~", exists=False)
    my.restore(dumped.sql, target, dumped.snapshot.settings)
    assert my.engine.exists(target)
    assert my.engine.count(target).rows == 1
    my.engine.drop(target)
    assert not my.engine.exists(target)


@pytest.mark.parametrize("name", ["plain", "o-dd n\u00e4me"])
@pytest.mark.parametrize(
    "statements",
    [
        ("TRUNCATE t",),
        ("DROP TABLE t",),
        ("RENAME TABLE t TO x, u TO t, x TO u",),
        ("ALTER TABLE t MODIFY a bigint",),
    ],
)
def test_a_table_that_is_replaced_under_the_dump_fails_it(
    my: Rig, make: Make, name: str, statements: tuple[str, ...]
) -> None:
    """The client itself can end with 0 and an empty table."""
    make(my.server, name, "CREATE TABLE t AS SELECT 1 AS a", "CREATE TABLE u AS SELECT 2 AS a")
    with my.engine.snapshot(name) as snapshot:
        assert snapshot.verify(snapshot.tables)
        run(my.server, name, *statements)
        with pytest.raises(DumpFailed, match=r"replaced, truncated or dropped: .*\bt\b"):
            snapshot.verify(snapshot.tables)


def test_without_the_right_to_table_ids_creation_times_tell(my: Rig, make: Make) -> None:
    name = make(my.server, "weak", "CREATE TABLE t AS SELECT 1 AS a", "CREATE TABLE u (a int)")
    my.server.sql("CREATE USER weak_reader IDENTIFIED BY 'pw'; GRANT SELECT, LOCK TABLES ON weak.* TO weak_reader")
    try:
        weak = rig(my.server, shipped_clients(), user="weak_reader", password="pw")
        with weak.engine.snapshot(name) as snapshot:
            assert snapshot.verify(snapshot.tables)[0].endswith("(creation times)")
            run(my.server, name, "DROP TABLE t")
            with pytest.raises(DumpFailed, match=r"dropped: t"):
                snapshot.verify()
    finally:
        my.server.sql("DROP USER weak_reader")


def test_what_happens_beside_the_tables_does_not_fail_the_dump(my: Rig, make: Make) -> None:
    name = make(my.server, "busy", "CREATE TABLE t (a int, b text, FULLTEXT KEY (b))")
    with my.engine.snapshot(name) as snapshot:
        run(my.server, name, "CREATE TABLE newer (a int)", "INSERT INTO t VALUES (1, 'words')")
        assert snapshot.verify(snapshot.tables)


def test_a_stream_without_a_table_is_refused(my: Rig, make: Make) -> None:
    name = make(my.server, "lacking", "CREATE TABLE t (a int)", "CREATE TABLE u (a int)")
    with my.engine.snapshot(name) as snapshot, pytest.raises(DumpFailed, match="lacks tables: u"):
        snapshot.verify(snapshot.tables[:1])


def test_tables_without_transactions_are_warned_of(my: Rig, make: Make) -> None:
    name = make(my.server, "engines", "CREATE TABLE t (a int) ENGINE=MyISAM", "CREATE TABLE safe (a int)")
    (warning,) = my.dump(name).snapshot.warnings
    assert "t (MyISAM)" in warning
    assert "safe" not in warning


def test_a_broken_view_fails_the_dump_and_is_named(my: Rig, make: Make) -> None:
    name = make(my.server, "broken", "CREATE TABLE t (a int)", "CREATE VIEW looking AS SELECT a FROM t", "DROP TABLE t")
    with pytest.raises(DumpFailed, match="looking") as caught:
        my.dump(name)
    assert "view" in caught.value.hint


def test_a_lock_keeps_others_out_and_ends_with_its_session(my: Rig) -> None:
    with my.engine.lock("locked", wait_seconds=0) as held:
        held.verify()
        with pytest.raises(Busy, match="locked"), my.engine.lock("locked", wait_seconds=0):
            pass
        with my.engine.lock("another", wait_seconds=0):
            pass
        for (identity,) in my.server.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Sleep'"):
            my.server.sql(f"KILL {identity}")
        with pytest.raises(DumpFailed, match="lock on database 'locked' was lost"):
            held.verify()
    with my.engine.lock("locked", wait_seconds=0):
        pass


def test_waiting_for_a_lock_can_be_given_up(maria: Rig) -> None:
    asked: list[int] = []

    def give_up() -> None:
        asked.append(1)
        raise InterruptedError

    with (
        maria.engine.lock("locked", wait_seconds=0),
        pytest.raises(InterruptedError),
        maria.engine.lock("locked", wait_seconds=60, checkpoint=give_up),
    ):
        pass
    assert asked == [1]


def test_which_databases_are_covered(my: Rig, make: Make) -> None:
    for name in ("shop", "shop_test", "blog"):
        make(my.server, name, "CREATE TABLE t (a int)", "CREATE VIEW v AS SELECT 1 AS a")
    chosen = rig(my.server, (), include_databases=["shop*"], exclude_databases=["*_test"]).engine
    found = {info.name: info for info in chosen.databases()}
    assert {name for name, info in found.items() if info.covered} == {"shop"}
    assert found["shop_test"].why == "is in exclude_databases"
    assert found["blog"].why == "is not in include_databases"
    assert found["shop"].tables == 1
    assert found["shop"].size_bytes
    assert not {"mysql", "sys", "information_schema", "performance_schema"} & found.keys()


def test_a_restore_is_refused_before_anything_is_made(my: Rig, make: Make) -> None:
    make(my.server, "there")
    with pytest.raises(TargetExists, match="there"):
        my.engine.create("there", DatabaseSettings())
    with pytest.raises(RestoreFailed, match="no_such_ci"):
        my.engine.create("elsewhere", DatabaseSettings(charset="utf8mb4", collation="no_such_ci"))
    with pytest.raises(ConfigurationError, match="damaged"):
        my.engine.create("elsewhere", DatabaseSettings(charset="utf8mb4; DROP DATABASE there"))
    for name in ("x" * 65, "blank ", "", "nul\0", "\U0001f600"):
        with pytest.raises(ConfigurationError, match="64 characters"):
            my.engine.create(name, DatabaseSettings())
    with pytest.raises(ConfigurationError, match="cannot be renamed"):
        my.engine.rename("there", "elsewhere")
    assert my.engine.exists("there")
    assert not my.engine.exists("elsewhere")


def test_a_load_stops_at_the_first_error_and_says_where(my: Rig, make: Make) -> None:
    name = make(my.server, "half")
    with pytest.raises(RestoreFailed, match=r"ended with exit code 1: .*at line 2.*nowhere"):
        my.load(b"CREATE TABLE a (b int);\nINSERT INTO nowhere VALUES (1);\nCREATE TABLE c (d int);\n", name)
    assert [table.name for table in my.engine.count(name).by_table] == ["a"]


@pytest.mark.parametrize("line", [b"\\! touch gotcha\n", b"system touch gotcha\n", b"source /etc/hostname\n"])
def test_a_dump_cannot_run_commands_of_the_client(my: Rig, make: Make, line: bytes) -> None:
    name = make(my.server, "commanded")
    with pytest.raises(RestoreFailed, match=r"1064|Unknown command"):
        my.load(line + b";\nSELECT 1;\n", name)


def test_the_server_decides_which_client_is_used(servers: Callable[[str], Server]) -> None:
    wrong = rig(servers("mysql:9.7"), clients_of("mariadb:11.8"))
    with (
        pytest.raises(ClientMissing, match="no mysqldump fits MySQL 9") as caught,
        wrong.engine.snapshot("sys") as held,
    ):
        wrong.engine.dump("sys", held)
    assert "mariadb-dump" in caught.value.message


def test_a_database_that_is_not_there(my: Rig) -> None:
    with pytest.raises(NotFound, match="nowhere"), my.engine.snapshot("nowhere"):
        pass


def test_the_identity_outlives_a_restart_and_tells_servers_apart(servers: object) -> None:
    owned = servers.own  # type: ignore[attr-defined]
    with owned("mariadb:11.8") as one:
        engine = rig(one, ()).engine
        before = engine.connect_check().identity
        one.restart()
        assert engine.connect_check().identity == before
        assert before
        with contextlib.suppress(pymysql.Error):
            assert rig(servers("mariadb:11.8"), ()).engine.connect_check().identity != before  # type: ignore[operator]

"""MariaDB 10.11 and 11.8, MySQL 9.7: what is dumped comes back, byte for byte; what is not whole is refused."""

import contextlib
from collections.abc import Callable

import pymysql
import pytest
from tests.clients import clients_of
from tests.fixtures.engine_rig import Rig, rig
from tests.fixtures.scratch_databases import (
    MYSQL_EVERYTHING,
    Make,
    run,
)
from tests.servers import Server

from vya_backupdb.domain.errors import DumpFailed, RestoreFailed
from vya_backupdb.domain.schema import compare, diff
from vya_backupdb.dumper.same_schema import require_same_rows
from vya_backupdb.engines.loading import LoadOptions


def test_everything_in_a_database_comes_back(my: Rig, make: Make) -> None:
    source = make(my.server, "everything", *MYSQL_EVERYTHING)
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


def test_rows_are_counted_in_the_stream(my: Rig, make: Make) -> None:
    """Oracle's client writes many rows on a line, MariaDB's each on a line of its own."""
    rows = my.dump(make(my.server, "counted", *MYSQL_EVERYTHING)).rows
    expected = {
        "item": 3,
        "many": 900,
        "empty_table": 0,
        "we`ird\n'\";name --": 2,
        "child": 2,
        "part": 2,
    }
    assert rows == expected
    assert {one.name: one.rows for one in my.engine.count("counted").by_table} == expected


@pytest.mark.parametrize("server", ["mariadb:10.11", "mariadb:11.8"])
def test_each_mariadb_client_dumps_what_the_other_restores(
    servers: Callable[[str], Server], make: Make, server: str
) -> None:
    for client in ("mariadb:10.11", "mariadb:11.8"):
        one = rig(servers(server), clients_of(client))
        source, target = (
            make(one.server, f"by {client}", *MYSQL_EVERYTHING),
            make(one.server, f"to {client}", exists=False),
        )
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


def test_a_table_over_others_comes_back_without_rows_of_its_own(my: Rig, make: Make) -> None:
    """The clients write no row of a MERGE table: a restore that counted them took itself for failed."""
    source, target = make(my.server, "merged"), make(my.server, "merged 2", exists=False)
    tables = (f"CREATE TABLE {name} (a int) ENGINE=MyISAM" for name in ("m1", "m2"))
    run(my.server, source, *tables, "CREATE TABLE every_one (a int) ENGINE=MERGE UNION=(m1, m2) INSERT_METHOD=LAST")
    run(my.server, source, "INSERT INTO m1 VALUES (1)", "INSERT INTO m2 VALUES (2)")
    dumped = my.dump(source)
    my.restore(dumped.sql, target, dumped.snapshot.settings)
    require_same_rows(dumped.scan.tables, my.engine.count(target), target)
    assert my.server.sql("SELECT a FROM every_one ORDER BY 1", database=target) == [(1,), (2,)]


def test_options_that_a_definition_says_otherwise_or_as_a_comment_are_no_difference(maria: Rig, make: Make) -> None:
    source, target = make(maria.server, "options"), make(maria.server, "options 2", exists=False)
    tables = ("a (n int) ENGINE=Aria ROW_FORMAT=COMPRESSED", "b (n int) ENGINE=Aria TRANSACTIONAL=1",
              "c (n int) PAGE_COMPRESSED=1", "d (n int) PAGE_COMPRESSED=1")  # fmt: skip
    run(maria.server, source, *(f"CREATE TABLE {table}" for table in tables))
    run(maria.server, source, *(f"ALTER TABLE {table} ENGINE=MyISAM" for table in "bc"))
    dumped = maria.dump(source)
    maria.restore(dumped.sql, target, dumped.snapshot.settings)
    before, after = (maria.engine.schema(name) for name in (source, target))
    assert diff(before, after) == ()
    run(maria.server, target, "ALTER TABLE d PAGE_COMPRESSED=0")
    assert [str(one) for one in diff(before, maria.engine.schema(target))] == ["table d (options)"]


def test_what_goes_by_the_time_zone_is_told_and_mariadb_takes_its_rows_again(my: Rig, make: Make) -> None:
    """A dump has TIMESTAMP in UTC, where ten o'clock of the session that wrote the row is not ten."""
    source, target = make(my.server, "zones"), make(my.server, "zones 2", exists=False)
    run(
        my.server, source, "SET time_zone = '+09:00'",
        "CREATE TABLE t (at timestamp NULL, CONSTRAINT open_at CHECK (HOUR(at) BETWEEN 9 AND 17))",
        "CREATE TABLE g (at timestamp NULL, h int AS (HOUR(at)) STORED, i int AS (h + 1) STORED, j int CHECK (j > 0))",
        "INSERT INTO t VALUES ('2026-01-01 10:00:00')",
    )  # fmt: skip
    is_mysql = my.server.product == "mysql"
    (found,) = (one for one in my.engine.inspect(source) if one.reason == "TimeZoned")
    assert ("g.h" in found.message, "t.open_at" in found.message) == (True, is_mysql)
    assert not {"g.i", "j"} & set(found.message.replace(",", " ").split())
    dumped = my.dump(source)
    my.engine.create(target, dumped.snapshot.settings)
    if is_mysql:
        with pytest.raises(RestoreFailed, match="open_at"):
            my.load(dumped.sql, target, LoadOptions(source=source))
        return
    my.load(dumped.sql, target, LoadOptions(source=source))
    assert my.server.sql("SELECT count(*) FROM t", database=target) == [(1,)]
    with pytest.raises(pymysql.Error, match="open_at"):
        my.server.sql("SET time_zone = '+00:00'; INSERT INTO t SELECT * FROM t", database=target)


def test_a_table_of_times_when_innodb_was_not_strict_comes_back(my: Rig, make: Make) -> None:
    """Its rows might get too long, or it has a format that is none: a strict server makes no such table."""
    source, target = make(my.server, "lax"), make(my.server, "lax 2", exists=False)
    columns = ", ".join(f"c{number} varchar(255) CHARACTER SET latin1" for number in range(60))
    run(
        my.server, source, "SET SESSION innodb_strict_mode = OFF",
        f"CREATE TABLE wide (id int PRIMARY KEY, {columns}) ROW_FORMAT=COMPACT",
        "CREATE TABLE fixed (id int PRIMARY KEY) ROW_FORMAT=FIXED", "INSERT INTO wide (id) VALUES (1)",
    )  # fmt: skip
    dumped = my.dump(source)
    my.engine.create(target, dumped.snapshot.settings)
    my.load(dumped.sql, target, LoadOptions(source=source))
    assert diff(my.engine.schema(source), my.engine.schema(target)) == ()
    assert my.engine.count(target).rows == 1
    # a foreign file is taken as the server takes it
    with pytest.raises(RestoreFailed, match=r"Row size too large|Wrong create options"):
        my.load(dumped.sql, make(my.server, "lax 3"))


def test_an_event_over_which_oracles_client_never_ends_is_told_beforehand(my: Rig, make: Make) -> None:
    when = "ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01'"
    events = (f"`e;;1` {when} DO SELECT 1", f"e2 {when} COMMENT ';;' DO SELECT 1", f"e3 {when} DO SELECT ';;'")
    name = make(my.server, "endless", *(f"CREATE EVENT {event}" for event in (*events, f"e4 {when} DO SELECT ';'")))
    found = [one.message for one in my.engine.inspect(name) if one.blocking]
    if my.server.product == "mysql":
        assert [text.partition(" of ")[0] for text in found] == ["event 'e2'", "event 'e3'", "event 'e;;1'"]
    else:
        assert found == []
        assert my.dump(name).scan.complete


def test_code_comes_back_under_another_name_however_it_is_quoted(my: Rig, make: Make) -> None:
    """In bodies ``"…"`` may be a name and a backslash a letter, and words may look like the names of collations."""
    maria = my.server.product == "mariadb"
    source, target = make(my.server, "quoted"), make(my.server, "quoted again", exists=False)
    witness = make(my.server, "witness", "CREATE TABLE t (a int)")
    code = [
        "CREATE TABLE t (a int)",
        """CREATE PROCEDURE words(collation_x varchar(9))
           SELECT collation_name FROM information_schema.collations WHERE collation_name = collation_x""",
        "SET sql_mode = 'ANSI_QUOTES'",
        f'CREATE TRIGGER "{source}"."tr" BEFORE INSERT ON "{source}"."t" FOR EACH ROW SET NEW.a = 1',
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
        r"CREATE PROCEDURE escapes() SELECT 'a\', ' COLLATE nothing.of `the` kind'",
        *(["SET sql_mode = ''", "CREATE PROCEDURE dollars() BEGIN SELECT 1 AS $$; SELECT 2; END"] if maria else []),
    ]
    run(my.server, source, *code)
    dumped = my.dump(source)
    options = LoadOptions(source=source)
    assert my.inspect(dumped.sql, target, options).refusals == ()
    my.engine.create(target, dumped.snapshot.settings)
    my.load(dumped.sql, target, options)
    assert diff(dumped.snapshot.schema, my.engine.schema(target)) == ()
    assert my.server.sql("SHOW TRIGGERS", database=witness) == []
    if maria:  # it names where it stands as it was typed
        named = dumped.sql.replace(b'"quoted"', b'"witness"')
        assert my.inspect(named, target, options).refusals != ()


def test_what_a_dump_does_not_say_comes_back_all_the_same(my: Rig, make: Make) -> None:
    """A date that is none; of MariaDB a counting column that may be NULL, and sequences before their start."""
    maria = my.server.product == "mariadb"
    source, target = make(my.server, "unsaid"), make(my.server, "unsaid again", exists=False)
    run(
        my.server, source, "SET sql_mode = 'ALLOW_INVALID_DATES'", "CREATE TABLE t (d date, dt datetime DEFAULT NULL)",
        "INSERT INTO t VALUES ('2004-02-30', '2004-02-31 12:00:00'), ('0000-10-31', NULL)",
    )  # fmt: skip
    if maria:
        run(
            my.server, source, "CREATE TABLE n (`a,b` int NULL AUTO_INCREMENT, c int, KEY (`a,b`)) AUTO_INCREMENT = 7",
            "CREATE TABLE m (a int NOT NULL INVISIBLE AUTO_INCREMENT PRIMARY KEY, b double(9,2))",
            "INSERT INTO n (c) VALUES (1)", "CREATE SEQUENCE s START 15 MINVALUE 10 MAXVALUE 16 CYCLE NOCACHE",
            *["DO NEXTVAL(s)"] * 3, "CREATE SEQUENCE r START 100", "ALTER SEQUENCE r RESTART WITH 21",
        )  # fmt: skip
    dumped = my.dump(source)
    my.restore(dumped.sql, target, dumped.snapshot.settings)
    assert diff(dumped.snapshot.schema, my.engine.schema(target)) == ()
    for table in ("t", *(("n", "m") if maria else ())):
        rows = f"SELECT * FROM {table}"
        assert my.server.sql(rows, database=target) == my.server.sql(rows, database=source)
    assert "2004-02-30" in str(my.server.sql("SELECT CONCAT(d) FROM t", database=target))
    run(my.server, source, "CREATE DEFINER = nobody@nowhere VIEW v AS SELECT d FROM t")
    assert my.engine.placer.look(source).obstacles == ()  # it can be made again, though nobody can read it
    if maria:
        nexts = [my.server.sql("SELECT NEXTVAL(s), NEXTVAL(r)", database=name) for name in (source, target)]
        assert nexts == [[(11, 21)]] * 2


def test_keys_that_were_disabled_fail_no_restore(my: Rig, make: Make) -> None:
    """Each dump enables them again."""
    source, target = make(my.server, "keys"), make(my.server, "keys again", exists=False)
    run(my.server, source, "CREATE TABLE t (a int, KEY (a)) ENGINE = MyISAM", "ALTER TABLE t DISABLE KEYS")
    dumped = my.dump(source)
    my.restore(dumped.sql, target, dumped.snapshot.settings)
    compared = compare(dumped.snapshot.schema, my.engine.schema(target))
    assert (compared.failures, [str(one) for one in compared.warnings]) == ((), ["index t.a (state)"])


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
    by_transactions = """CREATE TABLE u (a int, s bigint unsigned GENERATED ALWAYS AS ROW START,
      e bigint unsigned GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING"""
    run(maria.server, source, by_transactions)
    with pytest.raises(DumpFailed, match="`u` with transaction-precise history") as caught:
        maria.dump(source)
    assert "TIMESTAMP(6)" in caught.value.hint


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


def test_the_identity_outlives_a_restart_and_tells_servers_apart(servers: object) -> None:
    owned = servers.own  # type: ignore[attr-defined]
    with owned("mariadb:11.8", lasting=True) as one:
        engine = rig(one, ()).engine
        before = engine.connect_check().identity
        one.restart()
        assert engine.connect_check().identity == before
        assert before
        with contextlib.suppress(pymysql.Error):
            assert rig(servers("mariadb:11.8"), ()).engine.connect_check().identity != before  # type: ignore[operator]

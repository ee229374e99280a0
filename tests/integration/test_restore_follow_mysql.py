"""MariaDB and MySQL: what belongs to a database and does not follow its tables into another's place by itself."""

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.event import listen, remove
from tests.fixtures import samples
from tests.fixtures.restoring import Restoring
from tests.servers import Server

from vya_backupdb.domain.undertaking import OWN_NAME
from vya_backupdb.dumper.settling import settle_target


@pytest.fixture
def callers(server: Server) -> Iterator[None]:
    """Accounts that may call what is theirs to call."""
    server.sql("CREATE USER caller@'10.%' IDENTIFIED BY 'x'; CREATE USER 'l\"ast`'@'%' IDENTIFIED BY 'x'")
    yield
    server.sql("DROP USER IF EXISTS caller@'10.%', 'l\"ast`'@'%'")


def granted(server: Server) -> set[tuple[str, ...]]:
    """Who may do what with which routine, as the server has it."""
    rows = server.sql("SELECT Db, Routine_name, Routine_type, User, Host, Proc_priv FROM mysql.procs_priv")
    return {tuple(str(value) for value in row) for row in rows if row[3] in {"caller", 'l"ast`'}}


@pytest.mark.usefixtures("callers")
def test_grants_on_single_routines_stay(server: Server, one: Restoring) -> None:
    """They go with the routine, and so did in every replacement, one that was undone included."""
    server.sql("CREATE DATABASE shop")
    for statement in (
        "CREATE TABLE t (a int)",
        "CREATE PROCEDURE `Pay`() SELECT 1",
        "CREATE FUNCTION two() RETURNS int DETERMINISTIC RETURN 2",
    ):
        server.sql(statement, database="shop")
    one.back_up("shop")
    server.sql("CREATE PROCEDURE living() SELECT 3", database="shop")
    server.sql("GRANT EXECUTE ON PROCEDURE shop.`Pay` TO caller@'10.%' WITH GRANT OPTION")
    server.sql("GRANT EXECUTE, ALTER ROUTINE ON FUNCTION shop.two TO 'l\"ast`'@'%'")
    of_both = granted(server)
    assert len(of_both) == 2
    server.sql("GRANT EXECUTE ON PROCEDURE shop.living TO caller@'10.%'")
    before = granted(server)
    assert one.killed(1, lambda: one.restore("shop", "replace"), words=("RENAME",))  # it is finished
    settle_target(one.session(), "shop", lambda found: None)
    assert granted(server) == of_both
    server.sql("CREATE PROCEDURE living() SELECT 3", database="shop")
    server.sql("GRANT EXECUTE ON PROCEDURE shop.living TO caller@'10.%'")
    assert one.killed(2, lambda: one.restore("shop", "rename"), words=("DROP FUNCTION", "DROP PROCEDURE"))
    settle_target(one.session(), "shop", lambda found: None)  # it is undone
    assert granted(server) == before
    one.restore("shop", "replace")
    assert granted(server) == of_both


@pytest.mark.parametrize("server", ["mariadb:11.8"], indirect=True)  # MySQL makes no account by a grant
@pytest.mark.usefixtures("callers")
def test_an_account_that_is_gone_is_not_made_for_its_grant(server: Server, one: Restoring) -> None:
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a int)")
    server.sql("CREATE PROCEDURE pay() SELECT 1", database="shop")
    one.back_up("shop")
    server.sql("GRANT EXECUTE ON PROCEDURE shop.pay TO caller@'10.%'")
    assert one.killed(1, lambda: one.restore("shop", "replace"), words=("RENAME",))
    server.sql("DROP USER caller@'10.%'")
    settle_target(one.session(), "shop", lambda found: None)
    assert granted(server) == set()
    assert server.sql("SELECT count(*) FROM mysql.user WHERE User = 'caller'") == [(0,)]
    assert server.sql("SELECT count(*) FROM shop.t") == [(0,)]


@pytest.mark.parametrize("server", ["mariadb:11.8"], indirect=True)
def test_defaults_count_by_the_sequences_of_their_own_database(server: Server, one: Restoring) -> None:
    """Of what is put in another's place, of what it replaces, and where the living one has no such sequence."""
    server.sql("CREATE DATABASE source; CREATE SEQUENCE source.numbers START WITH 100")
    server.sql(
        "CREATE TABLE source.numbered (id int DEFAULT (NEXTVAL(source.numbers) + 1), n text DEFAULT 'é`source`.',"
        " m int DEFAULT NEXTVAL(source.numbers))"
    )
    server.sql("CREATE TABLE source.kept (id int DEFAULT NEXTVAL(source.numbers), n int) WITH SYSTEM VERSIONING")
    server.sql("INSERT INTO source.numbered (n) VALUES ('1')")
    server.sql("CREATE VIEW source.counting AS SELECT NEXTVAL(source.numbers) AS id, 'é`source`.' AS n")
    one.back_up("source")
    server.sql("CREATE DATABASE other; CREATE TABLE other.x (a int)")
    # killed between the tables' move and the rest, which whoever settles it does
    assert one.killed(1, lambda: one.restore("other", "replace", database="source"), words=("RENAME",))
    settle_target(one.session(), "other", lambda found: None)
    assert_counts(server, "other")
    one.restore("source", "rename")
    assert_counts(server, "source")
    (kept,) = (name for name in samples.names(server) if OWN_NAME.fullmatch(name))
    assert_counts(server, kept)
    server.sql("DROP TABLE source.numbered, source.kept; DROP SEQUENCE source.numbers; DROP VIEW source.counting")
    server.sql("CREATE TABLE source.x (a int)")
    one.restore("source", "replace")
    assert_counts(server, "source")


def assert_counts(server: Server, name: str) -> None:
    """Rows of `name` count by its own sequence, and nothing else of the defaults was changed."""
    for table in ("numbered", "kept"):
        assert f"nextval(`{name}`.`numbers`)" in server.sql(f"SHOW CREATE TABLE `{name}`.{table}")[0][1]
        server.sql(f"INSERT INTO `{name}`.{table} () VALUES ()")
    assert server.sql(f"SELECT n FROM `{name}`.numbered WHERE id > 101 LIMIT 1") == [("é`source`.",)]
    assert f"nextval(`{name}`.`numbers`)" in server.sql(f"SHOW CREATE VIEW `{name}`.counting")[0][1]
    ((number, text),) = server.sql(f"SELECT id, n FROM `{name}`.counting")
    assert (number > 100, text) == (True, "é`source`.")


@pytest.mark.parametrize(
    ("server", "setting"),
    [("mariadb:11.8", "innodb_force_primary_key"), ("mysql:9.7", "sql_require_primary_key")],
    indirect=["server"],
)
def test_a_server_that_asks_for_primary_keys_takes_our_markers(server: Server, one: Restoring, setting: str) -> None:
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a int PRIMARY KEY)")
    one.back_up("shop")
    server.sql(f"SET GLOBAL {setting} = ON")
    try:
        for target, mode in (("new", "fail"), ("shop", "replace")):
            one.restore(target, mode, database="shop")
            assert server.sql("SHOW TABLES", database=target) == [("t",)]
    finally:
        server.sql(f"SET GLOBAL {setting} = OFF")


CODE = (
    "CREATE PROCEDURE `pr\u00fc`(`\u00f6` int) COMMENT '\u00df \u00c1' BEGIN SELECT '\u00e9', `\u00f6`; END",
    "CREATE FUNCTION f() RETURNS varchar(9) DETERMINISTIC SQL SECURITY INVOKER COMMENT 'it''s \u20ac' RETURN '\u00e9'",
    "CREATE TRIGGER `tr\u00fc` BEFORE INSERT ON t FOR EACH ROW SET NEW.`\u00e4` = '\u00e9'",
    "CREATE EVENT `ev\u00fc` ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01' COMMENT '\u00df' DO SELECT '\u00e9'",
    "CREATE VIEW `v\u00fc` AS SELECT '\u00e9' AS `\u00fc`, `\u00e4` FROM t",
)


def test_code_of_a_client_of_another_character_set_comes_back_letter_for_letter(server: Server, one: Restoring) -> None:
    """The clients write its names and comments in UTF-8 and its body as it was sent, and load both as the latter."""
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (`\u00e4` varchar(9))")
    with contextlib.closing(server.connect("shop")) as connection:
        connection.query("SET NAMES latin1")
        for statement in CODE:
            connection.query(statement.encode("cp1252"))
    before = code(server, "shop")
    assert "pr\u00fc" in str(before)
    assert "it's \u20ac" in str(before)
    one.back_up("shop")
    one.restore("copy", database="shop")
    assert code(server, "copy") == before
    one.restore("shop", "replace")
    assert code(server, "shop") == before
    server.sql("DROP DATABASE copy")


def code(server: Server, database: str) -> list[object]:
    """All that a client's character set may spoil of a database's code."""
    settings = "CHARACTER_SET_CLIENT, COLLATION_CONNECTION"
    queries = (
        f"ROUTINE_NAME, ROUTINE_DEFINITION, ROUTINE_COMMENT, {settings} FROM information_schema.ROUTINES WHERE ROUTINE",
        "PARAMETER_NAME FROM information_schema.PARAMETERS WHERE SPECIFIC",
        f"TRIGGER_NAME, ACTION_STATEMENT, {settings} FROM information_schema.TRIGGERS WHERE TRIGGER",
        f"EVENT_NAME, EVENT_DEFINITION, EVENT_COMMENT, {settings} FROM information_schema.EVENTS WHERE EVENT",
        f"TABLE_NAME, {settings} FROM information_schema.VIEWS WHERE TABLE",
        "COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE",
    )
    return [server.sql(f"SELECT {query}_SCHEMA = %s ORDER BY 1", [database]) for query in queries]


def test_tables_of_every_sort_change_places(server: Server, one: Restoring) -> None:
    """Some that take part in no transaction, one whose key points to nothing, one of which a directory holds no two."""
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.plain (a int) ENGINE = MyISAM")
    orphan = "SET foreign_key_checks = 0; CREATE TABLE shop.`or``phan` (a int, "
    server.sql(f"{orphan} CONSTRAINT `k``y` FOREIGN KEY (a) REFERENCES shop.`gone, x` (`b)`) ON DELETE SET NULL)")
    if server.product == "mariadb":
        server.sql("CREATE TABLE shop.away (a int) ENGINE = MyISAM DATA DIRECTORY = '/tmp' INDEX DIRECTORY = '/tmp'")
        server.sql("INSERT INTO shop.away VALUES (7)")
    before = server.sql("SHOW CREATE TABLE `or``phan`", database="shop")
    one.back_up("shop")
    report = one.restore("shop", "rename")
    assert report.restored is not None
    kept = str(report.restored.kept_database)
    for name in ("shop", kept):
        assert server.sql("SHOW CREATE TABLE `or``phan`", database=name) == before
        if server.product == "mariadb":
            assert server.sql("SELECT a FROM away", database=name) == [(7,)]
    told = [each.sentence for each in report.restored.transforms if each.name == "directory"]
    assert len(told) == (server.product == "mariadb")
    server.sql(f"DROP DATABASE `{kept}`")


def test_an_event_whose_time_has_passed_fails_no_restore(server: Server, one: Restoring) -> None:
    """No server makes it any more. What is only renamed keeps it."""
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a int)")
    with server.session("shop") as run:
        run("SET timestamp = 1")
        run("CREATE EVENT `on``ce` ON SCHEDULE AT '2020-01-01 03:00:00' DISABLE DO DELETE FROM t")
        run("CREATE EVENT ended ON SCHEDULE EVERY 1 DAY ENDS '2020-01-01' DISABLE DO DELETE FROM t")
    one.back_up("shop")
    report = one.restore("copy", database="shop")
    assert report.restored is not None
    (told,) = [each for each in report.restored.transforms if each.name == "past-event"]
    assert (told.count, "`ended`, `on``ce`" in told.sentence) == (2, True)
    report = one.restore("shop", "rename")
    assert report.restored is not None
    assert report.restored.kept_database is not None
    kept = server.sql("SHOW EVENTS", database=report.restored.kept_database)
    assert [(row[1], row[10]) for row in kept] == [("ended", "DISABLED"), ("on`ce", "DISABLED")]
    for name in ("copy", report.restored.kept_database):
        server.sql(f"DROP DATABASE `{name}`")


def test_an_event_that_runs_as_soon_as_it_is_made_fails_no_restore(server: Server, one: Restoring) -> None:
    """The scratch database has it, too, and to count and compare a large database takes longer than a minute."""
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (event int)")
    server.sql("INSERT INTO shop.t VALUES (1), (2)")
    server.sql("CREATE EVENT shop.purge ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01' DO DELETE FROM t")
    one.back_up("shop")

    def runs(*_: object) -> None:
        """Do what the event would, once it is there."""
        for (name,) in server.sql("SELECT EVENT_SCHEMA FROM information_schema.EVENTS WHERE EVENT_NAME = 'purge'"):
            if name != "shop":
                server.sql(f"DELETE FROM {server.quoted(name)}.t")

    listen(Engine, "after_cursor_execute", runs)
    try:
        report = one.restore("copy", database="shop")
    finally:
        remove(Engine, "after_cursor_execute", runs)
    assert report.restored is not None
    assert (report.restored.tables, report.restored.rows) == (1, 2)
    assert server.sql("SELECT * FROM copy.t") == []
    server.sql("DROP DATABASE copy")

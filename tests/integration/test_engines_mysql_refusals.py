"""MariaDB and MySQL: what is not whole, not there or not allowed is refused, and said; locks and coverage."""

from collections.abc import Callable, Iterator

import pytest
from tests.clients import clients_of, shipped_clients
from tests.fixtures.engine_rig import Rig, rig
from tests.fixtures.scratch_databases import (
    Make,
    run,
)
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


@pytest.fixture
def watching(my: Rig) -> Iterator[Rig]:
    """Each server, by an account that may see everything and hold nothing back: the detectors are on their own."""
    my.server.sql("CREATE USER watcher IDENTIFIED BY 'pw'; GRANT SELECT, PROCESS ON *.* TO watcher")
    yield rig(my.server, shipped_clients(), user="watcher", password="pw")
    my.server.sql("DROP USER watcher")


@pytest.mark.parametrize("name", ["plain", "o-dd n\u00e4me"])
@pytest.mark.parametrize(
    "statements",
    [
        ("TRUNCATE t",),
        ("DROP TABLE t",),
        ("RENAME TABLE t TO x, u TO t, x TO u",),
        ("ALTER TABLE t MODIFY a bigint",),
        ("DROP TABLE t", "CREATE TABLE t AS SELECT 3 AS a"),
    ],
)
def test_a_table_that_is_replaced_under_the_dump_fails_it(
    watching: Rig, make: Make, name: str, statements: tuple[str, ...]
) -> None:
    """The client itself can end with 0 and an empty table."""
    make(watching.server, name, "CREATE TABLE t AS SELECT 1 AS a", "CREATE TABLE u AS SELECT 2 AS a")
    with watching.engine.snapshot(name) as snapshot:
        assert snapshot.verify(snapshot.tables)
        run(watching.server, name, *statements)
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


def test_what_happens_beside_the_tables_does_not_fail_the_dump(watching: Rig, make: Make) -> None:
    name = make(watching.server, "busy", "CREATE TABLE t (a int, b text, FULLTEXT KEY (b))")
    with watching.engine.snapshot(name) as snapshot:
        run(watching.server, name, "CREATE TABLE newer (a int)", "INSERT INTO t VALUES (1, 'words')")
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
        make(
            my.server, name, "CREATE TABLE t (a int)", "CREATE VIEW v AS SELECT 1 AS a", "CREATE TABLE u (a int)",
            "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1", "CREATE PROCEDURE p() SELECT 1",
            "CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 1", "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO DO 0",
            *(["CREATE SEQUENCE s"] if my.server.product == "mariadb" else []),
        )  # fmt: skip
    make(my.server, "Shop" if my.server.product == "mariadb" else "Shop2")
    chosen = rig(my.server, (), include_databases=["shop*"], exclude_databases=["*_test"]).engine
    found = {info.name: info for info in chosen.databases()}
    assert {name for name, info in found.items() if info.covered} == {"shop"}
    assert found["shop_test"].why == "is in exclude_databases"
    assert found["blog"].why == "is not in include_databases"
    counted = {"tables": 2, "views": 1, "routines": 2, "triggers": 1, "events": 1}
    if my.server.product == "mariadb":
        counted["sequences"] = 1
    assert chosen.count_objects(["shop", "Shop"]) == {"shop": counted, "Shop": {}}
    assert found["shop"].size_bytes
    assert not {"mysql", "sys", "information_schema", "performance_schema"} & found.keys()


def test_a_directory_of_the_volume_is_no_database(my: Rig) -> None:
    """MariaDB lists each: with ``lost+found`` no run would ever end well."""
    (folder,) = my.server.sql("SELECT @@datadir")[0]
    before = [one.name for one in my.engine.databases()]
    my.server.exec("mkdir", "-m", "700", f"{folder}lost+found", user="root")
    try:
        listed = ("#mysql50#lost+found",) in my.server.sql("SHOW DATABASES")
        assert listed is (my.server.product == "mariadb")
        assert [one.name for one in my.engine.databases()] == before
    finally:
        my.server.exec("rmdir", f"{folder}lost+found", user="root")


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
    with pytest.raises(RestoreFailed, match="does not exist"):
        my.engine.placer.prepare_swap("there", "elsewhere", kept=None)
    assert my.engine.exists("there")
    assert not my.engine.exists("elsewhere")


def test_a_load_stops_at_the_first_error_and_says_where(my: Rig, make: Make) -> None:
    name = make(my.server, "half")
    with pytest.raises(RestoreFailed, match=r"'half': statement 2 on line 2, 'INSERT INTO nowhere VALUES …': .*"):
        my.load(b"CREATE TABLE a (b int);\nINSERT INTO nowhere VALUES (1);\nCREATE TABLE c (d int);\n", name)
    assert [table.name for table in my.engine.count(name).by_table] == ["a"]


@pytest.mark.parametrize("line", [b"\\! touch gotcha\n", b"system touch gotcha\n", b"source /etc/hostname\n"])
def test_a_dump_cannot_run_commands_of_the_client(my: Rig, make: Make, line: bytes) -> None:
    name = make(my.server, "commanded")
    with pytest.raises(RestoreFailed, match=r"is not loaded: line 1 "):
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

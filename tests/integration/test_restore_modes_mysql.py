"""MariaDB and MySQL: a restore into a living database, in each mode, killed at each statement, and what forbids one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.clients import clients_of
from tests.fixtures import samples
from tests.fixtures.restoring import Restoring, restoring
from tests.servers import Server

from vya_backupdb.domain.errors import RestoreFailed, RestoreRefused, TargetExists
from vya_backupdb.domain.undertaking import OWN_NAME
from vya_backupdb.dumper.restore_request import WithUsers
from vya_backupdb.dumper.settling import settle_target

DEEDS = ("CREATE", "ALTER", "DROP", "RENAME")
LONGEST = "x" * 64


@pytest.fixture
def alive(server: Server, one: Restoring) -> str:
    """``shop``, backed up, and changed since: rows, and one of each kind more; beside it a neighbour."""
    samples.create(server, "shop")
    server.sql("CREATE DATABASE neighbour")
    server.sql("CREATE TABLE neighbour.note (id int PRIMARY KEY)")
    if server.product == "mysql":
        server.sql(
            "CREATE LIBRARY saved LANGUAGE JAVASCRIPT AS 'export function f() { return ''ü'' }'", database="shop"
        )
    one.back_up("shop")
    if server.product == "mysql":
        server.sql("DROP LIBRARY saved; CREATE LIBRARY living LANGUAGE JAVASCRIPT AS '// it''s'", database="shop")
    server.sql("DELETE FROM `order ``é`", database="shop")
    server.sql("DELETE FROM customer WHERE id > 5", database="shop")
    for statement in (
        "CREATE TABLE only_here (id int PRIMARY KEY, customer int, FOREIGN KEY (customer) REFERENCES customer (id))",
        "CREATE VIEW b_rich AS SELECT * FROM rich", "CREATE VIEW a_rich AS SELECT * FROM b_rich",
        "CREATE TRIGGER second BEFORE UPDATE ON customer FOR EACH ROW SET NEW.name = concat(NEW.name, '€')",
        "CREATE TRIGGER first BEFORE UPDATE ON customer FOR EACH ROW SET NEW.name = 'f'",
        "ALTER DATABASE shop COLLATE utf8mb4_general_ci", "CREATE PROCEDURE living() SELECT 'lebt: ü😀'",
        "ALTER DATABASE shop COLLATE utf8mb4_bin",
        "CREATE EVENT hourly ON SCHEDULE EVERY 1 HOUR STARTS '2036-01-01 03:00:00' DO SELECT 1",
    ):  # fmt: skip
        server.sql(statement, database="shop")
    return "shop"


def own(server: Server) -> set[str]:
    return {name for name in samples.names(server) if OWN_NAME.fullmatch(name)}


def whole(server: Server, name: str) -> dict[str, object]:
    """The state of a database, with the texts of what is no table."""
    state = samples.state(server, name)
    state["collations"] = server.sql(
        "SELECT routine_name, database_collation FROM information_schema.routines WHERE routine_schema = %s ORDER BY 1",
        [name],
    )
    kinds = [("TRIGGER", "TRIGGERS"), ("EVENT", "EVENTS")]
    with server.session(name) as run:
        for kind, view in [*kinds, *([("LIBRARY", "LIBRARIES")] if server.product == "mysql" else [])]:
            names = run(
                f"SELECT {kind}_NAME FROM information_schema.{view} WHERE {kind}_SCHEMA = %s ORDER BY 1", [name]
            )
            state[kind] = [list(run(f"SHOW CREATE {kind} {server.quoted(str(found))}")[0][:6]) for (found,) in names]
    return state


def original(server: Server, one: Restoring) -> dict[str, object]:
    """What the backup holds, as a restore under a new name shows it."""
    one.restore("as it was", database="shop")
    state = comparable(whole(server, "as it was"))
    server.sql("DROP DATABASE `as it was`")
    return state


def comparable(state: dict[str, object]) -> dict[str, object]:
    """Without what differs by the name of the database."""
    return {key: value for key, value in state.items() if "referential_constraints" not in key}


def test_replace_puts_the_backup_in_the_place_of_a_living_database(server: Server, one: Restoring, alive: str) -> None:
    expected, neighbour = original(server, one), whole(server, "neighbour")
    session = server.connect("shop")
    with session.cursor() as cursor:
        cursor.execute("PREPARE q FROM 'SELECT count(*) FROM customer'")
        report = one.restore("shop", "replace")
        cursor.execute("EXECUTE q")
        assert cursor.fetchall() == ((900,),)
    session.close()
    assert comparable(whole(server, "shop")) == expected
    assert (own(server), whole(server, "neighbour")) == (set(), neighbour)
    assert one.session().tree.undertakings().all() == []
    assert report.restored is not None
    one.restore("five", database="shop", backup=report.restored.safety_backup_id)
    assert server.sql("SELECT count(*) FROM five.customer") == [(5,)]


def test_rename_keeps_the_former_database_with_all_that_was_in_it(server: Server, one: Restoring, alive: str) -> None:
    expected, former = original(server, one), whole(server, "shop")
    report = one.restore("shop", "rename")
    (kept,) = own(server)
    assert report.restored is not None
    assert report.restored.kept_database == kept
    assert comparable(whole(server, "shop")) == expected
    there = comparable(whole(server, kept))
    events = [key for key in there if "information_schema.events" in key]
    for key in (*events, "EVENT"):  # they sleep there
        assert "DISABLE" in str(there.pop(key))
        former.pop(key)
    assert there == comparable(former)
    assert server.sql(f"SELECT count(*) FROM {kept}.a_rich") == server.sql(f"SELECT count(*) FROM {kept}.b_rich")
    one.restore("shop", "rename")
    assert len(own(server)) == 2


def test_definers_are_dropped_where_that_is_asked(server: Server, one: Restoring, alive: str) -> None:
    server.sql("CREATE DEFINER=`gone`@`10.%` VIEW theirs AS SELECT 1 AS one", database="shop")
    server.sql(
        "CREATE DEFINER=`gone`@`10.%` TRIGGER theirs BEFORE DELETE ON customer FOR EACH ROW DO 0", database="shop"
    )
    server.sql("CREATE DEFINER=`gone`@`10.%` FUNCTION theirs() RETURNS int DETERMINISTIC RETURN 1", database="shop")
    server.sql("CREATE USER `gone`@`10.%`")
    try:
        one.back_up("shop")
    finally:
        server.sql("DROP USER `gone`@`10.%`")
    kept = one.plan(one.request("copy", database="shop"))
    assert "gone@10.%" in kept.inspection.accounts
    plan = one.plan(one.request("copy", database="shop", definers="drop"))
    (declared,) = (each for each in plan.transforms if each.name == "definer")
    assert "gone@10.%" in declared.sentence
    report = one.restore("copy", database="shop", definers="drop")
    assert report.restored is not None
    assert [each.count for each in report.restored.transforms if each.name == "definer"] == [declared.count]
    ours = server.sql("SELECT CURRENT_USER()")
    for kind, column in (("VIEWS", "TABLE"), ("TRIGGERS", "TRIGGER"), ("ROUTINES", "ROUTINE")):
        sql = f"SELECT DISTINCT definer FROM information_schema.{kind} WHERE {column}_schema = 'copy'"
        assert server.sql(sql) == ours


@pytest.fixture
def peopled(server: Server, tmp_path: Path) -> Iterator[Restoring]:
    """``shop``, backed up with who may do what in it, and with a view in somebody's name."""
    one = restoring(tmp_path, "mysql", clients_of(f"{server.product}:{server.version}"), users=True, demo=server)
    samples.create(server, "shop")
    for statement in (
        "CREATE ROLE m_readers", "CREATE USER m_app@`%` IDENTIFIED BY 'pw-of-app'", "CREATE USER m_definer@`10.%`",
        "GRANT m_readers TO m_app@`%`", "GRANT SELECT ON shop.customer TO m_app@`%`",
        "GRANT INSERT ON shop.* TO m_app@`%`", "CREATE DEFINER=m_definer@`10.%` VIEW shop.theirs AS SELECT 1 AS one",
    ):  # fmt: skip
        server.sql(statement)
    try:
        one.back_up("shop")
        yield one
    finally:
        _depopulate(server)


def _depopulate(server: Server) -> None:
    for statement in (
        "DROP DATABASE IF EXISTS shop", "DROP USER IF EXISTS m_app@`%`, m_definer@`10.%`",
        "DROP ROLE IF EXISTS m_readers",
    ):  # fmt: skip
        server.sql(statement)


def test_accounts_come_before_the_data_and_their_grants_after_it(server: Server, peopled: Restoring) -> None:
    """Killed on the way, the next restore finishes them: grants on tables wait until these are there."""
    before, words = server.sql("SHOW GRANTS FOR m_app@`%`"), ("CREATE USER", "DROP TABLE", "GRANT SEL")
    for number in range(1, 20):
        _depopulate(server)
        killed = peopled.killed(number, lambda: peopled.restore("shop", users=WithUsers()), words=words)
        report = peopled.restore("shop", users=WithUsers()) if killed else None
        assert server.sql("SHOW GRANTS FOR m_app@`%`") == before
        assert server.sql("SELECT user FROM mysql.user WHERE user = 'm_definer'") == [("m_definer",)]
        assert peopled.session().tree.undertakings().all() == []
        if report is None:
            assert number > 3
            break
        assert report.exit_code == 0, report
        with contextlib.closing(server.connect("shop", user="m_app", password="pw-of-app")) as connection:
            assert connection.cursor().execute("SELECT * FROM customer") == 900
    else:
        raise AssertionError("the story never ended")


def test_a_grant_that_the_server_refuses_stops_nothing_else(server: Server, peopled: Restoring) -> None:
    _depopulate(server)
    partly = peopled.restore("shop", users=WithUsers(without=("m_readers",)))
    assert (partly.exit_code, "m_app@%" in partly.message) == (49, True)
    assert partly.restored is not None
    refused = {each.account: each.refused for each in partly.restored.users if each.refused}
    assert [("m_readers" in one.statement) for one in refused.pop("m_app@%")] == [True]
    assert (refused, server.sql("SELECT count(*) FROM shop.customer")) == ({}, [(900,)])


def test_names_of_64_characters(server: Server, one: Restoring, alive: str) -> None:
    for mode in ("fail", "replace", "rename"):
        one.restore(LONGEST, mode, database="shop")
        assert server.sql(f"SELECT count(*) FROM {server.quoted(LONGEST)}.customer") == [(900,)]
    assert server.sql("SELECT count(*) FROM shop.customer") == [(5,)]


def test_what_forbids_a_replacement_is_in_the_plan(server: Server, one: Restoring, alive: str) -> None:
    server.sql("CREATE TABLE neighbour.child (c int, FOREIGN KEY (c) REFERENCES shop.customer (id))")
    server.sql("CREATE TABLE gone (id int)", database="shop")
    server.sql("CREATE VIEW broken AS SELECT id FROM gone", database="shop")
    server.sql("DROP TABLE gone", database="shop")
    before = contents(server)
    with pytest.raises(TargetExists):
        one.restore("shop")
    with pytest.raises(RestoreRefused, match=r"point into 'shop': those of neighbour\.child; .*: broken") as caught:
        one.restore("shop", "rename")
    assert "Drop these foreign keys" in caught.value.hint
    system = one.plan(one.request("mysql", "rename", database="shop"))
    assert "system database" in system.refusals[0].message
    assert (contents(server), own(server), len(one.session().tree.backups())) == (before, set(), 1)


def contents(server: Server) -> list[object]:
    return [server.sql(f"SHOW {what}", database="shop") for what in ("FULL TABLES", "TRIGGERS", "EVENTS")]


@pytest.mark.parametrize("server", ["mariadb:11.8"], indirect=True)  # MySQL keeps the locks of the next test alike
def test_an_open_transaction_stops_it_before_anything_is_dropped(server: Server, one: Restoring, alive: str) -> None:
    before = whole(server, "shop")
    session = server.connect("shop")
    with session.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM customer")
        with pytest.raises(RestoreFailed, match="open transactions hold tables of 'shop'"):
            one.restore("shop", "rename")
        cursor.execute("ROLLBACK")
    session.close()
    assert (whole(server, "shop"), own(server)) == (before, set())
    assert one.session().tree.undertakings().all() == []


SMALL = (
    "CREATE TABLE item (id int PRIMARY KEY, name varchar(20))",
    "CREATE TABLE part (id int PRIMARY KEY, item int, CONSTRAINT of_item FOREIGN KEY (item) REFERENCES item (id))",
    "CREATE VIEW a_view AS SELECT name FROM item",
    "CREATE TRIGGER touched BEFORE INSERT ON item FOR EACH ROW SET NEW.name = trim(NEW.name)",
    "CREATE FUNCTION two() RETURNS int DETERMINISTIC RETURN 2",
    "CREATE EVENT hourly ON SCHEDULE EVERY 1 HOUR STARTS '2036-01-01 03:00:00' DO SELECT 1",
)
LATER = (
    "INSERT INTO item VALUES (1, 'later')",
    "CREATE TABLE only_now (id int PRIMARY KEY)",
    "CREATE TRIGGER again BEFORE INSERT ON item FOR EACH ROW SET NEW.name = upper(NEW.name)",
    "CREATE VIEW b_view AS SELECT * FROM a_view",
    "DROP FUNCTION two",
)


def living(server: Server) -> None:
    """Make ``shop`` as it was backed up, and change it."""
    server.sql("DROP DATABASE IF EXISTS shop; CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    with server.session("shop") as run:
        for statement in (*SMALL, *LATER):
            run(statement)


def test_a_prepared_transaction_that_nobody_holds_stops_it_too(server: Server, one: Restoring) -> None:
    """XA: it outlives its session, and so do its locks. A dump waits for none of them, and has none of its rows."""
    living(server)
    session = server.connect("shop")
    with session.cursor() as cursor:
        for statement in ("XA START 'left'", "INSERT INTO item VALUES (7, 'x')", "XA END 'left'", "XA PREPARE 'left'"):
            cursor.execute(statement)
    session.close()
    try:
        one.back_up("shop")
        with pytest.raises(RestoreFailed, match="open transactions hold tables of 'shop'"):
            one.restore("shop", "rename")
        assert own(server) == set()
    finally:
        server.sql("XA COMMIT 'left'")
    assert server.sql("SELECT id FROM shop.item ORDER BY 1") == [(1,), (7,)]
    one.restore("shop", "replace")
    assert server.sql("SELECT id FROM shop.item ORDER BY 1") == [(1,)]


@pytest.mark.parametrize(
    ("server", "mode"),
    [("mariadb:11.8", "rename"), ("mariadb:11.8", "replace"), ("mysql:9.7", "rename")],
    indirect=["server"],
)
def test_killed_after_every_statement_it_is_as_it_was_or_as_it_becomes(
    server: Server, one: Restoring, mode: str
) -> None:
    server.sql("CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    for statement in SMALL:
        server.sql(statement, database="shop")
    one.back_up("shop")
    becomes = original(server, one)
    living(server)
    was = comparable(whole(server, "shop"))
    outcomes = []
    # what replaces takes the same way, and drops in the end: what is made and loaded first is the same
    for number in range(1 if mode == "rename" else 11, 80):
        killed = one.killed(number, lambda: one.restore("shop", mode), words=DEEDS)
        settle_target(one.session(), "shop", lambda found: outcomes.append(found.done))
        now, kept = comparable(whole(server, "shop")), own(server)
        assert now in (was, becomes), number
        assert len(kept) == (mode == "rename" and now == becomes), (number, kept)
        if not killed:
            assert now == becomes
            assert number > 15
            assert set(outcomes) == {True, False}
            return
        for name in kept:
            server.sql(f"DROP DATABASE {name}")
        living(server)
    raise AssertionError("the story never ended")


def test_killed_while_it_loads_the_next_restore_begins_anew(server: Server, one: Restoring) -> None:
    """Nothing stands under the name yet: it is loaded in place, and what a killed restore left is told from others'."""
    samples.create(server, "shop")
    one.back_up("shop")
    expected = original(server, one)
    for number in range(1, 9):
        killed = one.killed(number, lambda: one.restore("new", database="shop"), words=DEEDS)
        if killed:
            one.restore("new", database="shop")
        assert comparable(whole(server, "new")) == expected, number
        server.sql("DROP DATABASE new")
        if not killed:
            assert number > 2
            break
    assert one.killed(2, lambda: one.restore("new", database="shop"), words=DEEDS)
    server.sql("DROP DATABASE new; CREATE DATABASE new; CREATE TABLE new.theirs (id int)")
    with pytest.raises(TargetExists):
        one.restore("new", database="shop")
    assert server.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'new'") == [("theirs",)]

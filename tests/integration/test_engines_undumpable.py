"""Objects of MySQL and MariaDB that a server keeps and takes back from no dump: each is named before one begins."""

import pytest
from tests.fixtures.engine_rig import Rig
from tests.fixtures.findings import blocking, remedy
from tests.fixtures.scratch_databases import Make, run

from vya_backupdb.domain.errors import DumpFailed
from vya_backupdb.engines.findings import require_dumpable


def test_views_that_cannot_be_opened_are_named(my: Rig, make: Make) -> None:
    """Both clients stop at the first, maybe after hours; here all are named."""
    name = make(
        my.server, "broken", "CREATE TABLE t (a int)", "CREATE VIEW `lo``oking` AS SELECT a FROM t",
        "CREATE VIEW second AS SELECT a FROM t", "DROP TABLE t",
    )  # fmt: skip
    found = blocking(my.engine.inspect(name))
    assert ["lo`oking" in found[0].message, "second" in found[1].message] == [True, True]
    with pytest.raises(DumpFailed, match=r"oking.*second"):
        require_dumpable(found)
    for one in found:
        my.server.sql(remedy(one))
    assert my.engine.inspect(name) == ()


def test_definers_that_do_not_exist_are_warned_of(my: Rig, make: Make) -> None:
    my.server.sql("CREATE USER `go'ne` IDENTIFIED BY 'pw'")
    name = make(
        my.server, "orphans", "CREATE TABLE t (a int)", "CREATE DEFINER=`go'ne` VIEW v AS SELECT 1 AS a",
        "CREATE DEFINER=`go'ne` TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @a = 1", "DROP USER `go'ne`",
    )  # fmt: skip
    (finding,) = my.engine.inspect(name)
    assert (finding.reason, finding.blocking) == ("DefinerMissing", False)
    assert "tr, v" in finding.message
    assert "go'ne@%" in finding.message
    assert my.dump(name).snapshot.warnings == (finding.message,)


def test_defaults_by_a_sequence_that_is_gone_are_refused(maria: Rig, make: Make) -> None:
    """The tables work as long as they are given a value, and no dump of them loads."""
    name = make(maria.server, "co`unting", "CREATE SEQUENCE `s``1`", "CREATE SEQUENCE s2")
    columns = (
        "a int DEFAULT NEXTVAL(`s``1`), b int DEFAULT (LASTVAL(s2) + 1), c text DEFAULT 'nextval(`co``unting`.`x`)'"
    )
    run(maria.server, name, f"CREATE TABLE t ({columns})", "INSERT INTO t (b) VALUES (1)", "DROP SEQUENCE `s``1`")
    (found,) = blocking(maria.engine.inspect(name))
    assert found.message.endswith("t.a (ALTER TABLE … ALTER COLUMN … DROP DEFAULT)")
    run(maria.server, name, "CREATE SEQUENCE `s``1`")
    assert blocking(maria.engine.inspect(name)) == []


def test_tables_of_generated_columns_alone_are_refused(mysql: Rig, make: Make) -> None:
    name = make(mysql.server, "gener`ated", "CREATE TABLE t (a int AS (1) STORED, b int AS (a + 1))")
    run(mysql.server, name, "CREATE TABLE u (a int, b int AS (a + 1))", "INSERT INTO u (a) VALUES (1)")
    assert blocking(mysql.engine.inspect(name)) == []
    run(mysql.server, name, "INSERT INTO t VALUES (), ()")
    (found,) = blocking(mysql.engine.inspect(name))
    assert "all columns of 't' of 'gener`ated' are generated" in found.message
    run(mysql.server, name, remedy(found))
    assert blocking(mysql.engine.inspect(name)) == []
    assert mysql.dump(name).rows == {"t": 2, "u": 1}


def test_triggers_that_name_lost_columns_are_refused(my: Rig, make: Make) -> None:
    name = make(
        my.server, "triggers", "CREATE TABLE t (`A b` int, c int, `d``d` int, e int)", "CREATE TABLE log (a int)"
    )
    row = "BEFORE UPDATE ON t FOR EACH ROW"
    run(
        my.server,
        name,
        f"CREATE TRIGGER sound {row} SET NEW.c = OLD.`a B` + new.`D``d`, @x = 'NEW.gone' /* OLD.gone */",
        f"CREATE TRIGGER broken {row} BEGIN INSERT INTO log SELECT old.`d``d`; SET NEW . `e` = 1; END",
        "ALTER TABLE t DROP COLUMN e",
    )
    (found,) = blocking(my.engine.inspect(name))
    assert "trigger 'broken' of 'triggers' names columns that its table 't' does not have: e" in found.message
    assert found.message.endswith("(DROP TRIGGER `triggers`.`broken`, or create it anew)")
    run(my.server, name, "DROP TRIGGER broken")
    assert blocking(my.engine.inspect(name)) == []


@pytest.mark.parametrize("kind", ["TRIGGER", "EVENT"])
def test_a_body_that_ends_with_a_semicolon_is_warned_of(mysql: Rig, make: Make, kind: str) -> None:
    """MySQL's client dumps it, ends with 0, and cannot load it; our loader can."""
    name = make(mysql.server, "semicolon", "CREATE TABLE t (a int)")
    ours, theirs = make(mysql.server, "by our loader"), make(mysql.server, "by hand")
    statement = {
        "TRIGGER": "CREATE TRIGGER ended BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1",
        "EVENT": "CREATE EVENT ended ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
    }[kind]
    mysql.server.sql(f"{statement}; SELECT 1", database=name)
    dumped = mysql.dump(name)
    mysql.load(dumped.sql, ours)
    assert "1064" in mysql.by_hand(dumped.sql, theirs).stderr
    (finding,) = dumped.snapshot.findings
    assert not finding.blocking
    assert f"DROP {kind} `semicolon`.`ended`" in finding.message
    assert mysql.engine.inspect(ours)[0].message == finding.message.replace("semicolon", ours)
    mysql.server.sql(f"DROP {kind} ended; SELECT 1", database=name)
    run(mysql.server, name, statement)
    assert mysql.engine.inspect(name) == ()


def test_a_foreign_key_that_no_server_takes_back_is_refused(maria: Rig, make: Make) -> None:
    """The server names it after the table, and lets that name be longer than it takes in a statement."""
    table = "é" * 60
    name, again = (
        make(
            maria.server, "long key", "CREATE TABLE p (id int PRIMARY KEY)",
            f"CREATE TABLE `{table}` (p int, FOREIGN KEY (p) REFERENCES p (id))",
            "CREATE TABLE `tick``ed` (p int, FOREIGN KEY (p) REFERENCES p (id))",
        ),
        make(maria.server, "long key again"),
    )  # fmt: skip
    dumped = maria.dump(name)
    with pytest.raises(Exception, match=r"too long|1059"):
        maria.load(dumped.sql, again)
    (finding,) = dumped.snapshot.findings
    assert finding.blocking
    assert table in finding.message
    run(
        maria.server, name, f"RENAME TABLE `{table}` TO short", "ALTER TABLE short DROP FOREIGN KEY short_ibfk_1",
        "ALTER TABLE short ADD CONSTRAINT own FOREIGN KEY (p) REFERENCES p (id)", f"RENAME TABLE short TO `{table}`",
    )  # fmt: skip
    assert maria.engine.inspect(name) == ()


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a\\b"])
def test_events_that_the_client_cannot_reach_are_named(maria: Rig, make: Make, name: str) -> None:
    """Its client looks for a database of the escaped name; without events it has no need to."""
    event = "CREATE EVENT e ON SCHEDULE EVERY 1 HOUR STARTS '2036-01-01' DO SELECT 1"
    database = make(maria.server, name, "CREATE TABLE t (a int)", "CREATE PROCEDURE p() SELECT 1", event)
    (finding,) = blocking(maria.engine.inspect(database))
    assert "event 'e'" in finding.message
    with pytest.raises(DumpFailed, match="Unknown database"):
        maria.dump(database)  # when it does not any more, the finding is to go
    maria.server.sql(remedy(finding))
    assert maria.engine.inspect(database) == ()
    assert b"PROCEDURE" in maria.dump(database).sql

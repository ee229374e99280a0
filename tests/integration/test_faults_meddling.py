"""Somebody drops databases, or makes them anew, after a restore was killed and before the next one.

Nothing that is not in its place may be called restored then, and nothing of somebody else's may go.
"""

from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from tests.demo.embedded import EmbeddedServer
from tests.fixtures import samples
from tests.fixtures.restoring import Restoring, restoring
from tests.fixtures.workspace import Connect
from tests.servers import Server

from vya_backupdb.domain.errors import RestoreFailed, TargetExists
from vya_backupdb.domain.undertaking import OWN_NAME
from vya_backupdb.dumper.events import Event, Noted
from vya_backupdb.dumper.settling import settle_target


@pytest.fixture
def one(one: Restoring, server: Server) -> Restoring:
    """``shop`` with the row 1, backed up; the living one has the row 7."""
    make(server, 1)
    one.back_up("shop")
    make(server, 7)
    return one


def make(server: Server, row: int) -> None:
    """Make ``shop``: a table, and a view on it."""
    server.sql(f"DROP DATABASE IF EXISTS shop; CREATE DATABASE shop; CREATE TABLE shop.t AS SELECT {row} AS a")
    server.sql("CREATE VIEW shop.v AS SELECT a FROM shop.t")


def found(server: Server) -> tuple[list[str], list[tuple[object, ...]]]:
    """What is in ``shop``, seen through its view."""
    return [row[0] for row in server.sql("SHOW TABLES", database="shop")], server.sql("SELECT a FROM shop.v")


def own(server: Server) -> list[str]:
    """The databases with names like ours."""
    return [name for name in samples.names(server) if OWN_NAME.fullmatch(name)]


def killed(one: Restoring, mode: str, word: str, *, after: int = 1) -> None:
    """Restore ``shop``, killed after the first such statement, or after a later one."""
    assert one.killed(after, lambda: one.restore("shop", mode), words=(word,))


def settled(one: Restoring) -> list[bool]:
    """Settle what died; return of each whether it was finished."""
    said: list[bool] = []
    settle_target(one.session(), "shop", lambda each: said.append(each.done))
    return said


def test_who_drops_what_a_killed_swap_left_gets_no_lie(server: Server, one: Restoring) -> None:
    before, after = (["t", "v"], [(7,)]), (["t", "v"], [(1,)])
    for words, databases in (("DROP VIEW", own), ("RENAME", lambda _server: ["shop"])):
        killed(one, "replace", words)
        for name in databases(server):
            server.sql(f"DROP DATABASE {name}")
        assert settled(one) == [False]
        assert (found(server), own(server)) == (before, [])
    killed(one, "replace", "RENAME")
    for name in own(server):
        server.sql(f"DROP DATABASE {name}")
    assert one.restore("shop", "replace").exit_code == 0
    assert (found(server), own(server)) == (after, [])
    killed(one, "replace", "DROP DATABASE", after=3)  # the former one: all is done, but for the end of the journal
    server.sql("DROP DATABASE shop")
    assert one.restore("shop", "replace").exit_code == 0
    assert (found(server), own(server)) == (after, [])


def test_what_another_made_anew_is_no_result_and_stays(server: Server, one: Restoring) -> None:
    killed(one, "rename", "RENAME")
    make(server, 9)
    for _attempt in ("first", "again"):
        with pytest.raises(RestoreFailed, match="made anew by somebody"):
            one.restore("shop", "rename")
    assert found(server) == (["t", "v"], [(9,)])
    server.sql("DROP DATABASE shop")
    assert one.restore("shop", "rename").exit_code == 0
    (kept,) = own(server)
    assert (found(server)[1], server.sql(f"SELECT a FROM {kept}.v")) == ([(1,)], [(7,)])
    (kept,) = own(server)
    server.sql(f"DROP DATABASE {kept}")
    killed(one, "rename", "DROP VIEW", after=2)  # the second is the target's own
    server.sql("DROP DATABASE shop; CREATE DATABASE shop; CREATE TABLE shop.t AS SELECT 9 AS a")
    assert settled(one) == [False]
    assert (server.sql("SHOW TABLES", database="shop"), own(server)) == ([("t",)], [])
    server.sql("DROP DATABASE shop")
    killed(one, "fail", "DROP TABLE")  # loaded in its place, and no longer marked
    server.sql("DROP DATABASE shop; CREATE DATABASE shop")
    with pytest.raises(TargetExists):
        one.restore("shop")
    assert server.sql("SHOW TABLES", database="shop") == []


def test_the_former_database_gets_its_name_back_where_what_replaced_it_was_dropped(
    embedded: EmbeddedServer, connect: Connect, database: str, tmp_path: Path
) -> None:
    """PostgreSQL: one made anew is not touched, and named."""
    one = restoring(tmp_path, "postgresql", [str(embedded.programs)], demo=embedded)

    def run(database: str, statement: str) -> None:
        with connect(database) as connection:
            connection.execute(statement.encode())

    one.back_up(database)
    run(database, "DELETE FROM item WHERE id > 5")
    killed(one, "replace", "COMMIT")
    run("postgres", "DROP DATABASE shop")
    run("postgres", "CREATE DATABASE shop")
    with pytest.raises(RestoreFailed, match="the new one is not in its place") as caught:
        one.restore(database, "replace")
    assert "remove the journal" in caught.value.hint
    run("postgres", "DROP DATABASE shop")
    assert settled(one) == [False]
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (5,)
    assert one.session().tree.undertakings().all() == []


def test_a_database_that_another_makes_first_is_not_taken_away(server: Server, one: Restoring) -> None:
    """Even an empty one, or one of routines alone: it was never ours."""

    def first(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("CREATE DATABASE"):
            server.sql("CREATE DATABASE IF NOT EXISTS theirs")

    event.listen(Engine, "before_cursor_execute", first)
    try:
        with pytest.raises(TargetExists, match="exists already"):
            one.restore("theirs", database="shop")
    finally:
        event.remove(Engine, "before_cursor_execute", first)
    assert "theirs" in samples.names(server)
    assert one.session().tree.undertakings().all() == []
    server.sql("DROP DATABASE theirs")
    assert one.killed(1, lambda: one.restore("theirs", database="shop"), words=("CREATE DATABASE",))
    server.sql("CREATE PROCEDURE helps() SELECT 1", database="theirs")
    with pytest.raises(TargetExists):
        one.restore("theirs", database="shop")
    assert server.sql("SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'theirs'")


def test_a_grant_that_a_crash_lost_is_told(server: Server, one: Restoring) -> None:
    server.sql("CREATE PROCEDURE pay() SELECT 1", database="shop")
    one.back_up("shop")
    server.sql("CREATE USER g_caller@'10.%'")
    server.sql("GRANT EXECUTE ON PROCEDURE shop.pay TO g_caller@'10.%'")
    killed(one, "replace", "RENAME")
    server.sql("DROP USER g_caller@'10.%'")
    heard: list[Event] = []
    settle_target(one.session(heard=heard), "shop", lambda _settled: None)
    told = [each.message for each in heard if isinstance(each, Noted) and each.level == "warning"]
    assert [("GRANT EXECUTE" in sentence, "g_caller" in sentence) for sentence in told] == [(True, True)]

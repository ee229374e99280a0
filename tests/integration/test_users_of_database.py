"""The accounts that come with one database: all that it needs, and nothing that was not asked for."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.demo.embedded import EmbeddedServer
from tests.fixtures.accounts import execute, session_for
from tests.fixtures.engine_rig import rig
from tests.fixtures.restoring import restoring
from tests.fixtures.workspace import Connect
from tests.servers import Server

from vya_backupdb.domain.errors import RestoreFailed
from vya_backupdb.domain.users_file import AccountKey, Statement, UsersFile
from vya_backupdb.domain.users_plan import AccountPlan, OnExisting
from vya_backupdb.dumper.restore_request import WithUsers
from vya_backupdb.dumper.restore_users import DatabaseUsers, RunUsers, make_accounts
from vya_backupdb.dumper.session import Session
from vya_backupdb.dumper.settling import settle_target

FAMILY = (
    "CREATE USER w_app@`%`", "CREATE USER w_both@`%` IDENTIFIED BY 'x'", "GRANT SELECT ON `w_shop%`.* TO w_app@`%`",
    "GRANT SELECT ON w_shop1.* TO w_both@`%`", "GRANT ALL ON w_pay.* TO w_both@`%`",
)  # fmt: skip
ROLES = (
    "CREATE ROLE w_app LOGIN", "CREATE ROLE w_readers", 'CREATE ROLE "w ""boss"', "CREATE ROLE w_top",
    "GRANT w_readers TO w_top WITH ADMIN TRUE", 'GRANT w_readers TO "w ""boss" WITH ADMIN TRUE GRANTED BY w_top',
    'GRANT w_readers TO w_app WITH INHERIT TRUE, SET FALSE GRANTED BY "w ""boss"',
)  # fmt: skip
GONE = ("REVOKE w_readers FROM w_top CASCADE", 'DROP ROLE w_app, w_readers, w_top, "w ""boss"')


@pytest.fixture(params=("mariadb:11.8", "mysql:9.7"))
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Iterator[Server]:
    """A server with an account by a pattern of names, and one that may do things in two databases."""
    server = servers(request.param)
    execute(server, *FAMILY)
    yield server
    execute(server, "DROP USER w_app@`%`, w_both@`%`")


def users(
    session: Session, database: str, to: str = "", *, wanted: WithUsers | None = None, names: tuple[str, ...] = (),
    file: UsersFile | None = None,
) -> DatabaseUsers:  # fmt: skip
    """Who comes with a database, by what the server has now, or by a file."""
    target, _ = session.engine.accounts().target()
    run = RunUsers("users_1", file or session.engine.accounts().read().file, target, wanted or WithUsers())
    return DatabaseUsers(session, run, database=database, to_database=to or database, names=names)


def planned(of: DatabaseUsers) -> dict[str, AccountPlan]:
    """What becomes of each account, by name."""
    return {one.account.name: one for one in of.plan().plan.accounts}


def texts(plan: AccountPlan) -> list[str]:
    """The statements of a plan that are about privileges."""
    return [one.statement.sql for one in plan.steps if one.statement.sql.startswith(("GRANT", "REVOKE"))]


def test_a_pattern_of_names_reaches_the_database_and_no_other_is_touched(server: Server, tmp_path: Path) -> None:
    session = session_for(rig(server, ()), tmp_path)
    saved = session.engine.accounts().read().file
    execute(server, "REVOKE ALL ON w_pay.* FROM w_both@`%`", "REVOKE SELECT ON w_shop1.* FROM w_both@`%`")
    equal = WithUsers(OnExisting.REPLACE)
    found = planned(users(session, "w_shop1", wanted=equal, file=saved))
    assert texts(found["w_app"]) == ["GRANT SELECT ON `w_shop%`.* TO `w_app`@`%`"]
    assert texts(found["w_both"]) == ["GRANT SELECT ON `w_shop1`.* TO `w_both`@`%`"]
    found = planned(users(session, "w_shop1", "w_copy", wanted=equal, file=saved))
    assert [texts(found[name]) for name in ("w_app", "w_both")] == [
        [rf"GRANT SELECT ON `w\_copy`.* TO `{name}`@`%`"] for name in ("w_app", "w_both")
    ]
    execute(server, "DROP USER w_both@`%`")
    of_pay = users(session, "w_pay", file=saved)
    assert planned(of_pay)["w_both"].reason == "gets what it may do in other databases, too: 'w_shop1'"
    assert "w_app" not in planned(of_pay)
    make_accounts(session, of_pay.plan(), list[AccountKey]().extend)
    again = [one.sql for one in session.engine.accounts().read().file.statements]
    assert [one.sql for one in saved.statements if "w_" in one.sql and one.sql not in again] == []


def test_who_gave_a_membership_comes_with_it(servers: Callable[[str], Server], tmp_path: Path) -> None:
    server = servers("postgres:17")
    session = session_for(rig(server, ()), tmp_path)
    execute(server, *ROLES)
    saved = session.engine.accounts().read().file
    execute(server, *GONE)
    of = users(session, "w_shop", names=("w_app",), file=saved)
    assert set(planned(of)) == {"w_app", "w_readers", 'w "boss', "w_top"}
    result = make_accounts(session, of.plan(), list[AccountKey]().extend)
    try:
        assert [one for one in result.accounts if one.refused] == []
        grantors = "SELECT grantor::regrole::text FROM pg_auth_members WHERE member = 'w_app'::regrole"
        assert server.sql(grantors) == [('"w ""boss"',)]
    finally:
        execute(server, *GONE)


def test_a_change_that_was_cut_short_is_finished_by_the_next_restore(
    embedded: EmbeddedServer, connect: Connect, tmp_path: Path
) -> None:
    """It takes back first: killed after that, and with --users-on-existing skip next, the account stayed so."""
    one = restoring(tmp_path, "postgresql", [str(embedded.programs)], users=True, demo=embedded)
    member, gone = "SELECT pg_has_role('w_app', 'w_readers', 'MEMBER')", "DROP DATABASE IF EXISTS w_shop"

    def run(*statements: str) -> None:
        with connect("postgres") as connection:
            for statement in statements:
                connection.execute(statement.encode())

    run("CREATE ROLE w_app", "CREATE ROLE w_readers", "GRANT w_readers TO w_app", "CREATE DATABASE w_shop OWNER w_app")
    try:
        one.back_up("w_shop")
        run(gone, "GRANT w_readers TO w_app WITH ADMIN OPTION")
        equal = WithUsers(OnExisting.REPLACE)
        assert one.killed(1, lambda: one.restore("w_shop", users=equal), words=("REVOKE",))
        one.restore("w_shop", users=WithUsers())
        with connect("postgres") as connection:
            assert connection.execute(member).fetchone() == (True,)
        assert one.session().tree.undertakings().all() == []
        run(gone, "ALTER ROLE w_app CREATEDB")
        assert one.killed(1, lambda: one.restore("w_shop", users=equal), words=("CREATE DATABASE",))
        settle_target(one.session(), "w_shop", lambda _settled: None)
        assert one.session().tree.undertakings().all() == []  # what was changed is as it was to be
    finally:
        run(gone, "DROP ROLE w_app", "DROP ROLE w_readers")


def test_only_what_was_made_is_noted_as_ours(server: Server, tmp_path: Path) -> None:
    """An account that could not be made, and that somebody makes by hand then, is not changed by the next attempt."""
    session = session_for(rig(server, ()), tmp_path)
    saved = session.engine.accounts().read().file
    execute(server, "DROP USER w_app@`%`, w_both@`%`")

    def broken(one: Statement) -> Statement:
        return replace(one, sql=one.sql.replace("REQUIRE NONE", "REQUIRE NONSENSE")) if "w_app" in one.sql else one

    of = users(session, "w_shop1", file=replace(saved, statements=tuple(map(broken, saved.statements))))
    began: list[AccountKey] = []
    with pytest.raises(RestoreFailed, match="could not be made: w_app@%"):
        make_accounts(session, of.plan(), began.extend)
    assert began == [AccountKey("w_both", "%")]
    execute(server, "CREATE USER w_app@`%`")


def test_an_account_without_name_and_host_takes_no_other_with_it(servers: Callable[[str], Server]) -> None:
    """MySQL has such ones; every users file failed for them."""
    server = servers("mysql:9.7")
    execute(server, "CREATE USER ''@''", "CREATE ROLE w_role@''", "GRANT SELECT ON *.* TO w_role@''")
    try:
        read = rig(server, ()).engine.accounts().read()
        assert [("RENAME USER" in one, "''@''" in one or "w_role" in one) for one in read.warnings] == [
            (True, True)
        ] * 2
        assert {one.name for one in read.file.accounts()} >= {"root"}
        assert "w_role" not in {one.name for one in read.file.accounts()}
    finally:
        execute(server, "DROP USER ''@''", "DROP ROLE w_role@''")

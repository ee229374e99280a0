"""Accounts restored one by one on every server: equal to what was saved, again and again, and nothing else touched."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from tests.fixtures.accounts import PASSWORD, Scene, exactly, execute, key, scene, session_for, texts
from tests.fixtures.engine_rig import rig
from tests.servers import Server

from vya_backupdb.domain.errors import TargetExists, WrongServer
from vya_backupdb.domain.users_file import EVERYONE, AccountKey, Statement, UsersFile, parse
from vya_backupdb.domain.users_plan import Action, OnExisting, Phases, Wish
from vya_backupdb.dumper.accounts import UsersResult, plan_users, restore_users, to_dict
from vya_backupdb.dumper.restore_request import WithUsers
from vya_backupdb.dumper.restore_users import DatabaseUsers, RunUsers, give_due, make_accounts

VERSIONS = ["mariadb:10.11", "mariadb:11.8", "mysql:9.7", "postgres:15", "postgres:17", "postgres:18"]


@pytest.fixture(params=VERSIONS)
def made(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Iterator[Scene]:
    """The scene on one server of each version."""
    with scene(rig(servers(request.param), ())) as one:
        yield one


def restore(made: Scene, file: UsersFile, root: Path, **wish: Any) -> UsersResult:
    """Restore and return the result, in which no literal stands."""
    session = session_for(made.one, root)
    planned = plan_users(session, file, Wish(**{"only": exactly(file), **wish}))
    result = restore_users(session, planned)
    shown = json.dumps(to_dict(result, file, dry_run=False))
    assert "SCRAM" not in shown
    assert "0x24" not in shown
    assert "*B69027D4" not in shown  # PASSWORD('x')
    return result


def refused(result: UsersResult) -> list[tuple[str, str]]:
    """Return what the server did not take."""
    return [(one.statement, one.error) for each in result.accounts for one in each.refused]


def login(server: Server, name: str, password: str) -> str:
    """Connect as `name`, and return what tells that its settings or default roles are active."""
    with contextlib.closing(server.connect(user=name, password=password)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW search_path" if server.product == "postgres" else "SELECT CURRENT_ROLE()")
        return str(cursor.fetchone()[0])


def test_accounts_come_back_equal_and_stay_so(made: Scene, tmp_path: Path) -> None:
    server, saved, before = made.server, made.file(), made.shown()
    assert len(saved.accounts()) >= 25
    made.drop_accounts()
    assert made.file().statements == ()
    result = restore(made, saved, tmp_path)
    assert refused(result) == []
    assert {one.plan.action for one in result.accounts} == {Action.CREATE}
    assert texts(made.file()) == texts(saved)
    assert made.shown() == before
    active = login(server, "u_app", PASSWORD)
    assert ("odd, path" if server.product == "postgres" else "u_writers") in active
    login(server, "o'd", "pw")
    for name in ("u_locked", "u_boss" if server.product == "postgres" else "u_tls"):
        with pytest.raises((psycopg.OperationalError, pymysql.MySQLError)):
            login(server, name, "x")
    assert refused(restore(made, saved, tmp_path, on_existing=OnExisting.REPLACE)) == []
    assert texts(made.file()) == texts(saved)
    assert made.shown() == before
    again = restore(made, saved, tmp_path)
    assert {one.plan.action for one in again.accounts} == {Action.SKIP}


def test_replace_makes_one_account_equal_and_touches_no_other(made: Scene, tmp_path: Path) -> None:
    server, saved, before = made.server, made.file(), made.shown()
    _change(made)
    changed = texts(made.file())
    assert changed != texts(saved)
    assert restore(made, saved, tmp_path).exit_code == 0
    assert texts(made.file()) == changed  # skip is the default
    with pytest.raises(TargetExists, match="nothing was changed"):
        restore(made, saved, tmp_path, on_existing=OnExisting.FAIL)
    assert texts(made.file()) == changed
    app = key("u_app", server)
    result = restore(made, saved, tmp_path, only=("u_app",), on_existing=OnExisting.REPLACE)
    assert refused(result) == []
    assert _of(made.file(), app) == _of(saved, app)
    login(server, "u_app", PASSWORD)
    others = [one for one in made.file().statements if one.header.account != app]
    assert texts(others) != texts(one for one in saved.statements if one.header.account != app)
    restore(made, saved, tmp_path, on_existing=OnExisting.REPLACE, without=("u_app",))
    assert texts(made.file()) == texts(saved)
    assert made.shown() == before


def _of(file: UsersFile, account: AccountKey) -> list[str]:
    return texts(one for one in file.statements if one.header.account == account)


def _change(made: Scene) -> None:
    """Change everything about two accounts that can be changed."""
    if made.server.product == "postgres":
        execute(
            made.server,
            "ALTER ROLE u_app WITH PASSWORD 'other' SUPERUSER NOCREATEDB CONNECTION LIMIT 9 VALID UNTIL 'infinity'",
            "COMMENT ON ROLE u_app IS 'other'", "ALTER ROLE u_app SET work_mem = '1MB'", "REVOKE u_writers FROM u_app",
            "GRANT u_boss TO u_app", "GRANT TEMPORARY ON DATABASE u_shop TO u_app", "ALTER ROLE u_stale CREATEROLE",
            "COMMENT ON ROLE u_stale IS 'new'", "ALTER ROLE u_app IN DATABASE u_shop SET work_mem = '8MB'",
        )  # fmt: skip
        return
    default = "FOR" if made.server.product == "mariadb" else "TO"
    extra = ("ALTER USER u_app@'%' ATTRIBUTE '{\"new\": 1}'",) if made.server.product == "mysql" else ("DO 0",)
    execute(
        made.server, "ALTER USER u_app@'%' IDENTIFIED BY 'other' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 3 ACCOUNT LOCK",
        "GRANT INSERT, SHUTDOWN ON *.* TO u_app@'%'", "REVOKE SELECT ON *.* FROM u_app@'%'",
        "GRANT DELETE ON u_shop.item TO u_app@'%'", "GRANT SELECT ON u_other.* TO u_app@'%'",
        "GRANT u_readers TO u_app@'%'", f"SET DEFAULT ROLE NONE {default} u_app@'%'", *extra,
        "ALTER USER u_stale@'%' IDENTIFIED BY 'new' PASSWORD EXPIRE NEVER", "GRANT DROP ON *.* TO u_stale@'%'",
        "ALTER USER u_empty@'%' IDENTIFIED BY 'full'",
    )  # fmt: skip


def test_two_phases_and_what_fails_alone(made: Scene, tmp_path: Path) -> None:
    server, saved = made.server, made.file()
    made.drop_accounts()
    execute(server, "DROP DATABASE u_shop")
    assert refused(restore(made, saved, tmp_path, phases=Phases.ACCOUNTS)) == []
    early = restore(made, saved, tmp_path, phases=Phases.GRANTS)
    assert early.exit_code == 49
    assert {"u_app"} <= {one.plan.account.name for one in early.accounts if one.refused}
    assert all(re.search("u_shop|item|act", error) for _, error in refused(early))
    execute(server, "CREATE DATABASE u_shop")
    if server.product != "postgres":
        execute(server, "CREATE TABLE u_shop.item (id int, name text)", "CREATE PROCEDURE u_shop.act() SELECT 1")
    assert refused(restore(made, saved, tmp_path, phases=Phases.GRANTS)) == []
    assert texts(made.file()) == texts(saved)


def test_what_one_database_needs_under_another_name(made: Scene, tmp_path: Path) -> None:
    server, saved = made.server, made.file()
    made.drop_accounts()
    names = ("u_app",) if server.product == "postgres" else ()
    session = session_for(made.one, tmp_path)
    of_run = RunUsers("users_1", saved, session.engine.accounts().target()[0], WithUsers())
    users = DatabaseUsers(session, of_run, database="u_shop", to_database="u_new", names=names)
    needed = {"u_app", "u_writers", "u_readers"}
    planned = users.plan()
    due = users.due(planned)
    assert {one.account.name for one in planned.plan.accounts} == needed == {name for name, _ in due.begun}
    assert not any(mark in due.model_dump_json() for mark in ("SCRAM", "0x24", "IDENTIFIED", "PASSWORD"))
    began: list[AccountKey] = []
    assert refused(make_accounts(session, planned, began.extend)) == []
    assert {one.name for one in began} == needed
    tables = () if server.product == "postgres" else (
        "CREATE TABLE u_new.item (id int, name text)", "CREATE PROCEDURE u_new.act() SELECT 1",
    )  # fmt: skip
    execute(server, "CREATE DATABASE u_new", *tables)
    try:
        assert refused(give_due(session, due, "u_new")) == []
        found = made.file()
        assert {one.name for one in found.accounts()} == needed
        grants = {one.header.database for one in found.statements if one.header.phase == "grants"}
        assert grants == {"u_new"}
        rows = made.one.engine.accounts().grants("u_new")
        assert any(row.account.name == "u_app" for row in rows)
    finally:
        made.drop_accounts() if server.product != "postgres" else None
        execute(server, "DROP DATABASE u_new")


def test_our_own_account_and_the_systems_are_protected(made: Scene, tmp_path: Path) -> None:
    server, session = made.server, session_for(made.one, tmp_path)
    every = session.engine.accounts().read().file
    system = {"postgres": "pg_monitor", "mysql": "mysql.sys", "mariadb": "mariadb.sys"}[server.product]
    own = next(one for one in every.statements if one.header.account == key(server.user, server))
    account = AccountKey(system, own.header.account.host and "localhost")
    sql = own.sql.replace(server.quoted(server.user), server.quoted(system)).replace("@`%`", "@`localhost`")
    alien = replace(own, header=replace(own.header, account=account), sql=sql)
    file = replace(every, statements=(own, alien))
    planned = plan_users(session, file, Wish(on_existing=OnExisting.REPLACE))
    actions = {one.account.name: one for one in planned.plan.accounts}
    assert actions[server.user].action is Action.PROTECTED
    assert "connected with" in actions[server.user].reason
    assert planned.plan.steps() == [] if server.product == "postgres" else actions[system].action is Action.PROTECTED


def test_a_refused_statement_shows_no_hash(made: Scene, tmp_path: Path) -> None:
    saved = made.file()
    made.drop_accounts()

    def broken(one: Statement) -> Statement:
        return replace(one, sql=one.sql.replace("REQUIRE NONE", "REQUIRE NONSENSE").replace("VALID UNTIL", "VALID"))

    file = replace(saved, statements=tuple(map(broken, saved.statements)))
    result = restore(made, file, tmp_path)
    (app,) = (one for one in result.accounts if one.plan.account.name == "u_app")
    assert app.refused
    assert result.exit_code == 49
    hashes = [piece for one in saved.statements if one.header.password for piece in (one.sql.split("'")[3:4] or [""])]
    shown = json.dumps(to_dict(result, file, dry_run=False))
    assert not [piece for piece in hashes if len(piece) > 20 and piece[:20] in shown]


@pytest.mark.parametrize(
    ("version", "give", "take"),
    [
        ("mariadb:11.8", "GRANT SELECT ON `u_public`.* TO PUBLIC", "REVOKE SELECT ON `u_public`.* FROM PUBLIC"),
        ("postgres:17", "ALTER ROLE ALL SET \"statement_timeout\" TO '1h'", "ALTER ROLE ALL RESET statement_timeout"),
    ],
)
def test_what_belongs_to_everybody_is_added_where_that_is_asked(
    servers: Callable[[str], Server], tmp_path: Path, version: str, give: str, take: str
) -> None:
    session = session_for(rig(servers(version), ()), tmp_path)

    def there() -> bool:
        found = session.engine.accounts().read().file
        return give in texts(one for one in found.statements if one.header.account == EVERYONE)

    execute(servers(version), give)
    try:
        file = session.engine.accounts().read().file
        assert there()
        execute(servers(version), take)
        everyone = [one for one in plan_users(session, file, Wish()).plan.accounts if one.account == EVERYONE]
        assert [(one.action, one.steps) for one in everyone] == [(Action.SKIP, ())]
        assert restore_users(session, plan_users(session, file, Wish(only=("PUBLIC",)))).exit_code == 0
        assert there()
    finally:
        execute(servers(version), take)


def test_an_older_server_gets_what_it_knows(servers: Callable[[str], Server], tmp_path: Path) -> None:
    with scene(rig(servers("postgres:17"), ())) as newer:
        saved = newer.file()
    older = Scene(rig(servers("postgres:15"), ()))
    planned = plan_users(session_for(older.one, tmp_path), saved, Wish(phases=Phases.ACCOUNTS))
    assert any("WITH INHERIT FALSE" in note for note in planned.notes)
    try:
        result = restore_users(session_for(older.one, tmp_path), planned)
        granted = "SELECT count(*) FROM pg_auth_members WHERE member::regrole::text ~ '^u_'"
        assert older.server.sql(granted) == [(4,)]
    finally:
        older.drop_accounts()
    assert [statement for statement, _ in refused(result)] == [
        'GRANT "u_readers" TO "u_locked" WITH ADMIN TRUE, INHERIT FALSE, SET TRUE'
    ]


def test_a_file_of_the_other_family_is_refused(servers: Callable[[str], Server], tmp_path: Path) -> None:
    file = UsersFile({"product": "MySQL", "version": "9"}, ())
    with pytest.raises(WrongServer, match="the server is PostgreSQL"):
        plan_users(session_for(rig(servers("postgres:17"), ()), tmp_path), file, Wish())


def test_a_plugin_that_the_target_lacks_is_named_in_the_plan(servers: Callable[[str], Server], tmp_path: Path) -> None:
    text = b"".join(rig(servers("mariadb:11.8"), ()).engine.users().chunks).decode()
    session = session_for(rig(servers("mysql:9.7"), ()), tmp_path)
    file = parse(text, source="test")
    old = AccountKey("u_old", "%")
    odd = Statement(
        replace(file.statements[0].header, account=AccountKey("u_odd", "%"), plugins=("ed25519",)),
        "CREATE USER IF NOT EXISTS `u_odd`@`%`",
    )
    native = Statement(
        replace(odd.header, account=old, plugins=("mysql_native_password",)), "CREATE USER IF NOT EXISTS `u_old`@`%`"
    )
    planned = plan_users(session, replace(file, statements=(odd, native)), Wish())
    assert [one.action for one in planned.plan.accounts] == [Action.UNSUPPORTED] * 2
    assert "'mysql_native_password'" in planned.plan.accounts[1].reason
    assert any("the file is of MariaDB" in note for note in planned.notes)
    assert restore_users(session, planned).exit_code == 49

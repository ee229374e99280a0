"""Accounts come back with no more rights than they had, and with no fewer: what servers keep in unusual places."""

from collections.abc import Callable
from pathlib import Path

from tests.fixtures.accounts import execute, session_for
from tests.fixtures.engine_rig import Rig, rig
from tests.servers import Server

from vya_backupdb.domain.users_file import UsersFile
from vya_backupdb.domain.users_plan import Action, OnExisting, Wish
from vya_backupdb.dumper.accounts import UsersResult, plan_users, restore_users
from vya_backupdb.dumper.restore_users import needed_accounts


def restore(one: Rig, file: UsersFile, root: Path, *only: str, **wish: object) -> UsersResult:
    """Restore the accounts named; the server takes every statement."""
    session = session_for(one, root)
    result = restore_users(session, plan_users(session, file, Wish(only=only, **wish)))  # type: ignore[arg-type]  # its fields
    assert [each.refused for each in result.accounts if each.refused] == []
    return result


def shown(server: Server, account: str) -> list[str]:
    """Return what the server itself says that an account may do."""
    return sorted(str(row[0]) for row in server.sql(f"SHOW GRANTS FOR {account}"))


def test_what_is_taken_back_for_one_database_stays_taken_back(servers: Callable[[str], Server], tmp_path: Path) -> None:
    server = servers("mysql:9.7")
    one = rig(server, ())
    try:
        execute(
            server, "SET GLOBAL partial_revokes = ON", "CREATE USER u_part@'%'",
            "GRANT SELECT, INSERT, UPDATE ON *.* TO u_part@'%'", "REVOKE SELECT, INSERT ON u_one.* FROM u_part@'%'",
            "REVOKE SELECT ON u_two.* FROM u_part@'%'",
        )  # fmt: skip
        file, before = one.engine.accounts().read().file, shown(server, "u_part@'%'")
        execute(server, "DROP USER u_part@'%'", "SET GLOBAL partial_revokes = OFF")
        (row,) = restore(one, file, tmp_path, "u_part").accounts
        assert (row.plan.action, row.done, row.failed) == (Action.UNSUPPORTED, 0, True)
        assert "partial_revokes = ON" in row.plan.reason
        execute(server, "SET GLOBAL partial_revokes = ON")
        restore(one, file, tmp_path, "u_part")
        assert shown(server, "u_part@'%'") == before
        # a grant for all databases, made again, lifts what limits it in those that were not asked for
        execute(server, "REVOKE UPDATE ON u_other.* FROM u_part@'%'")
        limited = shown(server, "u_part@'%'")
        assert limited != before
        restore(one, file, tmp_path, "u_part", on_existing=OnExisting.REPLACE, databases=("u_one",))
        assert shown(server, "u_part@'%'") == limited
        restore(one, file, tmp_path, "u_part", on_existing=OnExisting.REPLACE)
        assert shown(server, "u_part@'%'") == before
    finally:
        execute(server, "DROP USER IF EXISTS u_part@'%'", "SET GLOBAL partial_revokes = OFF")


def test_a_certificate_of_nobody_in_particular(servers: Callable[[str], Server], tmp_path: Path) -> None:
    """The servers show ``REQUIRE`` with nothing after it, which none of them reads."""
    for version in ("mysql:9.7", "mariadb:11.8"):
        server = servers(version)
        one = rig(server, ())
        execute(server, "CREATE USER u_any@'%' REQUIRE SUBJECT ''")
        try:
            file = one.engine.accounts().read().file
            before = server.sql("SELECT ssl_type, x509_subject FROM mysql.user WHERE User = 'u_any'")
            execute(server, "DROP USER u_any@'%'")
            restore(one, file, tmp_path, "u_any")
            assert server.sql("SELECT ssl_type, x509_subject FROM mysql.user WHERE User = 'u_any'") == before
        finally:
            execute(server, "DROP USER IF EXISTS u_any@'%'")


def test_an_account_that_cannot_be_told_takes_no_other_with_it(servers: Callable[[str], Server]) -> None:
    """MariaDB keeps a name's last space in memory and not in its table; one dropped meanwhile looks the same."""
    server = servers("mariadb:11.8")
    execute(server, "CREATE USER `u_odd `@`%`", "CREATE USER u_even@'%'")
    try:
        read = rig(server, ()).engine.accounts().read()
    finally:
        execute(server, "DROP USER `u_odd `@`%`", "DROP USER u_even@'%'")
    names = {one.name for one in read.file.accounts()}
    assert "u_even" in names
    assert not any(name.startswith("u_odd") for name in names)
    assert [
        warning for warning in read.warnings if "'u_odd@%' is left out" in warning and "FLUSH PRIVILEGES" in warning
    ]


def test_a_library_may_be_used_again(servers: Callable[[str], Server], tmp_path: Path) -> None:
    server = servers("mysql:9.7")
    one = rig(server, ())
    try:
        execute(
            server, "CREATE DATABASE u_lib", "CREATE LIBRARY u_lib.lib LANGUAGE JAVASCRIPT AS 'export function a() {}'",
            "CREATE USER u_user@'%'", "GRANT EXECUTE ON LIBRARY u_lib.lib TO u_user@'%'",
        )  # fmt: skip
        read = one.engine.accounts().read()
        assert read.warnings == ()
        execute(server, "REVOKE EXECUTE ON LIBRARY u_lib.lib FROM u_user@'%'", "DROP USER u_user@'%'")
        restore(one, read.file, tmp_path, "u_user")
        assert "GRANT EXECUTE ON LIBRARY `u_lib`.`lib` TO `u_user`@`%`" in shown(server, "u_user@'%'")
    finally:
        execute(server, "DROP USER IF EXISTS u_user@'%'", "DROP DATABASE IF EXISTS u_lib")


_MEMBERS = (
    "SELECT r.rolname, m.rolname, bool_or(a.admin_option), bool_or(a.inherit_option), bool_or(a.set_option)"
    " FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member"
    " WHERE r.rolname ~ '^u_' GROUP BY 1, 2 ORDER BY 1, 2"
)
_PREDEFINED = (
    "SELECT COALESCE(paracl::text, '') || COALESCE((SELECT datacl::text FROM pg_database WHERE datname = 'u_db'), '')"
    " FROM pg_parameter_acl WHERE parname = 'log_min_duration_statement'"
)
_DROP = (
    "DROP OWNED BY u_boss, u_member, u_group CASCADE", "DROP ROLE u_boss, u_member, u_group",
    "REVOKE SET ON PARAMETER log_min_duration_statement FROM pg_monitor",
    "REVOKE CONNECT ON DATABASE u_db FROM pg_read_all_data",
)  # fmt: skip


def test_grants_of_several_superusers_and_to_the_servers_own_roles(
    servers: Callable[[str], Server], tmp_path: Path
) -> None:
    """Each grantor's options count by themselves; predefined roles (``pg_*``) may have been given something."""
    server = servers("postgres:17")
    one = rig(server, ())
    execute(
        server, "CREATE DATABASE u_db", "CREATE ROLE u_boss SUPERUSER", "CREATE ROLE u_group", "CREATE ROLE u_member",
        "GRANT u_group TO u_boss WITH ADMIN TRUE", "GRANT u_group TO u_member WITH INHERIT TRUE, SET TRUE",
        "GRANT u_group TO u_member WITH ADMIN TRUE, INHERIT FALSE, SET FALSE GRANTED BY u_boss",
        "GRANT u_group TO pg_monitor", "GRANT CONNECT ON DATABASE u_db TO pg_read_all_data",
        "GRANT SET ON PARAMETER log_min_duration_statement TO pg_monitor",
    )  # fmt: skip
    try:
        read, before, given = one.engine.accounts().read(), server.sql(_MEMBERS), server.sql(_PREDEFINED)
        assert ("u_group", "u_member", True, True, True) in before
        assert not {each.name for each in read.info().names} & {"pg_monitor", "pg_read_all_data"}
        assert needed_accounts(one.engine.accounts(), read.file, "u_db") == frozenset()
        execute(server, *_DROP)
        restore(one, read.file, tmp_path, "u_*")
        assert server.sql(_MEMBERS) == [row for row in before if row[1] != "pg_monitor"]
        session = session_for(one, tmp_path)
        planned = plan_users(session, read.file, Wish()).plan.accounts
        (skipped,) = (row for row in planned if row.account.name == "pg_monitor")
        assert (skipped.action, "--user" in skipped.reason) == (Action.SKIP, True)
        restore(one, read.file, tmp_path, "pg_*")
        assert (server.sql(_MEMBERS), server.sql(_PREDEFINED)) == (before, given)
    finally:
        execute(server, *_DROP, "DROP DATABASE u_db")


def test_what_one_gave_another_is_taken_back_in_its_giver_s_name(
    servers: Callable[[str], Server], tmp_path: Path
) -> None:
    """A REVOKE by another than the grantor does nothing, and does not fail; who gave is to lose it last."""
    server = servers("postgres:17")
    one = rig(server, ())
    try:
        execute(
            server, "CREATE DATABASE u_chain", "CREATE ROLE u_in", "CREATE ROLE u_b", 'CREATE ROLE "u_a$vya$"',
            "CREATE ROLE u_c",
        )  # fmt: skip
        file = one.engine.accounts().read().file
        execute(
            server, "GRANT u_in TO u_b WITH ADMIN TRUE", 'GRANT u_in TO "u_a$vya$" WITH ADMIN TRUE GRANTED BY u_b',
            "GRANT CREATE ON DATABASE u_chain TO u_b WITH GRANT OPTION", "SET ROLE u_b",
            'GRANT CREATE ON DATABASE u_chain TO "u_a$vya$" WITH GRANT OPTION', 'SET ROLE "u_a$vya$"',
            "GRANT CREATE ON DATABASE u_chain TO u_c", "RESET ROLE",
            "GRANT SET ON PARAMETER my.own TO u_b WITH GRANT OPTION", "SET ROLE u_b",
            "GRANT SET ON PARAMETER my.own TO u_c", "RESET ROLE",
        )  # fmt: skip
        restore(one, file, tmp_path, "u_*", on_existing=OnExisting.REPLACE)
        (rights,) = server.sql(
            "SELECT has_database_privilege('u_a$vya$', 'u_chain', 'CREATE'), has_database_privilege('u_c', 'u_chain',"
            " 'CREATE'), has_parameter_privilege('u_c', 'my.own', 'SET'), pg_has_role('u_a$vya$', 'u_in', 'MEMBER')"
        )
        assert rights == (False, False, False, False)
    finally:
        execute(
            server, 'DROP OWNED BY u_c, "u_a$vya$", u_b CASCADE', "DROP DATABASE u_chain",
            'DROP ROLE u_c, "u_a$vya$", u_b, u_in',
        )  # fmt: skip

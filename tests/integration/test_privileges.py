"""The statements of docs/privileges.md are enough for a complete backup and a complete restore, and each is needed."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clients import shipped_clients
from tests.fixtures.engine_rig import Rig, rig
from tests.fixtures.scratch_databases import (
    MYSQL_EVERYTHING,
    POSTGRESQL_EVERYTHING,
    Make,
    run,
)
from tests.servers import Server

from vya_backupdb.domain.errors import PrivilegeMissing

PAGE = (Path(__file__).parents[2] / "docs" / "privileges.md").read_text()
SERVERS = ("postgres:15", "postgres:17", "mariadb:10.11", "mariadb:11.8", "mysql:9.7")
PRODUCTS = {"postgres": "PostgreSQL", "mariadb": "MariaDB", "mysql": "MySQL"}
MY_RIGHTS = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "PROCESS", "BACKUP_ADMIN")
#: Each of PostgreSQL's with the statement that takes it away, and what is said of its absence.
PG_RIGHTS = {
    "REVOKE pg_read_all_data FROM backup": "GRANT pg_read_all_data",
    "ALTER ROLE backup NOBYPASSRLS": "BYPASSRLS",
    "ALTER ROLE backup RESET lo_compat_privileges": "lo_compat_privileges",
}
PASSWORD = "change-me"


def statements(server: Server, account: str) -> list[str]:
    """Return the page's statements for an account on the product of `server`."""
    section = PAGE.split(f"\n## {PRODUCTS[server.product]}\n")[1].split("\n## ")[0]
    block = section.split(f"### {account} account\n")[1].split("```sql\n")[1].split("```")[0]
    return [line.strip().removesuffix(";") for line in block.splitlines() if line.strip()]


@pytest.fixture(params=SERVERS)
def admin(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Rig:
    """Each server, as its administrator."""
    return rig(servers(request.param), shipped_clients())


@pytest.fixture
def accounts(admin: Rig) -> Iterator[dict[str, Rig]]:
    """The two accounts of the page, and nothing more than it gives them."""
    server = admin.server
    for account in ("Backup", "Restore"):
        for statement in statements(server, account):
            server.sql(statement)
    yield {name: rig(server, shipped_clients(), user=name, password=PASSWORD) for name in ("backup", "restore")}
    for name in ("backup", "restore"):
        server.sql(f"DROP ROLE {name}" if server.product == "postgres" else f"DROP USER {name}")


def everything(admin: Rig, make: Make, name: str) -> str:
    """Make a database that holds all kinds of objects, some of them closed to the public."""
    if admin.server.product == "postgres":
        more = "CREATE SCHEMA closed; CREATE TABLE closed.t AS SELECT 1 AS a; CREATE SEQUENCE closed.s;"
        return make(admin.server, name, POSTGRESQL_EVERYTHING + more)
    return make(admin.server, name, *MYSQL_EVERYTHING)


def users_text(one: Rig) -> bytes:
    """Return the users file."""
    return b"".join(one.engine.users().chunks)


def test_the_statements_are_enough(admin: Rig, accounts: dict[str, Rig], make: Make) -> None:
    source, target = everything(admin, make, "priv"), make(admin.server, "priv again", exists=False)
    backup, restore = accounts["backup"], accounts["restore"]
    assert backup.engine.preflight() == ()
    assert backup.engine.inspect(source) == ()
    by_admin, dumped = admin.dump(source), backup.dump(source)
    assert dumped.snapshot.warnings == ()
    assert dumped.comparable == by_admin.comparable
    assert dumped.snapshot.settings == by_admin.snapshot.settings
    assert restore.restore(dumped.sql, target, dumped.snapshot.settings) == ()
    again = admin.dump(target)
    assert again.comparable == by_admin.comparable
    assert again.scan == by_admin.scan
    assert again.snapshot.schema_info == by_admin.snapshot.schema_info
    assert admin.engine.count(target).by_table == admin.engine.count(source).by_table


def test_accounts_are_saved_and_made_again(admin: Rig, accounts: dict[str, Rig]) -> None:
    server, is_pg = admin.server, admin.server.product == "postgres"
    made = (
        "CREATE ROLE vanished LOGIN CREATEDB PASSWORD 'its own'" if is_pg else "CREATE USER vanished IDENTIFIED BY 'x'"
    )
    gone = "DROP ROLE vanished" if is_pg else "DROP USER vanished"
    server.sql(made)
    if not is_pg:
        server.sql("GRANT SELECT, RELOAD ON *.* TO vanished WITH GRANT OPTION")
    try:
        dump = accounts["backup"].engine.users()
        text = b"".join(dump.chunks)
        assert dump.info.passwords
        assert dump.warnings == ()
        assert text == users_text(admin)
        server.sql(gone)
        with (
            contextlib.closing(server.connect(user="restore", password=PASSWORD)) as session,
            session.cursor() as cursor,
        ):
            cursor.execute(text.decode())
            while cursor.nextset():
                pass
        assert users_text(admin) == text
    finally:
        server.sql(gone)


def test_each_right_that_is_missing_is_named(admin: Rig, accounts: dict[str, Rig], make: Make) -> None:
    name, backup = everything(admin, make, "one less"), accounts["backup"]
    if admin.server.product == "postgres":
        for take, named in PG_RIGHTS.items():
            admin.server.sql(take)
            found = backup.engine.inspect(name)
            assert any(named in one.message and one.blocking for one in found), take
            for statement in statements(admin.server, "Backup")[1:]:
                admin.server.sql(statement)
        assert backup.engine.inspect(name) == ()
        return
    granted = statements(admin.server, "Backup")[1]
    rights = [right for right in MY_RIGHTS if re.search(rf"\b{right}\b", granted)]
    assert set(rights) == set(MY_RIGHTS) - ({"BACKUP_ADMIN"} if admin.server.product == "mariadb" else set())
    for right in rights:
        admin.server.sql(f"REVOKE {right} ON *.* FROM backup")
        found = (*backup.engine.preflight(), *backup.engine.inspect(name))
        saying = [one for one in found if right in one.message]
        assert saying, right
        if right in ("PROCESS", "BACKUP_ADMIN"):
            assert not any(one.blocking for one in found)
            assert backup.dump(name).comparable == admin.dump(name).comparable
        else:
            assert any(one.blocking for one in saying)
        run(admin.server, name, granted)
    assert backup.engine.inspect(name) == ()


def test_without_the_right_to_read_accounts_the_users_file_fails(admin: Rig, accounts: dict[str, Rig]) -> None:
    if admin.server.product == "postgres":
        admin.server.sql("REVOKE pg_read_all_data FROM backup")
        (warning,) = accounts["backup"].engine.users().warnings
        assert "without their passwords" in warning
        return
    admin.server.sql("REVOKE SELECT ON *.* FROM backup")
    with pytest.raises(PrivilegeMissing, match="accounts"):
        accounts["backup"].engine.users()

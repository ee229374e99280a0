"""Users files: loaded on an empty server they make the same accounts, and they say when passwords are missing."""

import contextlib
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from tests.clients import shipped_clients
from tests.fixtures.engine_rig import Rig, rig
from tests.servers import Server

from vya_backupdb.domain.errors import PrivilegeMissing
from vya_backupdb.dumper.process import Ended
from vya_backupdb.engines.base import UsersDump

POSTGRESQL = r"""
CREATE ROLE readers NOINHERIT; CREATE ROLE "odd ""role""; --";
CREATE ROLE app LOGIN PASSWORD 'p''w\' CONNECTION LIMIT 5 VALID UNTIL '2030-01-02 03:04:05+02' CREATEDB;
CREATE ROLE boss LOGIN SUPERUSER REPLICATION BYPASSRLS PASSWORD 'x'; CREATE ROLE maker CREATEROLE LOGIN;
CREATE ROLE "$vya$"; CREATE ROLE "$vya_$ END $";
GRANT readers TO app WITH ADMIN OPTION; GRANT pg_monitor TO app; GRANT app TO boss;
SET ROLE app; GRANT readers TO "odd ""role""; --" ; RESET ROLE;
ALTER ROLE app SET search_path = "$user", "odd, path"; ALTER ROLE app SET work_mem = '9MB';
ALTER ROLE boss SET my.setting = 'it''s \ "q"'; ALTER ROLE ALL SET statement_timeout = '1h';
COMMENT ON ROLE app IS 'it''s
an app';
"""
MYSQL_BOTH = (
    "CREATE DATABASE shop", "CREATE TABLE shop.item (id int, name text)",
    "CREATE PROCEDURE shop.act() SELECT 1",
    "CREATE ROLE readers", "CREATE ROLE `odd``role`",
    "CREATE USER app@'%' IDENTIFIED BY 'p''w\\\\'",
    "CREATE USER `o'd\"d u``ser`@`10.%` IDENTIFIED BY 'x' ACCOUNT LOCK",
    "CREATE USER tls@localhost IDENTIFIED BY 'y' REQUIRE SUBJECT '/CN=its' WITH MAX_QUERIES_PER_HOUR 7",
    "CREATE USER stale@'%' IDENTIFIED BY 'z' PASSWORD EXPIRE",
    "GRANT SELECT, PROCESS ON *.* TO app@'%' WITH GRANT OPTION",
    "GRANT ALL ON `sh\\_op`.* TO app@'%'", "GRANT SELECT ON shop.* TO readers", "GRANT readers TO `odd``role`",
    "GRANT readers TO app@'%' WITH ADMIN OPTION", "GRANT `odd``role` TO `o'd\"d u``ser`@`10.%`",
    "GRANT SELECT (id), INSERT ON shop.item TO app@'%'", "GRANT EXECUTE ON PROCEDURE shop.act TO readers",
)  # fmt: skip
DEFAULT_ROLE = {"mariadb": "SET DEFAULT ROLE readers FOR app@'%'", "mysql": "ALTER USER app@'%' DEFAULT ROLE readers"}
ONLY = {
    "mariadb": (
        "CREATE USER two@'%' IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('x')",
        "GRANT SELECT ON shop.* TO PUBLIC",
        "GRANT PROXY ON tls@localhost TO app@'%' WITH GRANT OPTION",
    ),
    "mysql": (
        "CREATE USER two@'%' IDENTIFIED BY 'x' FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 2",
        "ALTER USER two@'%' ATTRIBUTE '{\"note\": \"DEFAULT ROLE `a`@`b` it''s\"}'",
        "GRANT BACKUP_ADMIN ON *.* TO app@'%'",
    ),
}


def text_of(dump: UsersDump) -> bytes:
    """Return the whole file."""
    return b"".join(dump.chunks)


def comparable(text: bytes) -> list[bytes]:
    """Return the lines without the superuser's, whose password is another one on every server."""
    return [
        line for line in text.splitlines() if b'CREATE ROLE "postgres"' not in line and b"EXISTS `root`" not in line
    ]


def statements(server: Server, *texts: str) -> None:
    """Execute statements one at a time."""
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        for text in texts:
            cursor.execute(text)


def load(one: Rig, text: bytes) -> None:
    """Load a users file as a person would, by the client into the maintenance database."""
    ended = by_hand(one, text)
    assert ended.ok, ended.stderr


def by_hand(one: Rig, text: bytes) -> Ended:
    """Give a users file to the client, and return what it said."""
    return one.by_hand(text, "postgres" if one.server.product == "postgres" else "mysql")


def complete(one: Rig, text: bytes) -> bool:
    """Whether the file's scanner finds its end."""
    scanner = one.engine.users_scanner()
    scanner.feed(text)
    return scanner.result().complete


@pytest.mark.parametrize("version", ["postgres:15", "postgres:18"])
def test_postgresql_roles_come_back(servers: Any, version: str) -> None:
    with servers.own(version) as old, servers.own(version) as new:
        extra = "GRANT SET ON PARAMETER my.knob TO app; GRANT ALTER SYSTEM ON PARAMETER work_mem TO app;"
        if version != "postgres:15":
            extra += "GRANT readers TO maker WITH INHERIT FALSE, SET TRUE, ADMIN TRUE; SET ROLE maker;"
            extra += 'GRANT readers TO "odd ""role""; --" WITH ADMIN FALSE, INHERIT TRUE, SET FALSE; RESET ROLE;'
        old.sql(POSTGRESQL + extra)
        source, target = rig(old, shipped_clients()), rig(new, shipped_clients())
        dump = source.engine.users()
        text = text_of(dump)
        assert (dump.info.accounts, dump.info.roles, dump.info.passwords) == (4, 4, True)
        assert dump.warnings == ()
        assert complete(source, text)
        assert not complete(source, text[:-1])
        load(target, text)
        assert comparable(text_of(target.engine.users())) == comparable(text)
        load(target, text)  # again: nothing is in its way
        with contextlib.closing(new.connect(user="app", password="p'w\\")) as connection:
            assert connection.execute("SHOW search_path").fetchone() == ('"$user", "odd, path"',)


def test_the_target_keeps_the_password_of_its_own_superuser(servers: Any) -> None:
    with servers.own("postgres:17", password="old-secret") as old, servers.own("postgres:17", password="new") as new:
        text = text_of(rig(old, ()).engine.users())
        load(rig(new, shipped_clients()), text)
        rig(new, ()).engine.connect_check()
        with pytest.raises(psycopg.OperationalError):
            new.connect(password="old-secret")


def test_the_bootstrap_superuser_is_made_only_where_it_is_missing(servers: Callable[[str], Server]) -> None:
    text = text_of(rig(servers("postgres:17"), ()).engine.users())
    assert b'BEGIN CREATE ROLE "postgres"; ALTER ROLE "postgres" WITH SUPERUSER' in text
    assert b'\nALTER ROLE "postgres"' not in text


def test_without_pg_authid_the_passwords_are_said_to_be_missing(servers: Callable[[str], Server]) -> None:
    server = servers("postgres:17")
    server.sql("CREATE ROLE weak LOGIN PASSWORD 'pw'")
    try:
        dump = rig(server, (), user="weak", password="pw").engine.users()
    finally:
        server.sql("DROP ROLE weak")
    assert not dump.info.passwords
    assert "without their passwords" in dump.warnings[0]
    assert b'ALTER ROLE "weak" WITH NOSUPERUSER' in text_of(dump)
    assert b"PASSWORD" not in text_of(dump)


@pytest.mark.parametrize("version", ["mariadb:10.11", "mariadb:11.8", "mysql:9.7"])
def test_mysql_accounts_come_back(servers: Any, version: str) -> None:
    with servers.own(version) as old, servers.own(version) as new:
        product = old.product
        statements(old, *MYSQL_BOTH, DEFAULT_ROLE[product], *ONLY[product])
        source, target = rig(old, shipped_clients()), rig(new, shipped_clients())
        dump = source.engine.users()
        text = text_of(dump)
        assert (dump.info.accounts, dump.info.roles, dump.info.passwords) == (7, 2, True)
        assert complete(source, text)
        # first the accounts; what hangs on tables fails as long as there are none
        assert re.search(r"item|act", by_hand(target, text).stderr)
        with contextlib.closing(new.connect(user="app", password="p'w\\")) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_ROLE()")
            assert "readers" in str(cursor.fetchone())
        statements(new, *MYSQL_BOTH[:3])
        load(target, text)
        # the server lists grants in an order of its own
        assert set(comparable(text_of(target.engine.users()))) == set(comparable(text))


@pytest.mark.parametrize("version", ["mariadb:11.8", "mysql:9.7"])
def test_an_account_that_exists_keeps_its_password(servers: Any, version: str) -> None:
    with servers.own(version, password="old-secret") as old, servers.own(version, password="new") as new:
        text = text_of(rig(old, ()).engine.users())
        load(rig(new, shipped_clients()), text)
        rig(new, ()).engine.connect_check()


def test_missing_rights_are_named(servers: Callable[[str], Server]) -> None:
    server = servers("mysql:9.7")
    server.sql("CREATE USER weak IDENTIFIED BY 'pw'; GRANT SELECT ON mysql.user TO weak")
    try:
        with pytest.raises(PrivilegeMissing) as caught:
            rig(server, (), user="weak", password="pw").engine.users()
    finally:
        server.sql("DROP USER weak")
    assert "SELECT ON mysql.*" in caught.value.hint


def test_an_account_that_the_server_does_not_quote_is_left_out_loudly(servers: Callable[[str], Server]) -> None:
    """MariaDB writes the subject of a certificate as it is: loaded, its quote would swallow the statements after it."""
    server = servers("mariadb:11.8")
    server.sql("CREATE USER odd@localhost IDENTIFIED BY 'y' REQUIRE SUBJECT '/CN=it''s'")
    try:
        dump = rig(server, shipped_clients()).engine.users()
        load(rig(server, shipped_clients()), text_of(dump))
    finally:
        server.sql("DROP USER odd@localhost")
    assert "`odd`@`localhost`" in dump.warnings[0]

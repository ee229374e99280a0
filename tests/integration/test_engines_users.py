"""Users files by hand: the server's own client loads one, twice, and the target keeps its own administrator."""

import re
from collections.abc import Callable

import pytest
from tests.fixtures.accounts import scene, texts
from tests.fixtures.engine_rig import rig
from tests.servers import Server

from vya_backupdb.domain.users_file import AccountKey, parse
from vya_backupdb.engines.base import UsersDump


def text_of(dump: UsersDump) -> bytes:
    """Return the whole file."""
    return b"".join(dump.chunks)


def with_another_administrator(text: bytes) -> bytes:
    """Return the file with a hash of the server's own administrator that is not this server's."""
    lines = text.split(b"\n")
    for number, line in enumerate(lines):
        if b'CREATE ROLE "postgres"' in line or b"EXISTS `root`" in line:
            hashes = rb"(\$4096:|PASSWORD '\*\w{32}|AS 0x[0-9A-F]{100})[\w+/]{8}"
            lines[number] = re.sub(hashes, rb"\g<1>41414141", line)
    assert lines != text.split(b"\n")
    return b"\n".join(lines)


@pytest.mark.parametrize("version", ["mariadb:11.8", "mysql:9.7", "postgres:17"])
def test_a_users_file_is_loaded_by_hand_and_again(servers: Callable[[str], Server], version: str) -> None:
    with scene(rig(servers(version), ())) as made:
        one, saved = made.one, made.file()
        dump = one.engine.users()
        text = text_of(dump)
        assert dump.info.accounts >= 20
        assert {"u_app", "u_readers", "\n-- @account {}" if made.server.product == "postgres" else "new\nline"} <= {
            each.name for each in dump.info.names
        }
        scanner = one.engine.users_scanner()
        scanner.feed(text[:-1])
        assert not scanner.result().complete
        scanner = one.engine.users_scanner()
        scanner.feed(text)
        assert scanner.result().complete
        made.drop_accounts()
        for _attempt in ("first", "again"):
            ended = one.by_hand(with_another_administrator(text), "postgres" if version == "postgres:17" else "mysql")
            assert ended.ok, ended.stderr
            assert texts(made.file()) == texts(saved)
        rig(made.server, ()).engine.connect_check()


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


def test_the_subject_of_a_certificate_is_quoted_by_us(servers: Callable[[str], Server]) -> None:
    """MySQL, and MariaDB before 11.8, show it as it is: its quote would swallow the statements after it."""
    for version in ("mysql:9.7", "mariadb:10.11"):
        server = servers(version)
        conjunction = "AND" if version == "mysql:9.7" else ""
        made = f"REQUIRE SUBJECT '/CN=it''s; \\\\' {conjunction} ISSUER '/C=\"a\"'"
        server.sql(f"CREATE USER odd@localhost IDENTIFIED BY 'y' {made}")
        try:
            file = parse(text_of(rig(server, ()).engine.users()).decode(), source="test")
        finally:
            server.sql("DROP USER odd@localhost")
        (sql,) = (one.sql for one in file.statements if one.header.account == AccountKey("odd", "localhost"))
        assert r"REQUIRE SUBJECT '/CN=it''s; \\' AND ISSUER '/C=" in sql
        server.sql(sql)
        rows = server.sql("SELECT x509_subject FROM mysql.user WHERE User = 'odd'")
        server.sql("DROP USER odd@localhost")
        assert rows in ([(b"/CN=it's; \\",)], [("/CN=it's; \\",)])

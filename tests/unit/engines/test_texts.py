"""The pure parts of the engines: option files, access control items, names, stderr, TLS words, the omitted line."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.domain.config import DatabaseConfig, DatabaseType
from vya_backupdb.domain.errors import ConfigurationError, CredentialsUnreadable
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.engines import loader, mysql, options, pg_memberships, postgresql, registry, stderr, tls
from vya_backupdb.engines.base import Command, DumpPlan, Product, SecretFile, ServerInfo
from vya_backupdb.engines.clients import Client
from vya_backupdb.engines.my_catalog import file_name_pattern
from vya_backupdb.engines.my_session import product_of
from vya_backupdb.engines.pg_acl import AclItem, parse_acl

CA = "/etc/ca.pem"


def test_a_passfile_has_one_line_for_everything() -> None:
    assert options.passfile("a:b\\c#'\"").content == b"*:*:*:*:a\\:b\\\\c#'\"\n"


def test_an_option_file_quotes_what_its_readers_would_take_apart() -> None:
    file = options.option_file({"user": "us#er", "password": ' a"b\\c\n\r\t\b# '})
    assert file.content == b'[client]\nuser="us#er"\npassword=" a\\"b\\\\c\\n\\r\\t\\b# "\n'
    assert "us#er" not in repr(file)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_no_password_leaves_its_line(password: str) -> None:
    lines = options.option_file({"password": password}).content.split(b"\n")
    assert len(lines) == 3
    inside = lines[1].removeprefix(b'password="')
    assert inside.endswith(b'"')
    assert b'"' not in inside[:-1].replace(b"\\\\", b"").replace(b'\\"', b"")


def test_what_no_file_can_carry_is_refused_by_the_fields_name() -> None:
    with pytest.raises(CredentialsUnreadable, match="username"):
        options.check_mysql("a\0", "b")
    with pytest.raises(CredentialsUnreadable, match="password"):
        options.check_mysql("a", "b\0")
    with pytest.raises(CredentialsUnreadable, match="too long"):
        options.check_mysql("a", "\n" * 2000)


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("=Tc/postgres", AclItem(None, (("TEMPORARY", False), ("CONNECT", False)))),
        ("app=CTc*/postgres", AclItem("app", (("CREATE", False), ("TEMPORARY", False), ("CONNECT", True)))),
        ('"a=b/c ""x"""=c/"o/w=ner"', AclItem('a=b/c "x"', (("CONNECT", False),))),
        ("=/postgres", AclItem(None, ())),
    ],
)
def test_access_control_items(text: str, item: AclItem) -> None:
    assert parse_acl(text) == item


def test_a_damaged_item_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="damaged"):
        parse_acl("nonsense")


@pytest.mark.parametrize(
    ("version", "product"),
    [
        ("10.11.19-MariaDB-0+deb12u1", "MariaDB"),
        ("5.5.5-10.4.2-mariadb", "MariaDB"),
        ("9.7.4-2", "MySQL"),
        ("26.7.0", "MySQL"),
    ],
)
def test_the_name_decides_not_the_number(version: str, product: Product) -> None:
    assert product_of(version) == product


@pytest.mark.parametrize(
    ("name", "stored", "other"),
    [
        ("plain_1", "plain_1", "plainx1"),
        ("a-b.c d", "a@002db@002ec@0020d", "a@002db@002ec@0020e"),
        ("caf\u00e9", "caf@0p", "caf"),
        ("\u6f22", "@6f22", "@6f22x"),
    ],
)
def test_innodb_names_of_databases(name: str, stored: str, other: str) -> None:
    assert re.fullmatch(file_name_pattern(name), stored)
    assert not re.fullmatch(file_name_pattern(name), other)


def test_locks_are_the_same_for_every_process_and_differ_by_name() -> None:
    keys = {postgresql.lock_key(name) for name in ("shop", "Shop", "", "x" * 500, "\ud800")}
    assert len(keys) == 5
    assert all(-(2**63) <= key < 2**63 for key in keys)
    assert all(len(mysql.lock_name(name)) <= 64 for name in ("shop", "x" * 500))


def test_a_line_of_stderr_is_harmless_only_as_a_whole() -> None:
    text = 'WARNING:  database "a" has a collation version mismatch\n\nodd secret thing\n'
    redact = Redactor(["secret"])
    assert stderr.unknown_lines(text, stderr.HARMLESS["postgresql"], redact) == ["odd [redacted] thing"]
    assert stderr.unknown_lines("x harmless y\n", ("harmless",), redact) == ["x harmless y"]


def test_a_failed_client_is_quoted_and_the_remedy_named() -> None:
    said = "pg_dump: error: query failed: ERROR:  permission denied for table t secret\n"
    error = stderr.dump_failure("pg_dump", "shop", 1, said, Redactor(["secret"]))
    assert "permission denied for table t [redacted]" in error.message
    assert "'shop'" in error.message
    assert "Grant" in error.hint
    killed = stderr.dump_failure("pg_dump", "shop", -9, "", Redactor())
    assert "killed by signal 9" in killed.message


def config(**values: object) -> DatabaseConfig:
    return DatabaseConfig.model_validate({"id": "a", "type": "mysql", "host": "db", **values})


def client(product: Product) -> Client:
    return Client("/bin/x", "x", product, (1,))


@pytest.mark.parametrize(
    ("mode", "mariadb", "oracle"),
    [
        ("disable", ("--skip-ssl",), ("--ssl-mode=DISABLED", "--get-server-public-key")),
        ("require", ("--ssl", "--skip-ssl-verify-server-cert"), ("--ssl-mode=REQUIRED",)),
        (
            "verify-full",
            ("--ssl", "--ssl-verify-server-cert", f"--ssl-ca={CA}"),
            ("--ssl-mode=VERIFY_IDENTITY", f"--ssl-ca={CA}"),
        ),
    ],
)
def test_tls_modes_in_the_clients_words(mode: str, mariadb: tuple[str, ...], oracle: tuple[str, ...]) -> None:
    wanted = config(ssl_mode=mode, ssl_ca_cert=CA)
    assert tls.client_options(wanted, client("MariaDB")) == mariadb
    assert tls.client_options(wanted, client("MySQL")) == oracle


def test_a_mode_that_a_client_lacks_is_refused() -> None:
    wanted = config(ssl_mode="verify-ca", ssl_ca_cert=CA)
    assert tls.client_options(wanted, client("MySQL")) == ("--ssl-mode=VERIFY_CA", f"--ssl-ca={CA}")
    with pytest.raises(ConfigurationError, match="verify-ca"):
        tls.client_options(wanted, client("MariaDB"))


def test_the_omitted_line_is_left_out_of_the_head_only() -> None:
    given: list[bytes] = []
    plan = DumpPlan(Command(("/bin/x",)), "x 1", b"SET a = 0;\n")
    take = plan.passing(given.append)
    take(b"head\nSET a = 0;\ntail SET a = 0;\n")
    take(b"SET a = 0;\n")
    assert given == [b"head\ntail SET a = 0;\n", b"SET a = 0;\n"]
    given.clear()
    DumpPlan(Command(("/bin/x",)), "x 1").passing(given.append)(b"SET a = 0;\n")
    assert given == [b"SET a = 0;\n"]


def test_secrets_have_no_text() -> None:
    command = Command(("/bin/x", SecretFile("passfile", b"hunter2")), {"PGPASSFILE": SecretFile("f", b"hunter2")})
    assert "hunter2" not in repr(command)


def test_a_grant_waits_until_its_grantor_may_give_it() -> None:
    def row(
        member: str, grantor: str, *, admin: bool = False, super_: bool = False, grants: int = 1
    ) -> dict[str, object]:
        granted = {"role": "r", "member": member, "grantor": grantor, "admin_option": admin}
        return {**granted, "by_superuser": super_, "by_bootstrap": grantor == "root", "grants": grants}

    rows = [row("c", "b"), row("b", "a", admin=True), row("a", "root", admin=True, super_=True), row("d", "gone"),
            row("e", "b", super_=True, grants=2), row("f", "b", super_=True)]  # fmt: skip
    ordered = list(pg_memberships.in_order(rows))
    assert [(one["member"], one["ordered"]) for one in ordered] == [
        ("a", False), ("f", False), ("b", True), ("c", True), ("e", True), ("d", False),
    ]  # fmt: skip


def test_every_kind_has_an_engine_and_scanners() -> None:
    for kind in DatabaseType:
        assert not registry.scanner_for(kind).result().complete
        assert not registry.scanner_for(kind, users=True).result().complete


def test_server_information_is_a_value() -> None:
    moment = datetime.now(UTC)
    assert ServerInfo("MySQL", "9", (9,), None, moment) == ServerInfo("MySQL", "9", (9,), None, moment)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("pg_dump: error: ... ERROR:  canceling statement due to conflict with recovery", "hot_standby_feedback"),
        ("pg_dump: error: ... ERROR:  canceling statement due to statement timeout", "timeouts.lock_seconds"),
        ("mysqldump: Couldn't execute ...: Lock wait timeout exceeded; try restarting (1205)", "timeouts.lock_seconds"),
    ],
)
def test_what_a_client_met_comes_with_its_remedy(said: str, remedy: str) -> None:
    assert remedy in stderr.dump_failure("client", "shop", 1, said, Redactor()).hint


@pytest.mark.parametrize(
    "statement",
    [
        b"CREATE SUBSCRIPTION \"s\" CONNECTION 'host=h password=secret' PUBLICATION \"p\" WITH (slot_name = 'x')",
        b'CREATE USER MAPPING FOR "u" SERVER "s" OPTIONS (\n    "password" \'it\'\'s secret\'\n)',
        b"CREATE TABLE `t` (a int) ENGINE=FEDERATED CONNECTION='mysql://u:se\\'secret@h/d/t'",
        b"CREATE SUBSCRIPTION s CONNECTION 'password=secret" + b"x" * 500,
        b"SET PASSWORD = E'a\\'secret'",
    ],
)
def test_the_head_of_a_statement_holds_no_string(statement: bytes) -> None:
    assert "secret" not in loader.head(statement)
    assert loader.head(statement).startswith(statement[:12].decode())

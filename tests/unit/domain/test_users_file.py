"""The users file's text: what is written is read again, whatever the names hold; and nothing of a literal is shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.domain.errors import BackupCorrupt
from vya_backupdb.domain.users_file import (
    EVERYONE,
    AccountKey,
    Header,
    Part,
    Phase,
    Statement,
    UsersFile,
    family_of,
    literals,
    mask,
    parse,
    render,
)

HASH = "SCRAM-SHA-256$4096:c2FsdA==$aGFzaA==:c2VydmVy"
PRODUCTS = st.sampled_from(["PostgreSQL", "MySQL", "MariaDB"])
HOSTILE = st.sampled_from(
    [
        "\n-- @account {}",
        "\n-- vya-backupdb users complete",
        "'",
        '"',
        "`",
        ";",
        "$vya$",
        "\\",
        "--",
        "/*",
        "é",
        "\u2028",
    ]
)
NAMES = st.lists(st.one_of(HOSTILE, st.text(st.characters(exclude_characters="\0", codec="utf-8"))), max_size=5).map(
    "".join
)


def statement(product: str, name: str, text: str) -> str:
    """Return a statement as the product's engine would write it."""
    if product == "PostgreSQL":
        quoted = '"' + name.replace('"', '""') + '"'
        doubled = text.replace("'", "''")
        literal = "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in doubled else f"'{doubled}'"
        return f"ALTER ROLE {quoted} PASSWORD {literal}"
    quoted = "`" + name.replace("`", "``") + "`"
    return f"CREATE USER {quoted}@`%` IDENTIFIED BY '" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def text_of(file: UsersFile) -> str:
    """Return the whole text."""
    return "".join(render(file, comments=["read\nme"], preamble=["SET NAMES utf8mb4", "SET sql_mode = ''"]))


@given(PRODUCTS, st.lists(st.tuples(NAMES, NAMES, st.booleans()), max_size=4), st.sampled_from(Phase))
def test_what_is_written_is_read_again(product: str, found: list[tuple[str, str, bool]], phase: Phase) -> None:
    statements = tuple(
        Statement(
            Header(AccountKey(name, text), "user", Part.GRANT, phase, AccountKey(text), name, secret, (text,)),
            statement(product, name, text),
        )
        for name, text, secret in found
    )
    file = UsersFile({"product": product, "version": "1\n2"}, statements, ({"name": "fast\n-- @head {}"},))
    text = text_of(file)
    read = parse(text, source="test")
    assert read.statements == statements
    assert read.tablespaces == file.tablespaces
    assert read.family == ("postgresql" if product == "PostgreSQL" else "mysql")
    assert text_of(UsersFile(read.head, read.statements, read.tablespaces)) == text


@given(PRODUCTS, NAMES, NAMES.filter(lambda text: len(text) > 3))
def test_no_literal_is_shown(product: str, name: str, text: str) -> None:
    family = family_of(product)
    masked = mask(statement(product, name, text), family)
    assert masked.replace(" E'…'", " '…'") == mask(statement(product, name, ""), family)
    assert len(list(literals(statement(product, name, text), family))) == 1


def test_a_literal_in_a_body_is_not_shown() -> None:
    sql = f'DO $vya$BEGIN CREATE ROLE "x"; ALTER ROLE "x" WITH LOGIN PASSWORD \'{HASH}\'; END$vya$'
    assert HASH not in mask(sql, "postgresql")
    assert list(literals(sql, "postgresql")) == [HASH]
    assert mask("CREATE USER `a`@`%` IDENTIFIED WITH 'x' AS 0x2441", "mysql").endswith("WITH '…' AS '…'")
    assert mask('CREATE USER `a` IDENTIFIED BY "pw"', "mysql") == "CREATE USER `a` IDENTIFIED BY '…'"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: text.rindex("\n--")], "closing line"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "format 2"),
        (lambda text: text.replace("-- @head", "-- head"), "'-- @head'"),
        (lambda text: text.replace('"part": "account"', '"part": "x"'), "'-- @account' line is damaged"),
        (lambda text: text.replace('-- @account {"name": "a"', '-- @account {"name": a'), "no JSON object"),
        (lambda text: text.replace("CREATE USER `a`", "CREATE USER `a"), "line 9 has no end"),
    ],
)
def test_a_damaged_file_is_refused(damage: object, words: str) -> None:
    file = UsersFile(
        {"product": "MySQL", "version": "9"}, (Statement(Header(AccountKey("a", "%")), "CREATE USER `a`"),)
    )
    assert callable(damage)
    with pytest.raises(BackupCorrupt, match=words):
        parse(damage(text_of(file)), source="users.sql")


def test_a_statement_has_no_text() -> None:
    assert HASH not in repr(Statement(Header(AccountKey("a")), f"ALTER ROLE a PASSWORD '{HASH}'"))


def test_headers_are_short_and_accounts_have_names() -> None:
    assert json.loads(Header(AccountKey("a")).to_json()) == {
        "name": "a", "kind": "user", "part": "account", "phase": "accounts",
    }  # fmt: skip
    assert [str(one) for one in (AccountKey("a"), AccountKey("a", "%"), AccountKey("", "%"), EVERYONE)] == [
        "a", "a@%", "@%", "PUBLIC",
    ]  # fmt: skip

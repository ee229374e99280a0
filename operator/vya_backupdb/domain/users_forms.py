"""Which statements a users file may hold: those that we write, each about the account that its header names. Pure.

A file may have been edited. Whatever is no such statement is never executed: it would do something else than restore
accounts, or do it to an account that the plan names as protected.
"""

import re
from typing import Final

from vya_backupdb.domain.users_file import EVERYONE, Header, Statement, UsersFile, mask

_SHOWN: Final = 120
#: What stands for an account that has nothing due, in the journal of a restore.
NOTHING: Final = "SELECT 1"

#: What a grant of MySQL or MariaDB says before the name of an object, as a regular expression.
MY_KINDS: Final = "TABLE|FUNCTION|PROCEDURE|PACKAGE|PACKAGE BODY|LIBRARY"

_TICKED: Final = r"`(?:[^`]|``)*+`"
_MY_NAME: Final = rf"{_TICKED}(?:@{_TICKED})?"
_MY_RIGHTS: Final = (
    rf"[A-Z](?:[\w ,()]|{_TICKED})*? ON (?:\*\.\*|{_TICKED}\.\*"
    rf"|(?:(?:{MY_KINDS}) )?{_TICKED}\.{_TICKED})"
)
_MY_CLAUSES: Final = r"(?: (?:\w+|'…'|-?\d+(?:\.\d+)?))*"
_MY_ACCOUNT: Final = rf"(?P<account>{_MY_NAME}|PUBLIC)"
_MY_FORMS: Final = (
    rf"(?:CREATE USER IF NOT EXISTS|ALTER USER) {_MY_ACCOUNT}{_MY_CLAUSES}",
    rf"CREATE ROLE IF NOT EXISTS {_MY_ACCOUNT}",
    rf"GRANT {_MY_RIGHTS} TO {_MY_ACCOUNT}(?: WITH GRANT OPTION)?",
    rf"REVOKE {_MY_RIGHTS} FROM {_MY_ACCOUNT}",
    rf"GRANT {_MY_NAME} TO {_MY_ACCOUNT}(?: WITH ADMIN OPTION)?",
    rf"GRANT PROXY ON {_MY_NAME} TO {_MY_ACCOUNT}(?: WITH GRANT OPTION)?",
    rf"SET DEFAULT ROLE {_MY_NAME}(?:, {_MY_NAME})* (?:TO|FOR) {_MY_ACCOUNT}",
)

_QUOTED: Final = r'"(?:[^"]|"")*+"'
_DOTTED: Final = rf"{_QUOTED}(?:\.{_QUOTED})*"
_TEXT: Final = r" *E?'…'"
_ATTRIBUTES: Final = rf"(?: (?:[A-Z]+|-?\d+|{_TEXT}))+"
_PG_ACCOUNT: Final = rf"(?P<account>{_QUOTED}|PUBLIC|ALL)"
_PG_FORMS: Final = (
    rf"ALTER ROLE {_PG_ACCOUNT} WITH{_ATTRIBUTES}",
    rf"COMMENT ON ROLE {_PG_ACCOUNT} IS{_TEXT}",
    rf"ALTER ROLE {_PG_ACCOUNT}(?: IN DATABASE {_QUOTED})? SET {_DOTTED} TO{_TEXT}(?:,{_TEXT})*",
    rf"GRANT {_QUOTED} TO {_PG_ACCOUNT}(?: WITH [A-Z ,]+)?(?: GRANTED BY {_QUOTED})?",
    rf"GRANT [A-Z ]+ ON (?:DATABASE {_QUOTED}|PARAMETER {_DOTTED}) TO {_PG_ACCOUNT}(?: WITH GRANT OPTION)?",
)
_BLOCK: Final = re.compile(
    r"DO (\$vya_*\$)BEGIN (?P<made>.*) EXCEPTION WHEN duplicate_object THEN NULL; END\1", re.DOTALL
)
_MADE: Final = rf"CREATE ROLE {_PG_ACCOUNT};(?: ALTER ROLE (?P=account) WITH{_ATTRIBUTES};)?"


def stray(file: UsersFile) -> Statement | None:
    """Return the first statement that is not of our forms, or is about another account than its header says."""
    ours = _is_mysql if file.family == "mysql" else _is_postgresql
    return next((one for one in file.statements if one.sql != NOTHING and not ours(one)), None)


def told(file: UsersFile, one: Statement) -> str:
    """Return what is said of a statement that `stray` found, without what may be a secret."""
    return f"account {str(one.header.account)!r}: {mask(one.sql, file.family)[:_SHOWN]!r}"


def _is_mysql(one: Statement) -> bool:
    return _fits(_MY_FORMS, mask(one.sql, "mysql"), _mysql_names(one.header))


def _is_postgresql(one: Statement) -> bool:
    names = ("PUBLIC", "ALL") if one.header.account == EVERYONE else (_quoted(one.header.account.name, '"'),)
    if block := _BLOCK.fullmatch(one.sql):
        return _fits((_MADE,), mask(block["made"], "postgresql"), names)
    return _fits(_PG_FORMS, mask(one.sql, "postgresql"), names)


def _fits(forms: tuple[str, ...], masked: str, names: tuple[str, ...]) -> bool:
    """Whether the statement is of a form, about the account that is called one of `names`."""
    matches = (re.fullmatch(form, masked, re.DOTALL) for form in forms)
    return any(match["account"] in names for match in matches if match)


def _mysql_names(header: Header) -> tuple[str, ...]:
    if header.account == EVERYONE:
        return ("PUBLIC", "`PUBLIC`")
    name, host = _quoted(header.account.name, "`"), _quoted(header.account.host, "`")
    return (f"{name}@{host}",) if header.account.host else (f"{name}@{host}", name)


def _quoted(name: str, mark: str) -> str:
    return mark + name.replace(mark, mark * 2) + mark

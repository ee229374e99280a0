"""What an account of MySQL or MariaDB may do, from SHOW GRANTS, read by a strict grammar and written anew.

MariaDB repeats password, REQUIRE and limits in a GRANT, not always well quoted: only the privileges, the object and the
option are taken. Whether MariaDB's privileges on the whole server may be handed on is asked of the table, not of that
text; MySQL, which keeps it for each privilege by itself, says nothing else there.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from vya_backupdb.domain.users_file import EVERYONE, AccountKey, Header, Kind, Part, Phase, Statement
from vya_backupdb.domain.users_forms import MY_KINDS
from vya_backupdb.engines.accounts import GrantRow
from vya_backupdb.engines.my_names import BACKTICKED, Account
from vya_backupdb.engines.my_session import Session, quote

_PRIVILEGES: Final = rf"[A-Z](?:[^`'\"]|{BACKTICKED})*?"
_OBJECT: Final = (
    rf"\*\.\*|(?P<database>{BACKTICKED})\.\*"
    rf"|(?:(?:{MY_KINDS}) )?(?P<schema>{BACKTICKED})\.{BACKTICKED}"
)
_GRANT: Final = re.compile(
    rf"(?P<verb>GRANT|REVOKE) (?P<what>{_PRIVILEGES}) ON (?P<on>{_OBJECT}) (?:TO|FROM) (?P<rest>.*)", re.DOTALL
)
_GRANTEE: Final = re.compile(rf"PUBLIC\b|{BACKTICKED}(?:@{BACKTICKED})?")
#: What SHOW GRANTS says beside the privileges; the tables say it better.
_OTHERS: Final = re.compile(rf"GRANT {BACKTICKED}|SET DEFAULT ROLE |GRANT PROXY ON ")


def privileges(session: Session, account: Account, key: AccountKey) -> tuple[list[Statement], int]:
    """Return the account's privileges, and how many lines of SHOW GRANTS are not understood."""
    found: list[Statement] = []
    unread = 0
    # PUBLIC is shown with or without quotes, by version
    names = ("PUBLIC", "`PUBLIC`") if key == EVERYONE else (account.quoted,)
    for line in session.shown(f"SHOW GRANTS FOR {names[0]}", f"reading the grants of {account.key}"):
        if _OTHERS.match(line):
            continue
        match = _GRANT.fullmatch(line)
        named = _GRANTEE.match(match["rest"]) if match else None
        if match is None or named is None:
            unread += 1
        elif named[0] in names:  # MariaDB shows what a role has from other roles, too: theirs is said with them
            found += _statement(match, account, key, names[0], match["rest"][named.end() :])
    return found, unread


def _statement(match: re.Match[str], account: Account, key: AccountKey, name: str, tail: str) -> Iterator[Statement]:
    on, schema, database = match["on"], match["schema"], match["database"]
    kind: Kind = "everyone" if key == EVERYONE else account.kind
    header = Header(
        key,
        kind,
        Part.GRANT,
        phase=Phase.GRANTS if schema else Phase.ACCOUNTS,
        database=_plain(schema) if schema else _plain(database).replace("\\", "") if database else None,
    )
    told = tail.startswith(" WITH GRANT OPTION")
    may_grant = account.grants if on == "*.*" and account.grants is not None else told
    # one by one: a privilege that another server does not know would take all others of its statement with it
    single = on == "*.*" or match["verb"] == "REVOKE"
    for what in match["what"].replace(", ", ",").split(",") if single else (match["what"],):
        if match["verb"] == "REVOKE":  # a partial revoke: what a grant on all databases does not hold for
            yield Statement(header, f"REVOKE {what} ON {on} FROM {name}", (f"GRANT {what} ON {on} TO {name}",))
        elif what != "USAGE" or may_grant:
            yield _grant(header, what, on, name, may_grant)


def _grant(header: Header, what: str, on: str, name: str, may_grant: bool) -> Statement:
    undo: tuple[str, ...] = () if what == "USAGE" else (f"REVOKE {what} ON {on} FROM {name}",)
    if may_grant:
        undo += (f"REVOKE GRANT OPTION ON {on} FROM {name}",)
    return Statement(header, f"GRANT {what} ON {on} TO {name}{' WITH GRANT OPTION' if may_grant else ''}", undo)


def _plain(quoted: str) -> str:
    return quoted[1:-1].replace("``", "`")


def rows(statements: Iterator[Statement] | tuple[Statement, ...], database: str | None) -> list[GrantRow]:
    """Return the privileges and memberships in `statements` as rows; with `database`, what holds for it."""
    found: list[GrantRow] = []
    for one in statements:
        header = one.header
        match = _GRANT.fullmatch(one.sql)
        if header.part is Part.MEMBERSHIP and header.of and database is None:
            admin = one.sql.endswith(" WITH ADMIN OPTION")
            found.append(GrantRow(header.account, "MEMBER", f"ROLE {header.of}", admin))
        elif header.part is Part.GRANT and match and (database is None or _holds(match, database)):
            privileges_of = match["what"] if match["verb"] == "GRANT" else f"not {match['what']}"
            found.append(GrantRow(header.account, privileges_of, match["on"], one.sql.endswith(" WITH GRANT OPTION")))
        elif header.part is Part.GRANT and not match and database is None:
            found.append(GrantRow(header.account, "PROXY", one.sql.split(" ON ", 1)[1].rsplit(" TO ", 1)[0]))
    return found


def reaches(statement: Statement, database: str) -> bool:
    """Whether a grant on a database, or on something in it, concerns `database`: by its name, or by a pattern."""
    if statement.header.database is None:
        return False
    match = _GRANT.fullmatch(statement.sql)
    return statement.header.database == database or (match is not None and _holds(match, database))


def retarget(statement: Statement, database: str) -> Statement:
    """Return a grant on a database, or on something in it, for another name of that database."""
    match = _GRANT.fullmatch(statement.sql)
    if match is None or statement.header.database is None:
        return statement
    group = "schema" if match["schema"] else "database"
    # in a grant on databases '_' and '%' would stand for characters
    name = database if group == "schema" else re.sub(r"([_%\\])", r"\\\1", database)
    sql = statement.sql[: match.start(group)] + quote(name) + statement.sql[match.end(group) :]
    return Statement(replace(statement.header, database=database), sql)


def _holds(match: re.Match[str], database: str) -> bool:
    """Whether a grant reaches `database`: in a grant on databases, ``_`` and ``%`` stand for characters."""
    if match["schema"]:
        return _plain(match["schema"]) == database
    if not match["database"]:
        return True
    return re.fullmatch(_pattern(_plain(match["database"])), database, re.DOTALL) is not None


def _pattern(like: str) -> str:
    pieces = re.findall(r"\\(?P<plain>.)|(?P<any>[_%])|(?P<other>.)", like, re.DOTALL)
    return "".join({"_": ".", "%": ".*"}[wild] if wild else re.escape(plain or other) for plain, wild, other in pieces)

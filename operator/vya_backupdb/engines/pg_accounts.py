"""The accounts of a PostgreSQL server for a restore: what is there, what is protected, and executing statements.

Who is not a superuser may not even say NOSUPERUSER: such words are left out for it, because a role that it makes has
none of these attributes. Each statement runs by itself, in a session of the maintenance database.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from vya_backupdb.domain.errors import ConnectionFailed
from vya_backupdb.domain.users_file import AccountKey, Part, Statement, UsersFile
from vya_backupdb.domain.users_plan import AccountPlan, Step, Target
from vya_backupdb.engines import pg_errors, pg_grants, pg_tablespaces, pg_users
from vya_backupdb.engines.accounts import GrantRow, Outcome, Read, without_literals
from vya_backupdb.engines.pg_memberships import WITH_OPTIONS
from vya_backupdb.engines.pg_session import Server, Session, quote

_ATTRIBUTES: Final = re.compile(r'(ALTER ROLE "(?:[^"]|"")*" WITH)((?: (?:NO)?[A-Z]+)+?)(?= CONNECTION LIMIT)')
_MEMBERSHIP: Final = re.compile(
    r'(GRANT "(?:[^"]|"")*" TO "(?:[^"]|"")*") WITH (ADMIN TRUE, )?INHERIT TRUE, SET TRUE(?= GRANTED BY "|$)'
)
#: At the very end of a membership, where no name that holds these words can stand: its quotes would be doubled.
_GRANTOR: Final = re.compile(r' GRANTED BY "((?:[^"]|"")*)"\Z')
_FOR_SUPERUSERS: Final = re.compile(r" (?:NOSUPERUSER|NOREPLICATION|NOBYPASSRLS)\b")


class PgAccounts:
    """`accounts.Accounts` for one PostgreSQL server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def read(self) -> Read:
        """See `Accounts.read`."""
        return pg_users.read(self._server)

    def target(self) -> tuple[Target, tuple[str, ...]]:
        """See `Accounts.target`."""
        read = self.read()
        existing: dict[AccountKey, list[Statement]] = {}
        for number, one in enumerate(read.file.statements):
            existing.setdefault(one.header.account, []).append(replace(one, number=number))
        with self._server.session() as session:
            hidden = re.compile(pg_users.foreign(session))
            rows = session.rows("SELECT rolname, oid FROM pg_catalog.pg_roles", pg_users.DOING)
            ours = str(session.value("SELECT session_user", pg_users.DOING))
        superuser = next((str(row["rolname"]) for row in rows if row["oid"] == pg_users.BOOTSTRAP_OID), "")
        for row in rows:
            existing.setdefault(AccountKey(str(row["rolname"])), [])

        def protected(account: AccountKey) -> str:
            if account.name == ours:
                return "is the account that this program is connected with"
            if account.name == superuser:
                return "is the server's own superuser"
            return "is a system account" if hidden.search(account.name) else ""

        return Target(existing, protected, lambda sql: (sql,)), ()

    def differences(self, file: UsersFile) -> tuple[str, ...]:
        """See `Accounts.differences`: a server before 16 does not know a membership's options."""
        memberships = [one.sql for one in file.statements if one.header.part is Part.MEMBERSHIP]
        with self._server.session() as session:
            lost = session.version < WITH_OPTIONS and any(
                before_options(sql) == sql for sql in memberships if "," in sql
            )
        if not lost:
            return ()
        return ("this server knows no memberships WITH INHERIT FALSE or SET FALSE: these fail",)

    def tablespaces(self, file: UsersFile) -> tuple[AccountPlan, ...]:
        """See `Accounts.tablespaces`."""
        with self._server.session() as session:
            rows = session.rows("SELECT spcname AS name FROM pg_catalog.pg_tablespace", "listing the tablespaces")
            there = {row["name"] for row in rows}
            return tuple(pg_tablespaces.plan(session, one, there) for one in file.tablespaces)

    def reaches(self, statement: Statement, database: str) -> bool:
        """See `Accounts.reaches`."""
        return statement.header.database == database

    def needs(self, statement: Statement) -> tuple[AccountKey, ...]:
        """See `Accounts.needs`: a grantor that is missing would have the membership refused."""
        if statement.header.of is None:
            return ()
        by = _GRANTOR.search(statement.sql)
        return (statement.header.of, *((AccountKey(by[1].replace('""', '"')),) if by else ()))

    def retarget(self, statement: Statement, database: str) -> Statement:
        """See `Accounts.retarget`."""
        header = statement.header
        if header.database is None:
            return statement
        old, new = (f"DATABASE {quote(name)}" for name in (header.database, database))
        return Statement(replace(header, database=database), statement.sql.replace(old, new, 1))

    def apply(self, steps: Iterable[Step]) -> Iterator[Outcome]:
        """See `Accounts.apply`."""
        with self._server.session() as session:
            superuser = bool(session.value("SELECT current_setting('is_superuser')::boolean", pg_users.DOING))
            for step in steps:
                sql = step.statement.sql if superuser else modest(step.statement.sql)
                known = sql if session.version >= WITH_OPTIONS else before_options(sql)
                yield Outcome(step, self._refusal(session, known))

    def _refusal(self, session: Session, sql: str) -> str:
        """Execute one statement; return what the server says against it, '' if it took it."""
        try:
            session.run(sql)
        except SQLAlchemyError as error:
            translated = pg_errors.of_statement(error, "restoring accounts", self._server.redact)
            said = without_literals(
                translated.message.removeprefix("restoring accounts: "), sql, "postgresql", self._server.redact
            )
            if isinstance(translated, ConnectionFailed):
                # not chained: the driver's error holds the whole statement, and that a hash
                raise ConnectionFailed(said, hint=translated.hint) from None
            return said
        return ""

    def grants(self, database: str | None) -> list[GrantRow]:
        """See `Accounts.grants`."""
        return pg_grants.grants(self._server, database)


def before_options(sql: str) -> str:
    """Return the grant of a role as servers before 16 know it: there each gives SET, and INHERIT is the member's own.

    One that withholds either is returned as it is, and will be refused.
    """
    return _MEMBERSHIP.sub(lambda match: match[1] + (" WITH ADMIN OPTION" if match[2] else ""), sql, count=1)


def modest(sql: str) -> str:
    """Return the statement without the words that only a superuser may say, not even in the negative."""
    return _ATTRIBUTES.sub(lambda match: match[1] + _FOR_SUPERUSERS.sub("", match[2]), sql, count=1)

"""The accounts of a MySQL or MariaDB server for a restore: what is there, what is protected, and executing statements.

Each statement runs by itself: one that names a privilege, a plugin or a table that this server lacks takes nothing else
with it. Who may manage accounts on this server is never touched: its own root, and the account that is connected.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from vya_backupdb.domain.errors import ConnectionFailed, NotFound
from vya_backupdb.domain.users_file import EVERYONE, AccountKey, Statement, UsersFile
from vya_backupdb.domain.users_plan import AccountPlan, Step, Target
from vya_backupdb.engines import my_errors, my_grants, my_users
from vya_backupdb.engines.accounts import GrantRow, Outcome, Read, without_literals
from vya_backupdb.engines.base import ServerInfo
from vya_backupdb.engines.my_definitions import replacing
from vya_backupdb.engines.my_names import SYSTEM
from vya_backupdb.engines.my_session import Server, Session

#: What the server quotes of a statement that it cannot read: it may be a piece of a hash.
_NEAR: Final = re.compile(r" near '.*", re.DOTALL)


class MyAccounts:
    """`accounts.Accounts` for one MySQL or MariaDB server."""

    def __init__(self, server: Server, info: Callable[[], ServerInfo]) -> None:
        self._server, self._ask = server, info

    def read(self) -> Read:
        """See `Accounts.read`."""
        info = self._ask()
        return my_users.read(self._server, info.product, info.version)

    def target(self) -> tuple[Target, tuple[str, ...]]:
        """See `Accounts.target`."""
        read = self.read()
        existing: dict[AccountKey, list[Statement]] = {}
        for number, one in enumerate(read.file.statements):
            existing.setdefault(one.header.account, []).append(replace(one, number=number))
        with self._server.session() as session:
            user, _, host = str(session.value("SELECT CURRENT_USER()", "asking for our account")).rpartition("@")
            rows = session.rows(
                "SELECT PLUGIN_NAME AS name FROM information_schema.PLUGINS"
                " WHERE PLUGIN_TYPE = 'AUTHENTICATION' AND PLUGIN_STATUS = 'ACTIVE'",
                "listing the authentication plugins",
            )
            restricts = session.variable("partial_revokes") == "ON"
        ours = AccountKey(user, host)

        def protected(account: AccountKey) -> str:
            if account == ours:
                return "is the account that this program is connected with"
            if account.name == "root" and account in existing:
                return "is an administrator of the server itself"
            return "is a system account" if SYSTEM.fullmatch(account.name) and account != EVERYONE else ""

        plugins = frozenset(str(row["name"]) for row in rows)
        return Target(existing, protected, replacing, plugins, restricts), read.warnings

    def differences(self, file: UsersFile) -> tuple[str, ...]:
        """See `Accounts.differences`."""
        found: list[str] = []
        if file.head["product"] != self._ask().product:
            found.append(f"the file is of {file.head['product']}: what this server does not know of it fails")
        with self._server.session() as session:
            for name, meaning in (
                ("partial_revokes", "'_' and '%' in the names of databases mean other things"),
                ("mandatory_roles", "accounts may lack roles that nobody granted them"),
            ):
                there, here = file.head.get(name), session.variable(name)
                if there is not None and there != here:
                    found.append(f"{name} was {there!r} at the source and is {here!r} here: {meaning}")
        return tuple(found)

    def tablespaces(self, file: UsersFile) -> tuple[AccountPlan, ...]:
        """See `Accounts.tablespaces`: a users file of these servers holds none."""
        return ()

    def reaches(self, statement: Statement, database: str) -> bool:
        """See `Accounts.reaches`."""
        return my_grants.reaches(statement, database)

    def needs(self, statement: Statement) -> tuple[AccountKey, ...]:
        """See `Accounts.needs`: nobody remembers here who gave a role."""
        return (statement.header.of,) if statement.header.of else ()

    def retarget(self, statement: Statement, database: str) -> Statement:
        """See `Accounts.retarget`."""
        return my_grants.retarget(statement, database)

    def apply(self, steps: Iterable[Step]) -> Iterator[Outcome]:
        """See `Accounts.apply`."""
        mariadb = self._ask().product == "MariaDB"
        with self._server.session() as session:
            if mariadb:
                session.execute("SET SESSION sql_mode = 'NO_AUTO_CREATE_USER'", "setting up the session")
            for step in steps:
                yield Outcome(step, self._refusal(session, step.statement.sql))

    def _refusal(self, session: Session, sql: str) -> str:
        """Execute one statement; return what the server says against it, '' if it took it."""
        try:
            session.run(sql)
        except SQLAlchemyError as error:
            translated = my_errors.of_statement(error, "restoring accounts", self._server.redact)
            said = _NEAR.sub(" near …", my_errors.text(error, self._server.redact))
            said = without_literals(said, sql, "mysql", self._server.redact)
            if isinstance(translated, ConnectionFailed):
                # not chained: the driver's error holds the whole statement, and that a hash
                raise ConnectionFailed(said, hint=translated.hint) from None
            return said
        return ""

    def grants(self, database: str | None) -> list[GrantRow]:
        """See `Accounts.grants`."""
        if database is not None:
            with self._server.session() as session:
                sql = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = :name"
                if session.value(sql, f"looking for database {database!r}", name=database) is None:
                    raise NotFound(f"the server has no database {database!r}", hint="Check the name.")
        return my_grants.rows(self.read().file.statements, database)

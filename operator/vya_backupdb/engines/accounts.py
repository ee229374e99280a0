"""What each engine offers for the accounts of its server: read them all, look at a target, execute, show grants.

Invariants: the statements are built by us, with names quoted by us; hashes are secrets, so no error's text holds a
literal of the statement that failed; a statement that the server refuses is a result, a lost session is an error.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from vya_backupdb.domain.metadata import AccountInfo, UsersInfo
from vya_backupdb.domain.users_file import SHARED, AccountKey, Family, Statement, UsersFile, literals
from vya_backupdb.domain.users_plan import AccountPlan, Step, Target

_SHORTEST_SECRET: Final = 5


@dataclass(frozen=True, slots=True)
class Read:
    """Every account of a server, with what could not be had as sentences; `fallback` says what was read instead."""

    file: UsersFile = field(repr=False)
    warnings: tuple[str, ...] = ()
    fallback: str | None = None

    def info(self) -> UsersInfo:
        """Return what the metadata say of the file."""
        kinds = {account: kind for account, kind in self.file.accounts().items() if kind not in SHARED}
        hashed = self.file.with_password()
        roles = sum(kind == "role" for kind in kinds.values())
        names = tuple(
            AccountInfo(name=one.name, host=one.host or None, role=kind == "role", password=one in hashed)
            for one, kind in kinds.items()
        )
        return UsersInfo(
            accounts=len(kinds) - roles,
            roles=roles,
            passwords=self.fallback is None,
            fallback=self.fallback,
            names=names,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step; `error` is the server's refusal in words, '' if there was none."""

    step: Step
    error: str = ""


@dataclass(frozen=True, slots=True)
class GrantRow:
    """One line of ``users show-grants``: who has which privileges on what, and may hand them on."""

    account: AccountKey
    privileges: str
    on: str
    grantable: bool = False


class Accounts(Protocol):
    """The accounts of one server. Every method may raise ServerError's children."""

    def read(self) -> Read:
        """Return every account that is not the server's own. Raise PrivilegeMissing if they cannot be listed."""

    def target(self) -> tuple[Target, tuple[str, ...]]:
        """Return this server as the target of a restore, with notes on it as sentences."""

    def differences(self, file: UsersFile) -> tuple[str, ...]:
        """Return what of the source's settings is other here, and changes what the statements mean."""

    def tablespaces(self, file: UsersFile) -> tuple[AccountPlan, ...]:
        """Return how the file's tablespaces are made (an entry each); they are restored only where that is asked."""

    def reaches(self, statement: Statement, database: str) -> bool:
        """Whether a statement gives something in `database` by its name, or by a pattern of names that fits it."""

    def needs(self, statement: Statement) -> tuple[AccountKey, ...]:
        """Return whom a statement needs beside the account that it is for: the role that it gives, and who gives it."""

    def retarget(self, statement: Statement, database: str) -> Statement:
        """Return a statement that concerns one database (`header.database`) for another name of it."""

    def apply(self, steps: Iterable[Step]) -> Iterator[Outcome]:
        """Execute the steps one by one; a refusal stops nothing. Raise ConnectionFailed if the session is lost."""

    def grants(self, database: str | None) -> list[GrantRow]:
        """Return who may do what: on the whole server, or on `database` and what is in it. Raise NotFound."""


def without_literals(said: str, sql: str, family: Family, redact: Callable[[str], str]) -> str:
    """Return an error's text without what the failed statement held: servers quote hashes where they refuse them."""
    for one in sorted(literals(sql, family), key=len, reverse=True):
        if len(one) >= _SHORTEST_SECRET:
            said = said.replace(one, "[redacted]")
    return redact(said)

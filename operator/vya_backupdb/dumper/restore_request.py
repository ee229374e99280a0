"""What a restore is asked for: which backup, to which name, what becomes of what exists, and what comes with it."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.undertaking import OnExisting
from vya_backupdb.domain.users_plan import OnExisting as OnExistingAccount
from vya_backupdb.storage.selection import LATEST

Owners = Literal["require", "skip"]
Definers = Literal["keep", "drop"]


@dataclass(frozen=True, slots=True)
class Claim:
    """The ledger's entry that this restore takes: its name, and the uid of the object that asks."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class WithUsers:
    """That the accounts which the database needs come with it: what becomes of those that exist, and who does not."""

    on_existing: OnExistingAccount = OnExistingAccount.SKIP
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. `backup` is ``latest`` or an id; `target` is the name that the database gets.

    `source` is the instance whose backup it is, where that is not the one that is restored to. `path` is that of a
    file, instead of a backup of the tree. `tables` are the only ones to be restored; all, where it is empty. `owners`
    and `definers` are those of `LoadOptions`; `users` None: the accounts are left alone.
    """

    run: RunId
    database: str
    target: str
    backup: str = LATEST
    before: datetime | None = None
    claim: Claim | None = None
    on_existing: OnExisting = OnExisting.FAIL
    source: str | None = None
    path: Path | None = None
    tables: tuple[str, ...] = ()
    owners: Owners = "require"
    definers: Definers = "keep"
    users: WithUsers | None = None

    @property
    def asked(self) -> str:
        """What the same command, given again, would ask for."""
        before = self.before.isoformat() if self.before else None
        path = str(self.path) if self.path else None
        users = (self.users.on_existing, self.users.without) if self.users else None
        most = [self.source, self.database, self.target, self.backup, before, self.on_existing, path, self.tables]
        rare = {"owners": self.owners, "definers": self.definers, "users": users}
        usual = {"owners": "require", "definers": "keep", "users": None}
        return json.dumps([*most, *([rare] if rare != usual else [])])


def require_confirmed(on_existing: OnExisting, target: str, confirmed: str | None) -> None:
    """Raise ConfigurationError unless a replacement names the database that goes."""
    if on_existing is OnExisting.REPLACE and confirmed != target:
        given = "is missing" if confirmed is None else f"is {confirmed!r}"
        raise ConfigurationError(
            f"--on-existing replace drops the database {target!r} that is there, and --confirm-database {given}",
            hint="If that is meant, add --confirm-database with its name; rename keeps it under another name.",
        )
    if on_existing is not OnExisting.REPLACE and confirmed is not None:
        raise ConfigurationError(
            "--confirm-database goes with --on-existing replace only", hint="Leave it out, or say what to replace."
        )

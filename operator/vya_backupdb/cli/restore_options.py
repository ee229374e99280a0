"""The options of ``restore`` in groups, and the request that they make: what is restored, to where, and with what."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from vya_backupdb.cli import options
from vya_backupdb.domain.config import AppConfig, DatabaseConfig, DatabaseType
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.undertaking import OnExisting
from vya_backupdb.domain.users_plan import OnExisting as OnExistingAccount
from vya_backupdb.dumper.restore_request import Claim, Definers, Owners, Request, WithUsers
from vya_backupdb.dumper.restore_source import of_path
from vya_backupdb.storage.selection import LATEST


@dataclass(frozen=True, slots=True)
class Which:
    """Which backup, and how much of it."""

    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            "-d",
            metavar="NAME",
            help="The database in the backup; a path needs none.",
            show_default=False,
        ),
    ] = None
    backup: Annotated[
        str,
        typer.Option(
            "--backup",
            metavar="ID|PATH",
            help="'latest', an id as 'list' shows it, or the path of any .sql or .sql.gz.",
        ),
    ] = LATEST
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="TIME", help="The newest one begun before this time.", show_default=False),
    ] = None
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="NAME", help="Only this table; may be given often.", show_default=False),
    ] = None


@dataclass(frozen=True, slots=True)
class Where:
    """To where, and what becomes of what is there."""

    to_instance: Annotated[
        str | None,
        typer.Option(
            "--to-instance", metavar="ID", help="Restore to this server. Default: its own.", show_default=False
        ),
    ] = None
    to_database: Annotated[
        str | None,
        typer.Option("--to-database", metavar="NAME", help="The name it gets. Default: its own.", show_default=False),
    ] = None
    on_existing: Annotated[
        OnExisting,
        typer.Option(
            "--on-existing",
            help="If the target exists: fail; replace it, after a safety dump; or rename it, so that it stays beside.",
        ),
    ] = OnExisting.FAIL
    confirm_database: Annotated[
        str | None,
        typer.Option(
            "--confirm-database", metavar="NAME", help="The target's name again, to replace it.", show_default=False
        ),
    ] = None

    def server(self, app: AppConfig, source: DatabaseConfig) -> DatabaseConfig:
        """Return the instance to restore to. Raise ConfigurationError for one of another product."""
        target = source if self.to_instance is None else app.database(self.to_instance)
        if target.type is not source.type:
            raise ConfigurationError(
                f"--to-instance {target.id} is {target.type.value}, the backup of {source.id} is {source.type.value}",
                hint="Restore to a server of the same product.",
            )
        return target


@dataclass(frozen=True, slots=True)
class Names:
    """What becomes of the accounts that the backup names, where the server lacks them or we may not name them."""

    owners: Annotated[
        Owners,
        typer.Option(
            "--owners",
            help="PostgreSQL, roles that the server lacks: refuse the restore (require), or leave out what they own and"
            " are granted (skip), so that the restoring account owns it.",
        ),
    ] = "require"
    definers: Annotated[
        Definers,
        typer.Option(
            "--definers",
            help="MySQL and MariaDB: keep the definers of views, routines, triggers and events where the account may"
            " set them, or drop them, so that the restoring account becomes the definer.",
        ),
    ] = "keep"

    def require_fit(self, database: DatabaseConfig) -> None:
        """Raise ConfigurationError for an option that means nothing on a server of this product."""
        is_postgresql = database.type is DatabaseType.POSTGRESQL
        if self.owners != "require" and not is_postgresql:
            raise ConfigurationError(
                f"--owners is for PostgreSQL, and {database.id} is {database.type.value}",
                hint="Leave it out: there objects have definers (--definers), and no owners.",
            )
        if self.definers != "keep" and is_postgresql:
            raise ConfigurationError(
                f"--definers is for MySQL and MariaDB, and {database.id} is {database.type.value}",
                hint="Leave it out: there objects have owners (--owners), and no definers.",
            )


@dataclass(frozen=True, slots=True)
class Accounts:
    """Whether the accounts that the database needs come with it, and which do not."""

    users: Annotated[
        bool,
        typer.Option(
            "--users",
            help="Restore the accounts that it needs with it, from the users file of the same run: before the data who"
            " they are, after it what they may do there.",
        ),
    ] = False
    exclude_user: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude-user",
            metavar="GLOB",
            help="With --users, not these: a name, or name@host; may be given often.",
            show_default=False,
        ),
    ] = None
    users_on_existing: Annotated[
        OnExistingAccount | None,
        typer.Option(
            "--users-on-existing",
            help="With --users, an account that exists: leave it (skip, the default), make it equal to the file"
            " (replace), or refuse the restore (fail).",
            show_default=False,
        ),
    ] = None

    def wanted(self, which: Which, path: Path | None) -> WithUsers | None:
        """Return what is wanted of the accounts, None for nothing. Raise ConfigurationError for what does not fit."""
        if not self.users:
            if self.exclude_user or self.users_on_existing:
                raise ConfigurationError(
                    "--exclude-user and --users-on-existing go with --users only",
                    hint="Add it, or leave them out.",
                )
            return None
        if path is not None:
            raise ConfigurationError(
                f"--users goes with a backup of the tree, and {path} is named by its path",
                hint="Restore its accounts before with 'users restore --file FILE'.",
            )
        if which.table:
            raise ConfigurationError(
                "--users goes with a whole database, not with some tables of it",
                hint="Leave --table out, or restore the accounts with 'users restore'.",
            )
        return WithUsers(self.users_on_existing or OnExistingAccount.SKIP, tuple(self.exclude_user or ()))


@dataclass(frozen=True, slots=True)
class ClaimOptions:
    """The hidden options by which a RestoreRequest is executed once."""

    claim: Annotated[str | None, typer.Option("--claim", hidden=True)] = None
    claim_uid: Annotated[str | None, typer.Option("--claim-uid", hidden=True)] = None

    def taken(self) -> Claim | None:
        """Return the claim to take, if there is one."""
        if bool(self.claim) != bool(self.claim_uid):
            raise ConfigurationError("--claim and --claim-uid go together", hint="Give both or none.")
        return Claim(self.claim, self.claim_uid) if self.claim and self.claim_uid else None


def request_of(
    run: RunId,
    source: DatabaseConfig,
    which: Which,
    where: Where,
    names: Names,
    accounts: Accounts,
    claim: ClaimOptions,
) -> Request:
    """Return what the options ask for. Raise ConfigurationError for those that do not fit each other."""
    path = _path(which.backup)
    name = _database(which.database, where.to_database, path)
    if which.before is not None and which.backup != LATEST:
        raise ConfigurationError("--before and --backup exclude each other", hint="Give one of them.")
    names.require_fit(source)
    return Request(
        run=run,
        database=name,
        target=where.to_database or name,
        backup=LATEST if path else which.backup,
        path=path,
        tables=tuple(which.table or ()),
        before=options.parse_time(which.before, "--before"),
        claim=claim.taken(),
        on_existing=where.on_existing,
        source=source.id,
        owners=names.owners,
        definers=names.definers,
        users=accounts.wanted(which, path),
    )


def _path(backup: str) -> Path | None:
    """Return the path that `--backup` is: ids hold no slash, and no file's ending but that of a data file."""
    is_path = "/" in backup or (backup.endswith((".sql", ".sql.gz")) and Path(backup).exists())
    return Path(backup).absolute() if is_path else None


def _database(database: str | None, to_database: str | None, path: Path | None) -> str:
    """Return the name of the database in the backup, or the name that a file gets."""
    if path is None:
        if database is None:
            raise ConfigurationError("--database is missing", hint="Say which database; 'list' shows them.")
        return database
    source = of_path(path).metadata
    inside = source.backup_info.database_name if source else None
    if database is not None and inside is not None and database != inside:
        raise ConfigurationError(
            f"{path} is a backup of {inside!r}, not of {database!r}", hint="Leave --database out with a path."
        )
    name = inside or database or to_database
    if name is None:
        raise ConfigurationError(
            f"{path} is no backup of ours, so the name of its database is not known",
            hint="Give the name that it is to get with --to-database.",
        )
    return name

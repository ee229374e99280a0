"""``vya-backupdb users backup|list|restore|show-grants``: the accounts and roles of a server, by themselves.

Nothing here prints a hash: statements are shown without their literals.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from vya_backupdb.cli import options, output, users_view
from vya_backupdb.cli.auditing import auditing
from vya_backupdb.cli.backup import show_report
from vya_backupdb.cli.frame import Configured, Frame, framed, grouped
from vya_backupdb.cli.invocation import Format, Invocation, now, the_one
from vya_backupdb.cli.working import working
from vya_backupdb.domain.config import AppConfig, DatabaseConfig
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import to_dict
from vya_backupdb.domain.users_file import UsersFile
from vya_backupdb.domain.users_plan import OnExisting, Phases, Wish
from vya_backupdb.dumper import accounts
from vya_backupdb.dumper.run import Order, run_backup
from vya_backupdb.dumper.session import Session, open_session, open_tree
from vya_backupdb.storage import users_text
from vya_backupdb.storage.selection import LATEST

app = typer.Typer(help="Back up, list, restore and inspect the accounts and roles of a server.", no_args_is_help=True)

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--user", "-u", metavar="GLOB", help="Only these: a name, or name@host; may be given often.", show_default=False
    ),
]


@dataclass(frozen=True, slots=True)
class Source:
    """Which users file."""

    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="A users file, compressed or not.", show_default=False),
    ] = None
    backup: Annotated[
        str | None,
        typer.Option(
            "--backup", metavar="ID", help="A users file of the tree: 'latest', or an id.", show_default=False
        ),
    ] = None

    def read(self, loaded: AppConfig, database: DatabaseConfig) -> UsersFile:
        """Return the file; without any option the latest of the tree. Raise ConfigurationError if two were named."""
        if self.file is not None and self.backup is not None:
            raise ConfigurationError("--file and --backup exclude each other", hint="Give one of them.")
        if self.file is not None:
            return accounts.read_path(self.file)
        tree = open_tree(loaded, database)
        return accounts.read_stored(tree, tree.find(None, self.backup or LATEST, now=now()))


@dataclass(frozen=True, slots=True)
class Choice:
    """Which accounts are restored, to which server, and how."""

    target: Annotated[
        str | None,
        typer.Option("--target-instance", metavar="ID", help="To this instance's server.", show_default=False),
    ] = None
    only: Only = None
    without: Annotated[
        list[str] | None,
        typer.Option("--exclude-user", metavar="GLOB", help="Not these; may be given often.", show_default=False),
    ] = None
    on_existing: Annotated[
        OnExisting,
        typer.Option(
            "--on-existing",
            help="An account that exists: leave it (skip), make it equal to the file (replace), or refuse all (fail).",
        ),
    ] = OnExisting.SKIP
    phase: Annotated[
        Phases,
        typer.Option("--phase", help="'accounts' before the databases are restored, 'grants' after, or 'all'."),
    ] = Phases.ALL
    tablespaces: Annotated[bool, typer.Option("--tablespaces", help="PostgreSQL: make missing tablespaces, too.")] = (
        False
    )

    def plan(self, session: Session, file: UsersFile) -> accounts.PlannedUsers:
        """Return what the server of `session` would get of `file`."""
        wish = Wish(tuple(self.only or ()), tuple(self.without or ()), self.on_existing, self.phase)
        return accounts.plan_users(session, file, wish, tablespaces=self.tablespaces)


@app.command("backup")
@grouped
def backup(
    context: typer.Context,
    configured: Configured,
    instance: options.Instance = None,
    path: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write there instead; '.gz' compresses.", show_default=False
        ),
    ] = None,
    wanted: options.FormatOption = None,
) -> int:
    """Write the accounts, roles and grants of a server, as a backup of the tree or into a file of your own.

    The file holds password hashes. One of your own gets mode 0600, and nothing is ever overwritten.
    """
    invocation: Invocation = context.obj
    run = invocation.begin("backup")
    loaded = configured.load(context)
    database = the_one(loaded, instance)
    with working(invocation, loaded, Format.JSON) as tools:
        session = open_session(loaded, database, tools)
        if path is not None:
            users_view.show_written(_write(session, path), wanted)
            return ExitCode.OK
        order = Order(run, "cli", 1, only_users=True)
        with auditing(invocation, loaded, database.id, "backup") as audited:
            report = run_backup(session, order, audited.delivery)
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json(to_dict(report))
    else:
        show_report(database, report)
    return report.exit_code


def _write(session: Session, path: Path) -> dict[str, Any]:
    dump = session.engine.users()
    size = users_text.write(path, dump.chunks)
    return {"file": str(path), "bytes": size, "warnings": list(dump.warnings), **dump.info.model_dump(mode="json")}


@app.command("list")
@framed
def list_accounts(frame: Frame, source: Source, only: Only = None) -> int:
    """List the accounts and roles of the server, or of a users file (--file, --backup)."""
    if source != Source():
        file = source.read(frame.app, frame.database)
        users_view.show_accounts(file, tuple(only or ()), frame.wanted)
        return ExitCode.OK
    with working(frame.invocation, frame.app, Format.JSON) as tools:
        read = open_session(frame.app, frame.database, tools).engine.accounts().read()
    users_view.show_accounts(read.file, tuple(only or ()), frame.wanted, read.warnings)
    return ExitCode.OK


@app.command("restore")
@framed
def restore(
    frame: Frame,
    source: Source,
    choice: Choice,
    only_plan: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> int:
    """Restore accounts, roles and grants from a users file; without --file, from the latest of the tree.

    System accounts, the server's own administrator and the account we connect with are never touched. A statement that
    the server refuses stops nothing: it is reported, and the exit code is 49.
    """
    run = frame.invocation.begin("restore")
    file = source.read(frame.app, frame.database)
    target = frame.app.database(choice.target) if choice.target else frame.database
    with working(frame.invocation, frame.app, Format.JSON) as tools:
        session = open_session(frame.app, target, tools)
        if only_plan:
            result = accounts.not_executed(choice.plan(session, file))
        else:
            with auditing(frame.invocation, frame.app, target.id, "restore") as audited:
                result = accounts.restore_users(session, choice.plan(session, file))
                audited.delivery(result.report(run, frame.invocation.started_at, now()))
    users_view.show_result(result, file, frame.wanted, dry_run=only_plan)
    return result.exit_code


@app.command("show-grants")
@framed
def show_grants(
    frame: Frame,
    database: Annotated[
        str | None,
        typer.Option("--database", "-d", metavar="NAME", help="What concerns this database.", show_default=False),
    ] = None,
    only: Only = None,
) -> int:
    """Show who may do what: on the server, or with --database on it and on what is in it."""
    with working(frame.invocation, frame.app, Format.JSON) as tools:
        session = open_session(frame.app, frame.database, tools)
        rows = session.engine.accounts().grants(database)
    users_view.show_grants(rows, tuple(only or ()), frame.wanted)
    return ExitCode.OK

"""``vya-backupdb users backup|list|restore|show-grants``: the accounts and roles of a server, by themselves.

Nothing here prints a hash: statements are shown without their literals.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from vya_backupdb.cli import options, output, settings, users_view
from vya_backupdb.cli.auditing import auditing
from vya_backupdb.cli.backup import show_report
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

File = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="A users file, compressed or not.", show_default=False),
]
Backup = Annotated[
    str | None,
    typer.Option("--backup", metavar="ID", help="A users file of the tree: 'latest', or an id.", show_default=False),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--user", "-u", metavar="GLOB", help="Only these: a name, or name@host; may be given often.", show_default=False
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option("--exclude-user", metavar="GLOB", help="Not these; may be given often.", show_default=False),
]


@app.command("backup")
def backup(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    path: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write there instead; '.gz' compresses.", show_default=False
        ),
    ] = None,
    wanted: options.FormatOption = None,
    verbose: options.Verbose = False,
) -> int:
    """Write the accounts, roles and grants of a server, as a backup of the tree or into a file of your own.

    The file holds password hashes. One of your own gets mode 0600, and nothing is ever overwritten.
    """
    invocation: Invocation = context.obj
    run = invocation.begin("backup")
    loaded = invocation.configure(config, verbose=verbose)
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
def list_accounts(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    path: File = None,
    backup_id: Backup = None,
    only: Only = None,
    wanted: options.OutputOption = None,
    verbose: options.Verbose = False,
) -> int:
    """List the accounts and roles of the server, or of a users file (--file, --backup)."""
    invocation: Invocation = context.obj
    loaded = invocation.configure(config, verbose=verbose)
    database = the_one(loaded, instance)
    if path is not None or backup_id is not None:
        file = _source(loaded, database, path, backup_id)
        users_view.show_accounts(file, tuple(only or ()), wanted)
        return ExitCode.OK
    with working(invocation, loaded, Format.JSON) as tools:
        read = open_session(loaded, database, tools).engine.accounts().read()
    users_view.show_accounts(read.file, tuple(only or ()), wanted, read.warnings)
    return ExitCode.OK


@app.command("restore")
def restore(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    target: Annotated[
        str | None,
        typer.Option("--target-instance", metavar="ID", help="To this instance's server.", show_default=False),
    ] = None,
    path: File = None,
    backup_id: Backup = None,
    only: Only = None,
    without: Without = None,
    on_existing: Annotated[
        OnExisting,
        typer.Option(
            "--on-existing",
            help="An account that exists: leave it (skip), make it equal to the file (replace), or refuse all (fail).",
        ),
    ] = OnExisting.SKIP,
    phase: Annotated[
        Phases,
        typer.Option("--phase", help="'accounts' before the databases are restored, 'grants' after, or 'all'."),
    ] = Phases.ALL,
    tablespaces: Annotated[
        bool, typer.Option("--tablespaces", help="PostgreSQL: make missing tablespaces, too.")
    ] = False,
    only_plan: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    wanted: options.OutputOption = None,
    verbose: options.Verbose = False,
) -> int:
    """Restore accounts, roles and grants from a users file; without --file, from the latest of the tree.

    System accounts, the server's own administrator and the account we connect with are never touched. A statement that
    the server refuses stops nothing: it is reported, and the exit code is 49.
    """
    invocation: Invocation = context.obj
    run = invocation.begin("restore")
    loaded = invocation.configure(config, verbose=verbose)
    database = the_one(loaded, instance)
    file = _source(loaded, database, path, backup_id)
    wish = Wish(tuple(only or ()), tuple(without or ()), on_existing, phase)
    with working(invocation, loaded, Format.JSON) as tools:
        session = open_session(loaded, loaded.database(target) if target else database, tools)
        if only_plan:
            result = accounts.not_executed(accounts.plan_users(session, file, wish, tablespaces=tablespaces))
        else:
            with auditing(invocation, loaded, session.database.id, "restore") as audited:
                result = accounts.restore_users(
                    session, accounts.plan_users(session, file, wish, tablespaces=tablespaces)
                )
                audited.delivery(result.report(run, invocation.started_at, now()))
    users_view.show_result(result, file, wanted, dry_run=only_plan)
    return result.exit_code


@app.command("show-grants")
def show_grants(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    database: Annotated[
        str | None,
        typer.Option("--database", "-d", metavar="NAME", help="What concerns this database.", show_default=False),
    ] = None,
    only: Only = None,
    wanted: options.OutputOption = None,
    verbose: options.Verbose = False,
) -> int:
    """Show who may do what: on the server, or with --database on it and on what is in it."""
    invocation: Invocation = context.obj
    loaded = invocation.configure(config, verbose=verbose)
    with working(invocation, loaded, Format.JSON) as tools:
        session = open_session(loaded, the_one(loaded, instance), tools)
        rows = session.engine.accounts().grants(database)
    users_view.show_grants(rows, tuple(only or ()), wanted)
    return ExitCode.OK


def _source(loaded: AppConfig, database: DatabaseConfig, path: Path | None, backup_id: str | None) -> UsersFile:
    """Return the users file that was asked for. Raise ConfigurationError if two were."""
    if path is not None and backup_id is not None:
        raise ConfigurationError("--file and --backup exclude each other", hint="Give one of them.")
    if path is not None:
        return accounts.read_path(path)
    tree = open_tree(loaded, database)
    return accounts.read_stored(tree, tree.find(None, backup_id or LATEST, now=now()))

"""``vya-backupdb restore``: one database, under its own name or another, from one backup."""

import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from vya_backupdb.cli import options, output, settings
from vya_backupdb.cli.auditing import auditing
from vya_backupdb.cli.invocation import Format, Invocation, on_terminal, the_one
from vya_backupdb.cli.restore_plan import show_plan
from vya_backupdb.cli.working import working
from vya_backupdb.domain.config import AppConfig, DatabaseConfig
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import RunReport, to_dict
from vya_backupdb.domain.undertaking import OnExisting
from vya_backupdb.dumper.restore import run_restore
from vya_backupdb.dumper.restore_plan import Claim, Request, plan_restore, require_confirmed
from vya_backupdb.dumper.restore_source import of_path
from vya_backupdb.dumper.session import Tools, open_session, open_tree
from vya_backupdb.dumper.settling import clean_up
from vya_backupdb.storage.selection import LATEST
from vya_backupdb.storage.tree import InstanceTree

Source = Annotated[
    str | None,
    typer.Option(
        "--database", "-d", metavar="NAME", help="The database in the backup; a path needs none.", show_default=False
    ),
]
Backup = Annotated[
    str,
    typer.Option(
        "--backup", metavar="ID|PATH", help="'latest', an id as 'list' shows it, or the path of any .sql or .sql.gz."
    ),
]
Tables = Annotated[
    list[str] | None,
    typer.Option("--table", metavar="NAME", help="Only this table; may be given often.", show_default=False),
]
Before = Annotated[
    str | None,
    typer.Option("--before", metavar="TIME", help="The newest one begun before this time.", show_default=False),
]
ToInstance = Annotated[
    str | None,
    typer.Option("--to-instance", metavar="ID", help="Restore to this server. Default: its own.", show_default=False),
]
Target = Annotated[
    str | None,
    typer.Option("--to-database", metavar="NAME", help="The name it gets. Default: its own.", show_default=False),
]
Existing = Annotated[
    OnExisting,
    typer.Option(
        "--on-existing",
        help="If the target exists: fail; replace it, after a safety dump; or rename it, so that it stays beside.",
    ),
]
Confirm = Annotated[
    str | None,
    typer.Option(
        "--confirm-database", metavar="NAME", help="The target's name again, to replace it.", show_default=False
    ),
]
CleanUp = Annotated[
    bool, typer.Option("--clean-up", help="Restore nothing: take away what restores that died left on the server.")
]
OnlyPlan = Annotated[bool, typer.Option("--dry-run", help="Check it all, say what would be done.")]
ClaimName = Annotated[str | None, typer.Option("--claim", hidden=True)]
ClaimUid = Annotated[str | None, typer.Option("--claim-uid", hidden=True)]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("restore")(restore)


def restore(
    context: typer.Context,
    database: Source = None,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    backup: Backup = LATEST,
    before: Before = None,
    to_instance: ToInstance = None,
    to_database: Target = None,
    table: Tables = None,
    on_existing: Existing = OnExisting.FAIL,
    confirm_database: Confirm = None,
    only_plan: OnlyPlan = False,
    clean: CleanUp = False,
    wanted: options.FormatOption = None,
    verbose: options.Verbose = False,
    run_id: options.RunId = None,
    termination_log: options.TerminationLog = None,
    claim: ClaimName = None,
    claim_uid: ClaimUid = None,
) -> int:
    """Restore one database from its backup.

    The whole file is read and compared with its metadata before the server is touched, and loaded beside what exists.
    Afterwards tables and rows are counted on the server and compared; what fails leaves the target as it was.
    """
    invocation: Invocation = context.obj
    run = invocation.begin("restore", run_id=run_id, termination_log=termination_log)
    app = invocation.configure(config, verbose=verbose)
    source = the_one(app, instance)
    if clean:
        return _clean_up(invocation, app, source, wanted)
    path = _path(backup)
    name = _database(database, to_database, path)
    request = Request(
        run=run,
        database=name,
        target=to_database or name,
        backup=LATEST if path else backup,
        path=path,
        tables=tuple(table or ()),
        before=_before(before, backup),
        claim=_claim(claim, claim_uid),
        on_existing=on_existing,
        source=source.id,
    )
    if not only_plan:
        require_confirmed(on_existing, request.target, confirm_database)
    return _work(invocation, app, source, _target(app, source, to_instance), request, wanted, only_plan=only_plan)


def _work(
    invocation: Invocation,
    app: AppConfig,
    source: DatabaseConfig,
    target: DatabaseConfig,
    request: Request,
    wanted: Format | None,
    *,
    only_plan: bool,
) -> int:
    with working(invocation, app, wanted) as tools, ExitStack() as held:
        tree = open_tree(app, source)
        plan = plan_restore(open_session(app, target, tools), request, tree, held) if only_plan else None
        report = None if plan else _run(invocation, app, target, request, tools, tree)
    if plan is not None:
        show_plan(plan, wanted)
        plan.require()
    if report is not None:
        _show(report, wanted)
    return ExitCode.OK


def _clean_up(invocation: Invocation, app: AppConfig, database: DatabaseConfig, wanted: Format | None) -> int:
    with working(invocation, app, Format.JSON) as tools:
        said = clean_up(open_session(app, database, tools))
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json(said)
    else:
        output.console().print("\n".join(map(output.plain, said or ["nothing is left of any restore"])))
    return ExitCode.OK


def _run(
    invocation: Invocation,
    app: AppConfig,
    target: DatabaseConfig,
    request: Request,
    tools: Tools,
    tree: InstanceTree,
) -> RunReport:
    with auditing(invocation, app, target.id, "restore") as audited:
        return run_restore(open_session(app, target, tools), request, audited.delivery, source=tree)


def _target(app: AppConfig, source: DatabaseConfig, to_instance: str | None) -> DatabaseConfig:
    target = source if to_instance is None else app.database(to_instance)
    if target.type is not source.type:
        raise ConfigurationError(
            f"--to-instance {target.id} is {target.type.value}, the backup of {source.id} is {source.type.value}",
            hint="Restore to a server of the same product.",
        )
    return target


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


def _before(before: str | None, backup: str) -> datetime | None:
    if before is not None and backup != LATEST:
        raise ConfigurationError("--before and --backup exclude each other", hint="Give one of them.")
    return options.parse_time(before, "--before")


def _claim(name: str | None, uid: str | None) -> Claim | None:
    if bool(name) != bool(uid):
        raise ConfigurationError("--claim and --claim-uid go together", hint="Give both or none.")
    return Claim(name, uid) if name and uid else None


def _show(report: RunReport, wanted: Format | None) -> None:
    if wanted is Format.JSON:
        output.print_json(to_dict(report))
    elif wanted is Format.TABLE or on_terminal(sys.stdout):
        seconds = sum(row.duration_seconds or 0 for row in report.databases)
        took = f" in {output.duration(seconds)}" if seconds else ""
        output.console().print("[green]✔[/green]", f"{output.plain(report.message)}{took}")
        for one in report.findings:
            output.console().print(output.finding(one))

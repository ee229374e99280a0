"""``vya-backupdb restore``: one database, under its own name or another, from one backup."""

import sys
from contextlib import ExitStack
from datetime import datetime
from typing import Annotated

import typer

from vya_backupdb.cli import options, output, settings
from vya_backupdb.cli.auditing import auditing
from vya_backupdb.cli.invocation import Format, Invocation, on_terminal, the_one
from vya_backupdb.cli.working import working
from vya_backupdb.domain.config import AppConfig, DatabaseConfig
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import RunReport, to_dict
from vya_backupdb.dumper.progress import counted
from vya_backupdb.dumper.restore import run_restore
from vya_backupdb.dumper.restore_plan import Claim, Plan, Request, plan_restore
from vya_backupdb.dumper.session import Tools, open_session
from vya_backupdb.storage.selection import LATEST

Source = Annotated[str, typer.Option("--database", "-d", metavar="NAME", help="The database in the backup.")]
Backup = Annotated[str, typer.Option("--backup", metavar="ID", help="'latest', or an id as 'list' shows it.")]
Before = Annotated[
    str | None,
    typer.Option("--before", metavar="TIME", help="The newest one begun before this time.", show_default=False),
]
Target = Annotated[
    str | None,
    typer.Option("--to-database", metavar="NAME", help="The name it gets. Default: its own.", show_default=False),
]
OnlyPlan = Annotated[bool, typer.Option("--dry-run", help="Check it all, say what would be done.")]
ClaimName = Annotated[str | None, typer.Option("--claim", hidden=True)]
ClaimUid = Annotated[str | None, typer.Option("--claim-uid", hidden=True)]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("restore")(restore)


def restore(
    context: typer.Context,
    database: Source,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    backup: Backup = LATEST,
    before: Before = None,
    to_database: Target = None,
    only_plan: OnlyPlan = False,
    wanted: options.FormatOption = None,
    verbose: options.Verbose = False,
    run_id: options.RunId = None,
    termination_log: options.TerminationLog = None,
    claim: ClaimName = None,
    claim_uid: ClaimUid = None,
) -> int:
    """Restore one database from its backup.

    The whole file is read and compared with its metadata before the server is touched. The target must not exist.
    Afterwards tables and rows are counted on the server and compared; what fails leaves nothing behind.
    """
    invocation: Invocation = context.obj
    run = invocation.begin("restore", run_id=run_id, termination_log=termination_log)
    app = invocation.configure(config, verbose=verbose)
    request = Request(
        run=run,
        database=database,
        target=to_database or database,
        backup=backup,
        before=_before(before, backup),
        claim=_claim(claim, claim_uid),
    )
    with working(invocation, app, wanted) as tools, ExitStack() as held:
        one = the_one(app, instance)
        plan = plan_restore(open_session(app, one, tools), request, held) if only_plan else None
        report = None if plan else _run(invocation, app, one, request, tools)
    if plan is not None:
        show_plan(plan, wanted)
    if report is not None:
        _show(report, wanted)
    return ExitCode.OK


def _run(invocation: Invocation, app: AppConfig, database: DatabaseConfig, request: Request, tools: Tools) -> RunReport:
    with auditing(invocation, app, database.id, "restore") as audited:
        return run_restore(open_session(app, database, tools), request, audited.delivery)


def _before(before: str | None, backup: str) -> datetime | None:
    if before is not None and backup != LATEST:
        raise ConfigurationError("--before and --backup exclude each other", hint="Give one of them.")
    return options.parse_time(before, "--before")


def _claim(name: str | None, uid: str | None) -> Claim | None:
    if bool(name) != bool(uid):
        raise ConfigurationError("--claim and --claim-uid go together", hint="Give both or none.")
    return Claim(name, uid) if name and uid else None


def show_plan(plan: Plan, wanted: Format | None) -> None:
    """Print what a restore would do, step by step."""
    lines = plan_lines(plan)
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json({"backup": plan.stored.id, "target": plan.target, "steps": lines})
        return
    console = output.console()
    console.print("[bold]This restore would[/bold] [dim](nothing was touched)[/dim]")
    for number, line in enumerate(lines, 1):
        console.print(f"  [cyan]{number}[/cyan] ", output.plain(line), sep="")


def plan_lines(plan: Plan) -> list[str]:
    """Return the steps of the plan as sentences."""
    info, size = plan.server.info, output.size(plan.metadata.uncompressed_bytes)
    tables = len(plan.metadata.tables or ())
    known = [table.rows for table in plan.metadata.tables or () if table.rows is not None]
    rows = counted(sum(known), "row") if len(known) == tables else "their rows"
    taken = output.moment(plan.metadata.backup_info.timestamp)
    where = "into a scratch database beside it" if plan.beside else f"into {plan.target}"
    steps = [
        f"take {plan.stored.path}, of {taken}, which was read and found whole",
        f"create a database on {info.product} {info.version}, where {plan.target} does not exist",
        f"load {size or 'it'} {where}",
        *(f"{one.sentence} ({counted(one.count, 'time')})" for one in plan.inspection.transforms),
        "apply what stands in no dump: owner, privileges, settings, comment",
        f"count {counted(tables, 'table')} and {rows}, and compare them with the backup",
    ]
    return [*steps, f"rename it to {plan.target}"] if plan.beside else steps


def _show(report: RunReport, wanted: Format | None) -> None:
    if wanted is Format.JSON:
        output.print_json(to_dict(report))
    elif wanted is Format.TABLE or on_terminal(sys.stdout):
        seconds = sum(row.duration_seconds or 0 for row in report.databases)
        took = f" in {output.duration(seconds)}" if seconds else ""
        output.console().print("[green]✔[/green]", f"{output.plain(report.message)}{took}")
        for one in report.findings:
            output.console().print(output.finding(one))

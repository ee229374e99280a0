"""``vya-backupdb backup``: the databases of one instance, or of all of them in turn."""

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from vya_backupdb.cli import options, output, settings
from vya_backupdb.cli.auditing import auditing
from vya_backupdb.cli.invocation import Format, Invocation, chosen, on_terminal
from vya_backupdb.cli.working import working
from vya_backupdb.domain.config import AppConfig, DatabaseConfig
from vya_backupdb.domain.errors import BackupDBError, ConfigurationError
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import DatabaseRow, RunReport, to_dict
from vya_backupdb.dumper.run import Order, dry_run, run_backup
from vya_backupdb.dumper.session import Tools, open_session

if TYPE_CHECKING:
    from rich.text import Text


class Reason(StrEnum):
    """Why a backup runs."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    CLI = "cli"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("backup")(backup)


def backup(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    databases: options.Databases = None,
    parallel: Annotated[
        int | None, typer.Option("--parallel", min=1, max=64, help="Databases at a time.", show_default=False)
    ] = None,
    only_plan: Annotated[bool, typer.Option("--dry-run", help="Say what would be backed up, and do nothing.")] = False,
    wanted: options.OutputOption = None,
    verbose: options.Verbose = False,
    run_id: options.RunId = None,
    reason: Annotated[Reason, typer.Option("--reason", envvar="VYA_BACKUPDB_REASON", hidden=True)] = Reason.CLI,
    termination_log: options.TerminationLog = None,
    job_uid: Annotated[str | None, typer.Option("--job-uid", envvar="VYA_BACKUPDB_JOB_UID", hidden=True)] = None,
) -> int:
    """Back up every database, and the users and roles, of an instance.

    Without --instance, every enabled instance in turn. Each database becomes one .sql.gz file that is read back from
    the volume before it counts. One that fails stops no other; the exit code says so (40: some failed, 41: all).
    """
    invocation: Invocation = context.obj
    run = invocation.begin("backup", run_id=run_id, termination_log=termination_log)
    app = invocation.configure(config, verbose=verbose)
    found = chosen(app, instance)
    if databases and len(found) > 1:
        raise ConfigurationError(
            "--database needs --instance", hint=f"Name one of {', '.join(one.id for one in found)}."
        )
    with working(invocation, app, wanted) as tools:
        if only_plan:
            return _plan(app, found, tuple(databases or ()), tools, wanted)
        parallelism = parallel or app.run.parallelism
        order = Order(run, reason.value, parallelism, tuple(databases or ()), job_uid=job_uid)
        reports = _run_all(invocation, app, found, order, tools)
    _show(found, reports, wanted)
    return _exit_code(reports)


def _run_all(
    invocation: Invocation, app: AppConfig, found: Sequence[DatabaseConfig], order: Order, tools: Tools
) -> list[RunReport]:
    """Run each instance; of several, one that cannot even begin stops no other."""
    reports = []
    for database in found:
        try:
            with auditing(invocation, app, database.id, "backup") as audited:
                session = open_session(app, database, tools)
                reports.append(run_backup(session, order, audited.delivery))
        except BackupDBError as error:
            if len(found) == 1 or tools.stop.reason is not None:
                raise
            invocation.show_error(error)
            reports.append(invocation.failure("backup", error))
    return reports


def _exit_code(reports: Sequence[RunReport]) -> int:
    codes = {report.exit_code for report in reports}
    if len(codes) == 1:
        return codes.pop()
    return ExitCode.PARTIAL


def _plan(
    app: AppConfig, found: Sequence[DatabaseConfig], databases: tuple[str, ...], tools: Tools, wanted: Format | None
) -> int:
    names: dict[str, list[str]] = {}
    for database in found:
        dry_run(open_session(app, database, tools), databases, names.setdefault(database.id, []).append)
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json([{"instance": instance, "databases": these} for instance, these in names.items()])
        return ExitCode.OK
    table = output.table("instance", "database", fold=("database",))
    for instance, these in names.items():
        for name in these:
            table.add_row(output.cell(instance), output.cell(name))
    output.console().print(table)
    return ExitCode.OK


def _show(found: Sequence[DatabaseConfig], reports: Sequence[RunReport], wanted: Format | None) -> None:
    if wanted is Format.JSON:
        documents = [to_dict(report) for report in reports]
        output.print_json(documents[0] if len(documents) == 1 else documents)
    elif wanted is Format.TABLE or on_terminal(sys.stdout):
        for database, report in zip(found, reports, strict=True):
            show_report(database, report)


def show_report(database: DatabaseConfig, report: RunReport) -> None:
    """Print one run: a row a database, failures with their reason below, and the sum."""
    console = output.console()
    where = f"{database.host}:{database.effective_port}"
    product = f"{report.server.product} {report.server.version} at {where}" if report.server else where
    console.print(f"\n[bold]{database.id}[/bold]  [dim]{output.plain(product)}, run {report.run}[/dim]")
    table = output.table("", "database", "size", "time", "backup", right=("size", "time"), fold=("database", "backup"))
    for row in report.databases:
        table.add_row(*_cells(row))
    console.print(table)
    for one in report.findings:
        console.print(output.finding(one))
    good = report.exit_code == ExitCode.OK
    mark = "[green]✔[/green]" if good else "[bold red]✘[/bold red]"
    took = (report.finished_at - report.started_at).total_seconds() if report.finished_at else None
    message = report.message if good else report.message.split(":")[0]
    console.print(mark, output.plain(message), f"[dim]in {output.duration(took)}[/dim]" if took is not None else "")


def _cells(row: DatabaseRow) -> "tuple[Text, ...]":
    good = row.status == "success"
    mark = output.cell("✔", "green") if good else output.cell("✘", "bold red")
    last = output.cell(row.backup_id) if good else output.cell(f"{row.reason}: {row.error}", "red")
    name = output.cell(output.label(row.kind, row.name), "italic" if row.kind == "users" else "")
    return (
        mark,
        name,
        output.cell(output.size(row.size_bytes)),
        output.cell(output.duration(row.duration_seconds)),
        last,
    )

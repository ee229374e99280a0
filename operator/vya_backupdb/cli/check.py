"""``vya-backupdb check``: would a backup work, and what would it miss."""

import typer

from vya_backupdb.cli import options, output, settings
from vya_backupdb.cli.invocation import Format, Invocation, chosen
from vya_backupdb.cli.working import working
from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import RunReport, to_dict
from vya_backupdb.dumper.check import run_check
from vya_backupdb.dumper.progress import counted


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("check")(check)


def check(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    wanted: options.OutputOption = None,
    verbose: options.Verbose = False,
    run_id: options.RunId = None,
    termination_log: options.TerminationLog = None,
) -> int:
    """Connect, look at versions, clients, databases and the volume, and say what is in the way.

    Nothing is changed, but for a small file that is written to the volume, synced, read back and removed.
    """
    invocation: Invocation = context.obj
    run = invocation.begin("check", run_id=run_id, termination_log=termination_log)
    app = invocation.configure(config, verbose=verbose)
    found = chosen(app, instance)
    with working(invocation, app, Format.JSON) as tools:
        reports = [run_check(app, database, tools, run, invocation.delivery()) for database in found]
    if output.chosen_format(wanted) is Format.JSON:
        documents = [{"instance": one.id, **to_dict(report)} for one, report in zip(found, reports, strict=True)]
        output.print_json(documents[0] if len(documents) == 1 else documents)
    else:
        for database, report in zip(found, reports, strict=True):
            show_check(database, report)
    return next((report.exit_code for report in reports if report.exit_code), ExitCode.OK)


def show_check(database: DatabaseConfig, report: RunReport) -> None:
    """Print one instance's check."""
    console = output.console()
    where = f"{database.host}:{database.effective_port}"
    server = report.server
    product = f"{server.product} {server.version} at {where}" if server else f"{where}, not reached"
    console.print(output.text((database.id, "bold"), ("  " + output.plain(product), "dim")))
    if report.databases:
        columns = ("database", "size", "objects", "backed up")
        table = output.table(*columns, right=("size",), fold=("database", "objects", "backed up"))
        for row in report.databases:
            covered = output.cell("yes", "green") if row.status == "success" else output.cell(f"no: {row.error}", "dim")
            objects = ", ".join(counted(number, kind.removesuffix("s")) for kind, number in (row.objects or {}).items())
            table.add_row(
                output.cell(row.name), output.cell(output.size(row.size_bytes)), output.cell(objects), covered
            )
        console.print(table)
    storage = report.storage
    if storage is not None:
        free, total = output.size(storage.free_bytes), output.size(storage.total_bytes)
        console.print(output.text(f"volume: {free} free of {total}", style="dim"))
    for finding in report.findings:
        if finding.reason != "Uncovered":
            console.print(output.finding(finding))
    if report.exit_code == ExitCode.OK:
        console.print(output.text(("✔", "green"), f" {output.plain(report.message)}"))

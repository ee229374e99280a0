"""``vya-backupdb restore``: one database, under its own name or another, from one backup."""

import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from vya_backupdb.cli import options, output, settings, users_view
from vya_backupdb.cli.auditing import auditing
from vya_backupdb.cli.frame import Frame, Job, grouped
from vya_backupdb.cli.invocation import Format, Invocation, on_terminal, the_one
from vya_backupdb.cli.noting import noting
from vya_backupdb.cli.restore_options import Accounts, ClaimOptions, Names, Where, Which, request_of
from vya_backupdb.cli.restore_plan import show_plan
from vya_backupdb.cli.working import working
from vya_backupdb.domain.config import AppConfig, DatabaseConfig
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import RunReport, to_dict
from vya_backupdb.dumper.restore import run_restore
from vya_backupdb.dumper.restore_plan import plan_restore
from vya_backupdb.dumper.restore_request import Request, require_confirmed
from vya_backupdb.dumper.session import Tools, open_session, open_tree
from vya_backupdb.dumper.settling import clean_up
from vya_backupdb.storage.tree import InstanceTree

CleanUp = Annotated[
    bool, typer.Option("--clean-up", help="Restore nothing: take away what restores that died left on the server.")
]
OnlyPlan = Annotated[bool, typer.Option("--dry-run", help="Check it all, say what would be done.")]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("restore")(restore)


@grouped
def restore(
    context: typer.Context,
    which: Which,
    where: Where,
    names: Names,
    accounts: Accounts,
    claim: ClaimOptions,
    job: Job,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    only_plan: OnlyPlan = False,
    clean: CleanUp = False,
    wanted: options.OutputOption = None,
    verbose: options.Verbose = False,
) -> int:
    """Restore one database from its backup.

    The whole file is read and compared with its metadata before the server is touched, and loaded beside what exists.
    Afterwards tables and rows are counted on the server and compared; what fails leaves the target as it was. With
    --users, accounts or grants that the server refused stop nothing else: the exit code is 49.
    """
    invocation: Invocation = context.obj
    run = invocation.begin("restore", run_id=job.run_id, termination_log=job.termination_log)
    app = invocation.configure(config, verbose=verbose)
    source = the_one(app, instance)
    if clean:
        return _clean_up(invocation, app, source, wanted)
    request = request_of(run, source, which, where, names, accounts, claim)
    target = where.server(app, source)
    if only_plan:
        return _plan(invocation, app, source, target, request, wanted)
    require_confirmed(request.on_existing, request.target, where.confirm_database)
    with working(invocation, app, wanted) as tools:
        report = _run(invocation, app, target, request, tools, open_tree(app, source))
    _show(report, wanted)
    return report.exit_code


def _plan(
    invocation: Invocation,
    app: AppConfig,
    source: DatabaseConfig,
    target: DatabaseConfig,
    request: Request,
    wanted: Format | None,
) -> int:
    with working(invocation, app, wanted) as tools, ExitStack() as held:
        plan = plan_restore(open_session(app, target, tools), request, open_tree(app, source), held)
    show_plan(plan, wanted)
    plan.require()
    return ExitCode.OK


def _clean_up(invocation: Invocation, app: AppConfig, database: DatabaseConfig, wanted: Format | None) -> int:
    frame = Frame(invocation, app, database.id, wanted)
    with working(invocation, app, Format.JSON) as tools, noting(frame, "clean-up") as word:
        said = clean_up(open_session(app, database, tools))
        if said:
            word.about(None, None)
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


def _show(report: RunReport, wanted: Format | None) -> None:
    if wanted is Format.JSON:
        output.print_json(to_dict(report))
    elif wanted is Format.TABLE or on_terminal(sys.stdout):
        seconds = sum(row.duration_seconds or 0 for row in report.databases)
        took = f" in {output.duration(seconds)}" if seconds else ""
        mark = "[green]✔[/green]" if report.exit_code == ExitCode.OK else "[yellow]![/yellow]"
        output.console().print(mark, f"{output.plain(report.message)}{took}")
        users_view.show_reported(report.restored.users if report.restored else ())
        for one in report.findings:
            output.console().print(output.finding(one))

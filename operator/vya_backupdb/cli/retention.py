"""``vya-backupdb retention plan|apply|accept``: what would be deleted and why; that it is; what is in order anyway."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from vya_backupdb.cli import options, output
from vya_backupdb.cli.auditing import auditing
from vya_backupdb.cli.frame import Configured, Frame, Job, caller, framed, grouped
from vya_backupdb.cli.invocation import Format, Invocation, now, the_one
from vya_backupdb.cli.noting import noting
from vya_backupdb.cli.working import working
from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.notes import Acceptance
from vya_backupdb.domain.report import RunReport, to_dict
from vya_backupdb.domain.retention import Action, Decision
from vya_backupdb.domain.series import Backup
from vya_backupdb.dumper import words
from vya_backupdb.dumper.auditing import deletions
from vya_backupdb.dumper.prune import Pruning, apply_retention, plan_retention
from vya_backupdb.dumper.session import open_session, open_tree

_ACCEPTED: Final = {"server": "the server", "deletions": "deletions"}

app = typer.Typer(help="Delete the backups that no rule keeps.", no_args_is_help=True)


@app.command("plan")
@framed
def plan(frame: Frame) -> int:
    """Say for every backup whether it would be kept or deleted, and why. Nothing is deleted."""
    documents: list[dict[str, Any]] = []
    frozen = False
    with working(frame.invocation, frame.app, Format.JSON) as tools:
        for database in frame.databases:
            pruning = plan_retention(open_session(frame.app, database, tools))
            frozen = frozen or pruning.refusal is not None
            documents.append(_document(database, pruning))
            if not frame.as_json:
                show_plan(database, pruning)
    if frame.as_json:
        output.print_json(documents)
    return ExitCode.RETENTION_FROZEN if frozen else ExitCode.OK


@app.command("apply")
@grouped
def apply(
    context: typer.Context,
    job: Job,
    configured: Configured,
    instance: options.Instance = None,
    wanted: options.OutputOption = None,
) -> int:
    """Delete exactly what 'retention plan' says. Only backups of the configured schedule are ever deleted."""
    invocation: Invocation = context.obj
    run = invocation.begin("retention", run_id=job.run_id, termination_log=job.termination_log)
    loaded = configured.load(context)
    database = the_one(loaded, instance)
    as_json = output.chosen_format(wanted) is Format.JSON
    planned: list[dict[str, Any]] = []

    def show(pruning: Pruning) -> None:
        planned.append(_document(database, pruning))
        if audited.recorder is not None and loaded.retention.cleanup_enabled:
            audited.recorder.will_delete(deletions(pruning.plan.deletions))
        if not as_json:
            show_plan(database, pruning)
        elif pruning.refusal is not None:
            output.print_json(planned[0])  # the error that follows has no document of its own

    def done(deleted: Sequence[Backup]) -> None:
        if audited.recorder is not None:
            audited.recorder.will_delete(deletions(deleted))  # what was left alone was not deleted

    with (
        working(invocation, loaded, Format.JSON) as tools,
        auditing(invocation, loaded, database.id, "retention") as audited,
    ):
        session = open_session(loaded, database, tools)
        report = apply_retention(session, run, audited.delivery, show, done)
    if as_json:
        output.print_json({**planned[0], "report": to_dict(report)})
    else:
        _show_end(report)
    return report.exit_code


@app.command("accept")
@framed
def accept(
    frame: Frame,
    backup: Annotated[
        str | None, typer.Option("--backup", metavar="ID", help="Only this backup's anomaly.", show_default=False)
    ] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", "-d", metavar="NAME", help="Only this database's anomalies.", show_default=False),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; noted on the volume.")] = "",
) -> int:
    """Accept what keeps backups from being deleted: anomalies, deletions that are many, another server behind it.

    Without --backup and --database everything that waits is accepted, and the server is asked who it is. Deletions are
    accepted as 'retention plan' shows them now: what it would delete besides, later, waits again.
    """
    config = frame.database
    with noting(frame, "accept", backup=backup, database=database) as word:
        accepted = _accept(frame, words.Speaker(caller(), now(), reason), backup, database)
        tree = open_tree(frame.app, config)
        for one in accepted:
            of = words.database_of(tree, one.backup) if one.backup else one.database
            word.about(of, one.backup or ", ".join(one.backups) or None)
    if frame.as_json:
        output.print_json({"instance": config.id, "accepted": [one.model_dump(mode="json") for one in accepted]})
        return ExitCode.OK
    for one in accepted:
        output.say_done(f"accepted: {one.backup or _ACCEPTED[one.what]}: {one.finding}")
    if not accepted:
        output.console().print(output.text("nothing waits to be accepted", style="dim"))
    return ExitCode.OK


def _accept(frame: Frame, speaker: words.Speaker, backup: str | None, database: str | None) -> list[Acceptance]:
    """Accept what was asked for: the deletions last, because an accepted anomaly makes more of them."""
    tree = open_tree(frame.app, frame.database)
    counts_deletions = backup is None and frame.app.retention.max_delete_percent
    if backup is not None or (database is not None and not counts_deletions):
        return words.accept_anomalies(frame.app, tree, speaker, backup=backup, database=database)
    with working(frame.invocation, frame.app, Format.JSON) as tools:
        session = open_session(frame.app, frame.database, tools)
        servers = [] if database is not None else words.accept_server(session, speaker)
        anomalies = words.accept_anomalies(frame.app, tree, speaker, database=database)
        return [*servers, *anomalies, *words.accept_deletions(session, speaker, database=database)]


def _document(database: DatabaseConfig, pruning: Pruning) -> dict[str, Any]:
    return {
        "instance": database.id,
        "frozen": pruning.refusal.message if pruning.refusal else None,
        "decisions": [_decision_dict(one, pruning) for one in pruning.plan.decisions],
    }


def _decision_dict(decision: Decision, pruning: Pruning) -> dict[str, Any]:
    backup = decision.backup
    return {
        "action": decision.action.value,
        "database": backup.series.database_name,
        "schedule": backup.series.schedule,
        "backup": backup.id,
        "path": str(pruning.judged.stored[backup.key].path),
        "timestamp": backup.timestamp.isoformat(),
        "size_bytes": backup.size_bytes,
        "reasons": list(decision.reasons),
    }


def show_plan(database: DatabaseConfig, pruning: Pruning) -> None:
    """Print each backup with its fate and the reasons for it."""
    table = output.table("", "backup", "begun", "size", "why", right=("size",), fold=("backup", "why"))
    for decision in pruning.plan.decisions:
        backup = decision.backup
        table.add_row(
            output.state(decision.action.value),
            output.cell(backup.id),
            output.cell(output.moment(backup.timestamp)),
            output.cell(output.size(backup.size_bytes)),
            output.cell("; ".join(decision.reasons)),
        )
    deleted = [one for one in pruning.plan.decisions if one.action is Action.DELETE]
    freed = output.size(sum(one.backup.size_bytes for one in deleted))
    console = output.console()
    console.print(output.text(database.id, style="bold"))
    console.print(table)
    kept = len(pruning.plan.decisions) - len(deleted)
    console.print(output.text(f"{kept} to keep, {len(deleted)} to delete ({freed})", style="dim"))
    anomalies = [f"{one.id}: {one.anomaly}; see 'retention accept'" for one in pruning.judged.anomalies]
    for text in (*anomalies, *([pruning.refusal.message] if pruning.refusal else [])):
        console.print(output.text(f"! {output.plain(text)}", style="yellow"))


def _show_end(report: RunReport) -> None:
    output.say_done(report.message)
    for one in report.findings:
        output.console().print(output.finding(one))

"""``vya-backupdb audit list``: what was done, by whom, from where, and how it ended."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from vya_backupdb.cli import options, output, settings
from vya_backupdb.cli.auditing import open_log
from vya_backupdb.cli.invocation import Format, Invocation
from vya_backupdb.domain.audit import AuditEntry
from vya_backupdb.domain.errors import AuditUnavailable
from vya_backupdb.domain.exitcodes import ExitCode

app = typer.Typer(help="Read the audit log.", no_args_is_help=True)

Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only what ended at this time or later.", show_default=False),
]
Operation = Annotated[
    str | None,
    typer.Option("--operation", metavar="WORD", help="Only backup, restore, cleanup, …", show_default=False),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many, the newest.")]


@app.callback()
def _audit() -> None:
    """Keep `list` a command of its own: with one command only, Typer would take the group for it."""


@app.command("list")
def list_entries(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    since: Since = None,
    operation: Operation = None,
    limit: Limit = 100,
    wanted: options.FormatOption = None,
    verbose: options.Verbose = False,
) -> int:
    """Show the newest entries of the audit log, newest first. Times are UTC."""
    invocation: Invocation = context.obj
    loaded = invocation.configure(config, verbose=verbose)
    log = open_log(loaded, os.environ, invocation.redact)
    if log is None:
        raise AuditUnavailable("no audit log is configured", hint="Set audit.database_url.")
    entries = log.read(since=options.parse_time(since, "--since"), operation=operation, limit=limit)
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json([_document(entry) for entry in entries])
    else:
        _show(entries)
    return ExitCode.OK


def _document(entry: AuditEntry) -> dict[str, object]:
    return {**asdict(entry), "timestamp": entry.timestamp.isoformat()}


def _show(entries: list[AuditEntry]) -> None:
    columns = ("time", "operation", "instance", "database", "status", "size", "took", "by", "what")
    table = output.table(*columns, right=("size", "took"), fold=("database", "by", "what"))
    for entry in entries:
        table.add_row(
            output.cell(output.moment(entry.timestamp)),
            output.cell(entry.operation),
            output.cell(entry.database_id),
            output.cell(entry.database_name),
            output.state(entry.status),
            output.cell(output.size(entry.size_bytes)),
            output.cell(output.duration(entry.duration_seconds)),
            output.cell(f"{entry.actor}@{entry.hostname}" if entry.actor else entry.hostname),
            output.cell(entry.error_message or entry.backup_id),
        )
    output.console().print(table)

"""``vya-backupdb list``: each database's last backup and status; with --database, each backup of it."""

from collections.abc import Sequence
from typing import Any

import typer
from rich.text import Text

from vya_backupdb.cli import listeners, options, output, settings
from vya_backupdb.cli.invocation import Format, Invocation, chosen, now
from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.dumper.catalog import Entry, entries, last_failure
from vya_backupdb.dumper.session import open_tree
from vya_backupdb.storage.catalog import StoredBackup


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("list")(list_backups)


def list_backups(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    databases: options.Databases = None,
    wanted: options.FormatOption = None,
    verbose: options.Verbose = False,
) -> int:
    """List each database with its last backup and status; with --database, all its backups.

    Only the volume is read; no server is asked.
    """
    invocation: Invocation = context.obj
    app = invocation.configure(config, verbose=verbose)
    as_json = output.chosen_format(wanted) is Format.JSON
    documents: list[Any] = []
    for database in chosen(app, instance):
        tree = open_tree(app, database)
        if databases:
            stored = [one for name in databases for one in tree.backups(name)]
            documents.append(_document(database, backups=[backup_dict(one) for one in stored]))
            if not as_json:
                _show_backups(database, stored)
            continue
        found = entries(tree, database)
        failure = last_failure(tree)
        last_run = {"run": failure.run, "reason": failure.reason, "message": failure.message} if failure else None
        documents.append(_document(database, databases=[entry_dict(one) for one in found], last_failure=last_run))
        if not as_json:
            _show_entries(database, found)
        if not as_json and failure is not None:
            text = f"the last run failed: {failure.reason}: {output.plain(failure.message)}"
            output.console().print(Text(text, style="red"))
    if as_json:
        output.print_json(documents)
    return ExitCode.OK


def _document(database: DatabaseConfig, **more: Any) -> dict[str, Any]:
    return {"instance": database.id, "hostname": database.tree_hostname, **more}


def entry_dict(entry: Entry) -> dict[str, Any]:
    """Return an entry as plain JSON types."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "status": entry.status.value,
        "last": backup_dict(entry.last) if entry.last else None,
        "backups": entry.count,
        "corrupt": entry.corrupt,
        "size_bytes": entry.size_bytes,
        "error": entry.error or None,
    }


def backup_dict(stored: StoredBackup) -> dict[str, Any]:
    """Return a backup as plain JSON types."""
    metadata = stored.metadata if stored.problem is None else None
    return {
        "id": stored.id,
        "database": stored.database,
        "path": str(stored.path),
        "timestamp": stored.moment.isoformat(),
        "status": "corrupt" if stored.problem else "success",
        "problem": stored.problem,
        "size_bytes": metadata.file_info.size_bytes if metadata and metadata.file_info else None,
        "uncompressed_bytes": metadata.uncompressed_bytes if metadata else None,
        "tables": len(metadata.tables) if metadata and metadata.tables is not None else None,
        "schedule": metadata.schedule if metadata else None,
        "run": metadata.run.id if metadata and metadata.run else None,
        "warnings": list(metadata.warnings) if metadata else [],
    }


def _title(database: DatabaseConfig, what: str) -> Text:
    return Text.assemble((database.id, "bold"), ("  " + output.plain(what), "dim"))


def _show_entries(database: DatabaseConfig, found: Sequence[Entry]) -> None:
    table = output.table(
        "database", "status", "last backup", "age", "size", "kept", right=("size", "kept"), fold=("database",)
    )
    for one in found:
        info = one.last.metadata.file_info if one.last and one.last.metadata else None
        table.add_row(
            output.cell(listeners.label(one.kind, one.name), "italic" if one.kind == "users" else ""),
            output.state(one.status.value),
            output.cell(one.last.id if one.last else None),
            output.cell(output.age(one.last.moment, now()) if one.last else None),
            output.cell(output.size(info.size_bytes if info else None)),
            output.cell(one.count),
        )
    console = output.console()
    console.print(_title(database, database.tree_hostname))
    console.print(table)
    for one in found:
        if one.error or one.corrupt:
            why = one.error or f"{one.corrupt} of its backups are corrupt; see --database {one.name}"
            console.print(Text(f"{listeners.label(one.kind, one.name)}: {output.plain(why)}", style="red"))


def _show_backups(database: DatabaseConfig, stored: Sequence[StoredBackup]) -> None:
    table = output.table(
        "backup", "begun", "size", "raw", "tables", "rows", "schedule", "state",
        right=("size", "raw", "tables", "rows"), fold=("backup", "state"),
    )  # fmt: skip
    for one in reversed(stored):
        metadata = one.metadata if one.problem is None else None
        tables = metadata.tables if metadata else None
        known = tables is not None and all(table.rows is not None for table in tables)
        rows = sum(table.rows or 0 for table in tables) if tables is not None and known else None
        state = output.cell(f"corrupt: {one.problem}", "bold red") if one.problem else output.state("good")
        info = metadata.file_info if metadata else None
        table.add_row(
            output.cell(one.id),
            output.cell(output.moment(one.moment)),
            output.cell(output.size(info.size_bytes if info else None)),
            output.cell(output.size(metadata.uncompressed_bytes if metadata else None)),
            output.cell(len(tables) if tables is not None else None),
            output.cell(rows),
            output.cell(metadata.schedule if metadata else None),
            state,
        )
    console = output.console()
    console.print(_title(database, f"{len(stored)} backups"))
    console.print(table)

"""``vya-backupdb list``: each database's last backup and status; with --database, each backup of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import typer

from vya_backupdb.cli import options, output
from vya_backupdb.cli.describing import backup_dict, rows, state, stranger_dict, trusted
from vya_backupdb.cli.frame import Frame, framed
from vya_backupdb.cli.invocation import now
from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import RunReport
from vya_backupdb.domain.series import Backup
from vya_backupdb.dumper.catalog import Entry, entries, last_failure
from vya_backupdb.dumper.judged import judged, read_notes
from vya_backupdb.dumper.session import open_tree
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.strangers import Stranger
from vya_backupdb.storage.tree import InstanceTree

if TYPE_CHECKING:
    from rich.text import Text

SHOWN_STRANGERS: Final = 20


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("list")(list_backups)


@framed
def list_backups(frame: Frame, databases: options.Databases = None) -> int:
    """List each database with its last backup and status; with --database, all its backups.

    What lies there and is no backup is named as what it is. Only the volume is read; no server is asked.
    """
    documents: list[Any] = []
    for database in frame.databases:
        tree = open_tree(frame.app, database)
        strangers = tree.strangers()
        document: dict[str, Any] = {"instance": database.id, "hostname": database.tree_hostname}
        if databases:
            listed = [one for name in databases for one in _judged(frame, tree, name)]
            document |= {"backups": [backup_dict(*one) for one in listed]}
            if not frame.as_json:
                _show_backups(database, listed)
        else:
            found, failure = entries(tree, database), last_failure(tree)
            document |= {"databases": [entry_dict(one) for one in found], "last_failure": _failure_dict(failure)}
            if not frame.as_json:
                _show_entries(database, found, failure)
        documents.append(document | {"others": [stranger_dict(one) for one in strangers]})
        if not frame.as_json:
            _show_strangers(strangers)
    if frame.as_json:
        output.print_json(documents)
    return ExitCode.OK


def _judged(frame: Frame, tree: InstanceTree, name: str) -> list[tuple[StoredBackup, Backup]]:
    """Return the backups of one database, oldest first, with what is known of each."""
    stored = tree.backups(name)
    found = judged(tree, stored, read_notes(tree)[0], frame.app.retention.anomaly, now=now())
    return [(one, found[one.summary(tree.layout).key]) for one in stored]


def _failure_dict(failure: RunReport | None) -> dict[str, str] | None:
    return {"run": failure.run, "reason": failure.reason, "message": failure.message} if failure else None


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


def _title(database: DatabaseConfig, what: str) -> "Text":
    return output.text((database.id, "bold"), ("  " + output.plain(what), "dim"))


def _show_entries(database: DatabaseConfig, found: Sequence[Entry], failure: RunReport | None) -> None:
    table = output.table(
        "database", "status", "last backup", "age", "size", "kept", right=("size", "kept"), fold=("database",)
    )
    for one in found:
        info = one.last.metadata.file_info if one.last and one.last.metadata else None
        table.add_row(
            output.cell(output.label(one.kind, one.name), "italic" if one.kind == "users" else ""),
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
            console.print(output.text(f"{output.label(one.kind, one.name)}: {output.plain(why)}", style="red"))
    if failure is not None:
        text = f"the last run failed: {failure.reason}: {output.plain(failure.message)}"
        console.print(output.text(text, style="red"))


def _show_backups(database: DatabaseConfig, listed: Sequence[tuple[StoredBackup, Backup]]) -> None:
    table = output.table(
        "backup", "begun", "size", "raw", "tables", "rows", "schedule", "state",
        right=("size", "raw", "tables", "rows"), fold=("backup", "state"),
    )  # fmt: skip
    for one, found in reversed(listed):
        metadata = trusted(one)
        info = metadata.file_info if metadata else None
        table.add_row(
            output.cell(one.id),
            output.cell(output.moment(one.moment)),
            output.cell(output.size(info.size_bytes if info else None)),
            output.cell(output.size(metadata.uncompressed_bytes if metadata else None)),
            output.cell(len(metadata.tables) if metadata and metadata.tables is not None else None),
            output.cell(rows(metadata)),
            output.cell(metadata.schedule if metadata else None),
            state(one, found),
        )
    console = output.console()
    console.print(_title(database, f"{len(listed)} backups"))
    console.print(table)


def _show_strangers(strangers: Sequence[Stranger]) -> None:
    for one in strangers[:SHOWN_STRANGERS]:
        output.console().print(output.text(output.plain(f"{one.kind}: {one.path}: {one.why}"), style="yellow"))
    if len(strangers) > SHOWN_STRANGERS:
        more = f"and {len(strangers) - SHOWN_STRANGERS} more files that are no backups; --format json names all"
        output.console().print(output.text(more, style="yellow"))

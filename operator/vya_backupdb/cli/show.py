"""``vya-backupdb show``: all that is known of one backup, and how to restore it without this program."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from vya_backupdb.cli import output
from vya_backupdb.cli.describing import backup_dict, pin_dict, rows, state, trusted
from vya_backupdb.cli.frame import Frame, framed
from vya_backupdb.cli.invocation import now
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.metadata import BackupMetadata, as_dict
from vya_backupdb.domain.notes import Notes
from vya_backupdb.domain.series import Backup
from vya_backupdb.dumper import byhand
from vya_backupdb.dumper.judged import judged, read_notes
from vya_backupdb.dumper.session import open_tree
from vya_backupdb.dumper.words import require_backup
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.tree import InstanceTree

SHOWN_TABLES = 20


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("show")(show)


@framed
def show(
    frame: Frame,
    backup: Annotated[str, typer.Argument(metavar="BACKUP", help="The backup's id: its file's name.")],
) -> int:
    """Show all that is known of one backup: files, run, consistency, warnings, tables, pins, how to restore it by hand.

    Only the volume is read, and not the dump itself: 'verify --backup' does that.
    """
    wanted = output.backup_id(backup)
    tree = open_tree(frame.app, frame.database)
    require_backup(tree, wanted)
    notes, _ = read_notes(tree)
    documents = [_document(one, _judged(frame, tree, one, notes), notes) for one in tree.by_id(wanted)]
    if frame.as_json:
        output.print_json(documents)
        return ExitCode.OK
    for one in tree.by_id(wanted):
        _show(one, _judged(frame, tree, one, notes))
    return ExitCode.OK


def _judged(frame: Frame, tree: InstanceTree, stored: StoredBackup, notes: Notes) -> Backup:
    """Return what is known of `stored`; for that it is compared with the others of its series."""
    others = tree.users() if stored.database is None else tree.backups(stored.database)
    found = judged(tree, others, notes, frame.app.retention.anomaly, now=now())
    return found.get(stored.summary(tree.layout).key) or stored.summary(tree.layout)


def _document(stored: StoredBackup, found: Backup, notes: Notes) -> dict[str, Any]:
    accepted = [one.model_dump(mode="json") for one in notes.accepted if one.backup == stored.id]
    files = (stored.files.data, stored.files.checksum, stored.files.metadata)
    return {
        **backup_dict(stored, found),
        "files": [str(stored.path.with_name(one.name)) for one in files],
        "pin": pin_dict(notes.pin_of(stored.id)),
        "accepted": accepted,
        "restore_by_hand": list(byhand.commands(stored)),
        "metadata": as_dict(stored.metadata) if stored.metadata else None,
    }


def _show(stored: StoredBackup, found: Backup) -> None:
    console = output.console()
    console.print(output.text(output.plain(stored.id), style="bold"))
    table = output.table("", "", fold=("",))
    table.show_header = False
    table.add_row("state", state(stored, found))
    for name, value in _facts(stored, trusted(stored)).items():
        table.add_row(name, output.cell(value))
    console.print(table)
    metadata = trusted(stored)
    for warning in metadata.warnings if metadata else ():
        console.print(output.text(f"! {output.plain(warning)}", style="yellow"))
    if metadata is not None and metadata.tables:
        _show_tables(metadata)
    by_hand = byhand.commands(stored)
    if by_hand:
        console.print(output.text("to restore it by hand:", style="bold"))
        for command in by_hand:
            console.print(output.text(f"  {output.plain(command)}"), soft_wrap=True)


def _facts(stored: StoredBackup, metadata: BackupMetadata | None) -> Mapping[str, str]:
    """Return what is told in a line each; only the place of a backup that cannot be trusted."""
    place = {"file": str(stored.path)}
    if metadata is None:
        return place
    info, run, tool = metadata.backup_info, metadata.run, metadata.tool
    database = metadata.database
    size, raw = metadata.file_info, metadata.uncompressed_bytes
    facts = {
        "database": info.database_name if metadata.kind == "database" else "users and roles",
        "begun": output.moment(info.timestamp),
        **place,
        "size": f"{output.size(size.size_bytes if size else None)} ({output.size(raw) or 'not known'} raw)",
        "checksum": f"{size.checksum_algorithm} {size.checksum}" if size else "",
        "took": output.duration(info.duration_seconds),
        "run": f"{run.id} ({run.reason})" if run else "",
        "schedule": (run.schedule or "") if run else "",
        "server": f"{tool.server_product} {tool.server_version}" if tool else "",
        "client": tool.client if tool else "",
        "snapshot": metadata.consistency.method if metadata.consistency else "",
        "checked": ", ".join(metadata.consistency.checked) if metadata.consistency else "",
        "charset": " ".join(filter(None, (database.charset, database.collation))) if database else "",
        "owner": (database.owner or "") if database else "",
        "rows": str(rows(metadata) or ""),
    }
    return {name: value for name, value in facts.items() if value}


def _show_tables(metadata: BackupMetadata) -> None:
    tables = metadata.tables or ()
    shown = output.table("table", "rows", right=("rows",), fold=("table",))
    for one in tables[:SHOWN_TABLES]:
        shown.add_row(output.cell(".".join(filter(None, (one.schema_name, one.name)))), output.cell(one.rows))
    output.console().print(shown)
    if len(tables) > SHOWN_TABLES:
        more = f"and {len(tables) - SHOWN_TABLES} more tables; --format json names all"
        output.console().print(output.text(more, style="dim"))

"""``vya-backupdb verify``: every byte of the stored backups is read again; one result for each."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from vya_backupdb.cli import options, output
from vya_backupdb.cli.auditing import auditing
from vya_backupdb.cli.frame import Frame, framed
from vya_backupdb.cli.invocation import Format
from vya_backupdb.cli.working import working
from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.errors import NotFound
from vya_backupdb.dumper.session import Tools, open_tree
from vya_backupdb.dumper.verification import Outcome, Verified, verify_backups
from vya_backupdb.dumper.verify_report import exit_code, sentence, verify_report
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.tree import InstanceTree

Wanted = Callable[[InstanceTree], Iterator[StoredBackup]]


class Level(StrEnum):
    """How deep: FILE reads the bytes."""

    FILE = "file"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("verify")(verify)


@framed
def verify(
    frame: Frame,
    databases: options.Databases = None,
    backup: Annotated[
        str | None, typer.Option("--backup", metavar="ID", help="Only this backup.", show_default=False)
    ] = None,
    level: Annotated[Level, typer.Option("--level", help="'file': every byte is read and compared.")] = Level.FILE,
) -> int:
    """Read the stored backups to their last byte, and say of each whether it is what was written.

    Size, checksum, gzip, closing marker, tables, rows, and the seal of the metadata. No server is asked. A damaged
    backup is noted on the volume: it then counts for nothing and is never deleted.
    """
    del level  # there is one so far
    run = frame.invocation.begin("verify")
    results: list[tuple[DatabaseConfig, Verified]] = []
    with working(frame.invocation, frame.app, Format.JSON if frame.as_json else Format.TABLE) as tools:
        for config in frame.databases:
            found = _verify(frame, config, tools, run, lambda tree: _wanted(tree, databases, backup))
            results += [(config, one) for one in found]
    if not results:
        raise NotFound("there is no backup to verify", hint="'list' shows what there is; is the right volume mounted?")
    every = [one for _, one in results]
    if frame.as_json:
        output.print_json([verified_dict(config, one) for config, one in results])
    else:
        output.console().print(output.text(sentence(every), style="dim"))
    return exit_code(every)


def _verify(frame: Frame, config: DatabaseConfig, tools: Tools, run: str, wanted: Wanted) -> list[Verified]:
    """Verify the backups of one instance; the report goes to the volume and the audit log. Show each at once."""
    tree, started = open_tree(frame.app, config), tools.clock()
    found: list[Verified] = []
    with auditing(frame.invocation, frame.app, config.id, "verify") as audited:
        for one in verify_backups(tree, wanted(tree), tools):
            found.append(one)
            if not frame.as_json:
                _show(one)
        if found:
            audited.delivery.save = tree.save_run
            audited.delivery(verify_report(run, started, tools.clock(), found))
    return found


def _wanted(tree: InstanceTree, databases: list[str] | None, backup: str | None) -> Iterator[StoredBackup]:
    if backup is not None:
        yield from tree.by_id(output.backup_id(backup))
    elif databases:
        for name in databases:
            yield from tree.backups(name)
    else:
        yield from (*tree.backups(), *tree.users())


def verified_dict(config: DatabaseConfig, one: Verified) -> dict[str, Any]:
    """Return a result as plain JSON types."""
    return {
        "instance": config.id,
        "id": one.stored.id,
        "database": one.stored.database,
        "path": str(one.stored.path),
        "outcome": one.outcome.value,
        "problem": one.problem or None,
        "raw_bytes": one.raw_bytes,
        "tables": len(one.tables) if one.raw_bytes is not None else None,
        "seconds": round(one.seconds, 3),
    }


def _show(one: Verified) -> None:
    """Print a line for one backup, as soon as it is known."""
    good = one.outcome is Outcome.WHOLE
    mark = ("✔", "green") if good else ("✘", "bold red") if one.outcome is Outcome.CORRUPT else ("!", "yellow")
    said = (
        f"{output.size(one.raw_bytes)} in {output.duration(one.seconds)}" if good else f"{one.outcome}: {one.problem}"
    )
    output.console().print(output.text(mark, f" {one.stored.id}  ", (output.plain(said), "dim" if good else "red")))

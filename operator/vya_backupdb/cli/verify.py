"""``vya-backupdb verify``: every byte of the stored backups is read again; one result for each."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from vya_backupdb.cli import options, output
from vya_backupdb.cli.frame import Frame, framed
from vya_backupdb.cli.invocation import Format
from vya_backupdb.cli.working import working
from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.errors import NotFound
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.dumper.progress import counted
from vya_backupdb.dumper.session import open_tree
from vya_backupdb.dumper.verification import Outcome, Verified, verify_backups
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.tree import InstanceTree


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
    results: list[tuple[DatabaseConfig, Verified]] = []
    with working(frame.invocation, frame.app, Format.JSON if frame.as_json else Format.TABLE) as tools:
        for config in frame.databases:
            tree = open_tree(frame.app, config)
            for one in verify_backups(tree, _wanted(tree, databases, backup), tools):
                results.append((config, one))
                if not frame.as_json:
                    _show(one)
    if not results:
        raise NotFound("there is no backup to verify", hint="'list' shows what there is; is the right volume mounted?")
    if frame.as_json:
        output.print_json([verified_dict(config, one) for config, one in results])
    else:
        _show_end([one for _, one in results])
    return _exit_code([one.outcome for _, one in results])


def _wanted(tree: InstanceTree, databases: list[str] | None, backup: str | None) -> Iterator[StoredBackup]:
    if backup is not None:
        yield from tree.by_id(output.backup_id(backup))
    elif databases:
        for name in databases:
            yield from tree.backups(name)
    else:
        yield from (*tree.backups(), *tree.users())


def _exit_code(outcomes: list[Outcome]) -> ExitCode:
    if Outcome.CORRUPT in outcomes:
        return ExitCode.BACKUP_CORRUPT
    return ExitCode.STORAGE_UNAVAILABLE if Outcome.UNREADABLE in outcomes else ExitCode.OK


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


def _show_end(results: list[Verified]) -> None:
    counts = [(outcome, sum(one.outcome is outcome for one in results)) for outcome in Outcome]
    said = ", ".join(f"{number} {outcome.value}" for outcome, number in counts if number)
    output.console().print(output.text(f"{counted(len(results), 'backup')}: {said}", style="dim"))

"""``vya-backupdb pin|unpin``: keep one backup from being deleted, whatever the rules say, with the reason for it."""

from typing import Annotated

import typer

from vya_backupdb.cli import output
from vya_backupdb.cli.describing import pin_dict
from vya_backupdb.cli.frame import Frame, caller, framed
from vya_backupdb.cli.invocation import now
from vya_backupdb.cli.noting import noting
from vya_backupdb.cli.options import parse_time
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.notes import PinNote
from vya_backupdb.dumper import words
from vya_backupdb.dumper.session import open_tree

Backup = Annotated[str, typer.Argument(metavar="BACKUP", help="The backup's id: its file's name without '.sql.gz'.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("pin")(pin)
    app.command("unpin")(unpin)


@framed
def pin(
    frame: Frame,
    backup: Backup,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; noted on the volume.")],
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="When it ends. Default: never.", show_default=False),
    ] = None,
) -> int:
    """Keep a backup from being deleted by retention. A pin that it has already is replaced."""
    tree = open_tree(frame.app, frame.database)
    speaker = words.Speaker(caller(), now(), reason)
    wanted, end = output.backup_id(backup), parse_time(until, "--until")
    with noting(frame, "pin", backup=wanted) as word:
        note = words.pin(tree, wanted, until=end, speaker=speaker)
        word.about(words.database_of(tree, wanted), wanted)
    return _show(frame, note, f"pinned until {note.until.isoformat()}" if note.until else "pinned")


@framed
def unpin(frame: Frame, backup: Backup) -> int:
    """Let retention decide about a backup again."""
    tree, wanted = open_tree(frame.app, frame.database), output.backup_id(backup)
    with noting(frame, "unpin", backup=wanted) as word:
        note = words.unpin(tree, wanted)
        word.about(words.database_of(tree, wanted), wanted)
    return _show(frame, note, "no longer pinned")


def _show(frame: Frame, note: PinNote, what: str) -> int:
    if frame.as_json:
        output.print_json({"instance": frame.database.id, "done": what.split(" until")[0], "pin": pin_dict(note)})
    else:
        output.say_done(f"{note.backup} is {what} ({note.reason})")
    return ExitCode.OK

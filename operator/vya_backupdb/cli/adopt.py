"""``vya-backupdb adopt``: a dump that somebody else made becomes a backup."""

from pathlib import Path
from typing import Annotated

import typer

from vya_backupdb.cli import output
from vya_backupdb.cli.describing import backup_dict
from vya_backupdb.cli.frame import Frame, framed
from vya_backupdb.cli.invocation import Format
from vya_backupdb.cli.noting import noting
from vya_backupdb.cli.options import parse_time
from vya_backupdb.cli.working import working
from vya_backupdb.domain import ids
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.dumper.adopt import Order
from vya_backupdb.dumper.adopt import adopt as adopt_file
from vya_backupdb.dumper.session import open_tree


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("adopt")(adopt)


@framed
def adopt(
    frame: Frame,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .sql or .sql.gz file. It is copied, never moved.")],
    database: Annotated[str, typer.Option("--database", "-d", metavar="NAME", help="The database that it is of.")],
    taken_at: Annotated[
        str | None,
        typer.Option(
            "--taken-at", metavar="TIME", help="When it was made. Default: the file's time.", show_default=False
        ),
    ] = None,
) -> int:
    """Make a backup of a dump that another program wrote, so that it can be listed, verified and restored.

    It must be one whole dump of one database, by mysqldump, mariadb-dump or pg_dump in plain format. Retention treats
    it as made by hand.
    """
    config = frame.database
    moment = parse_time(taken_at, "--taken-at")
    with working(frame.invocation, frame.app, Format.JSON) as tools:
        run = frame.invocation.run = ids.terminal_run_id(tools.clock(), tools.random_hex())
        order = Order(run, file, database, moment)
        with noting(frame, "adopt", database=database) as word:
            stored = adopt_file(frame.app, config, open_tree(frame.app, config), tools, order)
            made = stored.metadata.file_info if stored.metadata else None
            word.about(stored.database, stored.id, made.size_bytes if made else None)
    if frame.as_json:
        output.print_json({"instance": config.id, "backup": backup_dict(stored)})
    else:
        output.say_done(f"{file} was copied, and is the backup {stored.id} of {database!r}, of {stored.moment}")
    return ExitCode.OK

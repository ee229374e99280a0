"""Which statements of a PostgreSQL script may pass into a database, and how."""

import re
from typing import Final

from vya_backupdb.engines.loading import LoadOptions
from vya_backupdb.engines.statements import Command, Statement
from vya_backupdb.engines.transforms import Notes

_RESTRICT: Final = re.compile(rb"\\(?:un)?restrict [A-Za-z0-9]+")
_BY_HAND: Final = "Read the file; if you trust it, take the line out, or load the file with psql by hand."


class PgRules:
    """`transforms.Rules` for one database."""

    def __init__(self, options: LoadOptions) -> None:
        self.notes = Notes()
        self.databases: tuple[str, ...] = ()
        self.tables: tuple[str, ...] = ()
        self.resolved = options

    def judge(self, statement: Statement) -> bytes | None:
        """See `transforms.Rules.judge`."""
        return statement.text

    def command(self, command: Command) -> None:
        """See `transforms.Rules.command`."""
        if _RESTRICT.fullmatch(command.text):
            self.notes.transform("restrict")
            return
        shown = command.text[:40].decode("utf-8", "backslashreplace")
        self.notes.refuse(command.line, f"is a command of psql, {shown!r}", _BY_HAND)

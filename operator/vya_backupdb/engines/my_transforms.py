"""Which statements of a script for MySQL or MariaDB may pass into a database, and how."""

from vya_backupdb.engines.loading import LoadOptions
from vya_backupdb.engines.statements import Command, Statement
from vya_backupdb.engines.transforms import Notes


class MyRules:
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
        """See `transforms.Rules.command`: the only one that the reader knows is the sandbox line."""
        self.notes.transform("sandbox")

"""What is changed in a file on its way into a server, and what is refused: counted, and said in sentences.

Rules judge one statement at a time, in the order of the file, and know nothing of what follows. So the plan and the
load come to the same judgement.
"""

import enum
from collections import Counter
from typing import Final, Protocol

from vya_backupdb.engines.loading import LoadOptions, Refusal, Transform
from vya_backupdb.engines.statements import Command, Statement

#: Names of transforms, and what each does; ``{}`` stands for what it did it to.
SENTENCES: Final = {
    "restrict": "leave out psql's \\restrict and \\unrestrict: no command of a client is run at all",
    "sandbox": "leave out the line that makes MariaDB's client refuse its own commands: none is run at all",
    "setting": "leave out settings that this server does not know: {}",
    "database-role": "leave out of the database's own attributes what roles own or have that are missing here: {}",
    "owner": "leave out owners that are no roles here, so that the restoring account owns the objects: {}",
    "grant": "leave out privileges and policies of roles that are missing here: {}",
    "directory": "put where the server keeps its data what lay in directories that it cannot use: {}",
    "tablespace": "put into the default tablespace what lies in those that this server lacks: {}",
    "refresh": "leave materialized views empty that could not be filled here (REFRESH them later): {}",
    "unvalidated": "take foreign keys and checks that rows of the backup do not keep as NOT VALID, as they were: {}",
    "keyless": "leave out foreign keys of partitioned tables that rows of the backup do not keep: {}",
    "replication": "leave out lines about GTIDs and the binary log, which belong to the server that was dumped",
    "definer": "make the restoring account the definer, which may not set another one or was told so: {}",
    "collation": "take the nearest collation for those that this server lacks: {}",
    "qualified": "take the name of the file's own database away from its objects: {}",
    "encoding": "say names and comments in the character set of the code that they belong to, as they were: {}",
    "past-event": "leave out events whose time has passed since, as the server does: {}",
    "sequence": "let defaults and keys of tables stay within the target, which named the source: {}",
    "alter-database": "apply to the target what the file changes at its own database around routines: {}",
    "selection": "leave out what belongs to none of the chosen tables",
    "beside": "leave out what needs tables that are not restored with it: {}",
    "reference": "leave out foreign keys to tables that are not restored with them: {}",
    "database": "leave out the lines that make and enter the file's own database: {}",
}
BY_HAND: Final = "Read the file; if you trust it, take the line out, or load it with the server's own client by hand."
_SHOWN: Final = 5
_KEPT_REFUSALS: Final = 50


class Notes:
    """What rules did so far. Refusals are kept in their number, the first 50 with their words."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._details: dict[str, dict[str, None]] = {}
        self._accounts: dict[str, None] = {}
        self.refusals: list[Refusal] = []
        self.refused = 0

    @property
    def accounts(self) -> tuple[str, ...]:
        """The roles, or the definers (``name@host``), that what passes names."""
        return tuple(self._accounts)

    def name(self, account: str) -> None:
        """Note that what passes names that role or definer; '' is nobody."""
        if account:
            self._accounts[account] = None

    def transform(self, name: str, detail: str = "", times: int = 1) -> None:
        """Count one more transform of that name, or so many `times`; `detail` is what it was done to."""
        self._counts[name] += times
        if detail:
            self._details.setdefault(name, {})[detail] = None

    def refuse(self, line: int, message: str, hint: str) -> None:
        """Note that the file cannot be loaded, because of `line`."""
        self.refused += 1
        if len(self.refusals) < _KEPT_REFUSALS:
            self.refusals.append(Refusal(line, message, hint))

    def transforms(self) -> tuple[Transform, ...]:
        """Return what was done so far, in the order of its first time."""
        return tuple(
            Transform(name, count, SENTENCES[name].format(_shown(list(self._details.get(name, ())))))
            for name, count in self._counts.items()
        )


class Verdict(enum.Enum):
    """What becomes of a statement."""

    PASS = enum.auto()
    LEAVE_OUT = enum.auto()
    REFUSE = enum.auto()


class DatabaseLines:
    """Lines about a whole database: refused, or taken out of a foreign file as long as they are about one alone.

    `touched` is set by the rules when something else was executed: whatever enters a database after that would load the
    rest into another one. Names of `ignored` may be entered before (a script begins in its maintenance database).
    """

    def __init__(self, notes: Notes, options: LoadOptions, *, ignored: tuple[str, ...] = ()) -> None:
        self._notes, self._options, self._ignored = notes, options, ignored
        self._named: dict[str, None] = {}
        self.touched = False

    @property
    def named(self) -> tuple[str, ...]:
        """The databases that such lines name."""
        return tuple(self._named)

    @property
    def source(self) -> str | None:
        """The file's own database, if it is known by now."""
        return next(iter(self._named), self._options.source) if self._options.foreign else self._options.source

    def about(self, line: int, name: str, verb: str) -> Verdict:
        """Judge a statement that makes or changes the database `name`; `verb` is its head, in words."""
        others = [one for one in self._named if one != name]
        self._named[name] = None
        if not self._options.foreign:
            self._notes.refuse(line, f"{verb} {name!r} concerns more than what is restored", BY_HAND)
            return Verdict.REFUSE
        if others:
            hint = "Split the file: one database can be restored at a time."
            self._notes.refuse(line, f"{verb} {name!r} concerns a second database beside {others[0]!r}", hint)
            return Verdict.REFUSE
        self._notes.transform("database", repr(name))
        return Verdict.LEAVE_OUT

    def entered(self, line: int, name: str, verb: str) -> Verdict:
        """Judge a line that enters the database `name`."""
        if self._options.foreign and not self.touched and name in self._ignored and name not in self._named:
            self._notes.transform("database", repr(name))
            return Verdict.LEAVE_OUT
        if self._options.foreign and self.touched and name not in self._named:
            hint = "Split the file: one database can be restored at a time."
            self._notes.refuse(line, f"{verb} {name!r} leaves the database that was filled before", hint)
            return Verdict.REFUSE
        return self.about(line, name, verb)


class Rules(Protocol):
    """What may pass, and how, of the files for one server."""

    @property
    def notes(self) -> Notes:
        """What was done and refused so far."""

    def judge(self, statement: Statement) -> bytes | None:
        """Return the text to be executed, or None if the statement (with its rows) is left out or refused."""

    def command(self, command: Command) -> None:
        """Leave out a client's command, or refuse it."""

    def instead(self, statement: Statement, state: str, why: str) -> bytes | None:
        """Return what to execute in the place of `statement`, which the server refused.

        `state` is its code, `why` its words. Empty: nothing, for nothing is lost. None: it is an error. What is done
        instead is noted.
        """

    @property
    def databases(self) -> tuple[str, ...]:
        """The databases that the file names in lines of its own."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that the file makes or fills, sorted."""

    @property
    def resolved(self) -> LoadOptions:
        """The options with what the file told so far."""


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

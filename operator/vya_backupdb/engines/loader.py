"""Reader, rules and a session put together: one that only looks, and one that loads."""

import os
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from vya_backupdb.domain.errors import RestoreFailed, RestoreImpossible
from vya_backupdb.domain.metadata import TableInfo
from vya_backupdb.engines import stderr
from vya_backupdb.engines.loading import Inspection, LoadResult, refused
from vya_backupdb.engines.statements import Command, Event, Events, Reader, Rows, RowsEnd, Statement
from vya_backupdb.engines.transforms import Rules

#: What a server would take back as soon as the load has ended.
UNCOMMITTED: Final = "the file begins a transaction that it does not commit"
_SHOWN: Final = 100
_STRINGS: Final = re.compile(r"'(?:[^'\\]|''|\\.)*(?:'|$)")
_VALUES: Final = re.compile(r"(?is)\bvalues\b.*")


class StatementFailed(Exception):
    """A server's refusal of one statement, in its own words, on one line, redacted.

    `alone`: it concerns that statement alone; the session goes on, and the server lacks nothing. `final`: the same
    statement on the same server would be refused again, because it is wrong. `state`: PostgreSQL's SQLSTATE.
    """

    def __init__(self, message: str, *, alone: bool = False, final: bool = False, state: str = "") -> None:
        super().__init__(message)
        self.alone, self.final, self.state = alone, final, state


class Target(Protocol):
    """The session that a loader writes to. Methods raise StatementFailed."""

    def execute(self, text: bytes) -> None:
        """Execute one statement to its end; results are dropped."""

    def copy(self, text: bytes) -> None:
        """Begin a COPY from here."""

    def rows(self, data: bytes) -> None:
        """Send a piece of its rows."""

    def copied(self) -> int:
        """End the COPY; return the number of rows that went in."""

    def finish(self) -> None:
        """Do what had to wait for the end of the file."""

    def counted(self) -> tuple[TableInfo, ...] | None:
        """See `loading.LoadResult`."""

    def cancel(self) -> None:
        """End the session at once, from any thread."""


class FileInspector:
    """`loading.Inspector` by the rules of a server."""

    def __init__(self, reader: Events, rules: Rules) -> None:
        self._reader, self._rules = reader, rules
        self._statements = 0

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """See `loading.Inspector.feed`."""
        for event in self._reader.feed(chunk):
            self._look(event)

    def result(self) -> Inspection:
        """See `loading.Inspector.result`."""
        for event in self._reader.finish():
            self._look(event)
        if self._reader.unfinished:
            self._rules.notes.refuse(0, f"the file ends {self._reader.unfinished}", "Take a file that is whole.")
        notes, options = self._rules.notes, self._rules.resolved
        return Inspection(
            self._statements,
            tuple(notes.refusals),
            notes.transforms(),
            self._rules.databases,
            self._rules.tables,
            options,
            notes.accounts,
        )

    def _look(self, event: Event) -> None:
        if isinstance(event, Statement):
            self._statements += self._rules.judge(event) is not None
        elif isinstance(event, Command):
            self._rules.command(event)


class FileLoader:
    """`loading.Loader` into one database over one session."""

    def __init__(
        self, reader: Reader, rules: Rules, target: Target, *, database: str, redact: Callable[[str], str]
    ) -> None:
        self._reader, self._rules, self._target = reader, rules, target
        self._database, self._redact = database, redact
        self._statements = self._rows = 0
        self._copying: Statement | None = None

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """See `loading.Loader.feed`."""
        for event in self._reader.feed(chunk):
            self._take(event)

    def finish(self) -> LoadResult:
        """See `loading.Loader.finish`."""
        for event in self._reader.finish():
            self._take(event)
        if self._reader.unfinished:
            raise RestoreFailed(
                f"loading into {self._database!r}: the file ends {self._reader.unfinished}",
                hint="Take a file that is whole.",
            )
        try:
            self._target.finish()
        except StatementFailed as error:
            raise self._failure("at the end of the file", error) from error
        return LoadResult(self._statements, self._rows, self._rules.notes.transforms(), self._target.counted())

    def cancel(self) -> None:
        """See `loading.Loader.cancel`."""
        self._target.cancel()

    def _take(self, event: Event) -> None:
        if isinstance(event, Rows):
            if self._copying is not None:
                self._try(self._copying, lambda: self._target.rows(event.data))
        elif isinstance(event, Statement):
            self._execute(event)
        elif isinstance(event, RowsEnd):
            self._end_copy()
        else:
            self._rules.command(event)
            self._require_allowed()

    def _execute(self, statement: Statement) -> None:
        text = self._rules.judge(statement)
        self._require_allowed()
        if text is None:
            return
        self._statements += 1
        if statement.copies:
            self._copying = statement
            self._try(statement, lambda: self._target.copy(text))
        else:
            self._try(statement, lambda: self._target.execute(text))

    def _end_copy(self) -> None:
        statement, self._copying = self._copying, None
        if statement is not None:
            self._try(statement, self._count_copied)

    def _count_copied(self) -> None:
        self._rows += self._target.copied()

    def _require_allowed(self) -> None:
        if self._rules.notes.refusals:
            raise refused(f"the rest of the file for {self._database!r}", self._rules.notes.refusals)

    def _try(self, statement: Statement, act: Callable[[], None]) -> None:
        try:
            act()
        except StatementFailed as error:
            if not self._done_instead(statement, error):
                where = f"statement {self._statements} on line {statement.line}, {self._redact(head(statement.text))!r}"
                raise self._failure(where, error) from error

    def _failure(self, where: str, error: StatementFailed) -> RestoreFailed:
        failed = RestoreImpossible if error.final else RestoreFailed
        return failed(f"loading into {self._database!r}: {where}: {error}", hint=stderr.hint_for(str(error)))

    def _done_instead(self, statement: Statement, error: StatementFailed) -> bool:
        """Do what the rules know in the place of a statement that was refused; return whether that went well."""
        text = self._rules.instead(statement, error.state, str(error)) if error.alone else None
        try:
            if text:
                self._target.execute(text)
        except StatementFailed:
            return False
        return text is not None


def head(text: bytes) -> str:
    """Return the beginning of a statement for a message, on one line, without the values of its rows and its strings.

    A string may be the password of a user mapping or of a subscription.
    """
    words = " ".join(text[: 4 * _SHOWN].decode("utf-8", "backslashreplace").split())
    words = _STRINGS.sub("'…'", _VALUES.sub("VALUES …", words))
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"


def hang_up(descriptor: int) -> None:
    """End the connection behind an open socket, so that a call that waits for it in another thread fails at once."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as twin:
        twin.shutdown(socket.SHUT_RDWR)

"""Whether a file of SQL reaches beyond one database: enters, makes, changes or drops others, or commands a client; and
whether it makes what it fills.

Asked of a foreign file before it becomes a backup, without any server. What else no restore would take is judged by the
rules of the load themselves (`registry.judge_for`).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from vya_backupdb.engines.statements import Command, Event, Reader, Statement

_MY: Final = re.compile(
    rb"(?:/\*M?!\d*\s*)?(?:USE|(?:CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?(?:DATABASE|SCHEMA))\b", re.IGNORECASE
)
_PG: Final = re.compile(rb"(?:CREATE|DROP|ALTER)\s+DATABASE\b", re.IGNORECASE)
#: psql's own protection, and the line that makes MariaDB's client refuse its own commands.
_HARMLESS: Final = re.compile(rb"\\(?:un)?restrict [A-Za-z0-9]+|/\*M?!999999\\- enable the sandbox mode \*/\s*")
_FILLS: Final = re.compile(rb"(?:INSERT|REPLACE|COPY)\b", re.IGNORECASE)
#: An extension makes tables, too, and their rows may stand in a dump.
_MAKES: Final = re.compile(
    rb"(?:/\*M?!\d*\s*)?CREATE\s+(?:OR\s+REPLACE\s+)?(?:\w+\s+){0,2}(?:TABLE|EXTENSION)\b", re.IGNORECASE
)
_SHOWN: Final = 60


class Reach:
    """Looks at the events of a reader as they pass, and hands them on; `found` is the first line beyond, or ''.

    `fills` and `makes`: whether there are rows, and whether there are tables.
    """

    def __init__(self, reader: Reader, *, is_postgresql: bool) -> None:
        self._reader = reader
        self._beyond = _PG if is_postgresql else _MY
        self.found = ""
        self.fills = self.makes = False

    def feed(self, chunk: bytes | bytearray | memoryview) -> Iterator[Event]:
        """See `statements.Reader.feed`."""
        return self._seen(self._reader.feed(chunk))

    def finish(self) -> Iterator[Event]:
        """See `statements.Reader.finish`."""
        return self._seen(self._reader.finish())

    @property
    def unfinished(self) -> str:
        """See `statements.Reader.unfinished`."""
        return self._reader.unfinished

    def _seen(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if not self.found and isinstance(event, Statement | Command):
                self._look(event)
            yield event

    def _look(self, event: Statement | Command) -> None:
        is_statement = isinstance(event, Statement)
        self.fills = self.fills or _FILLS.match(event.text) is not None
        self.makes = self.makes or _MAKES.match(event.text) is not None
        if self._beyond.match(event.text) if is_statement else not _HARMLESS.fullmatch(event.text):
            # of a client's command the first word alone: what follows \connect may be a URL with a password
            text = event.text if is_statement else event.text.split(maxsplit=1)[0]
            self.found = f"line {event.line}: {text[:_SHOWN].decode('utf-8', 'backslashreplace')}"

"""What the readers of SQL files give out, and the buffer that they share.

A reader gets a file in chunks of any size and gives events, the same for every way of cutting. Its memory is bounded by
the longest statement, which has to be sent in one piece: about three times its length, and at most `limit` bytes.
Rows of a COPY are passed on as they come.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, Self

from vya_backupdb.domain.errors import RestoreFailed

#: What every decision can see beyond the place where it is made (unless the file ends): names, tags, heads.
LOOKAHEAD: Final = 256
#: Comments in front of a statement that are kept for whoever wants to read them.
LEAD: Final = 8 * 1024


@dataclass(frozen=True, slots=True)
class Quotes:
    """What MySQL and MariaDB take quotes for, by the SQL mode: whether a backslash escapes, and ``"…"`` is a name."""

    backslash: bool = True
    names: bool = False

    @classmethod
    def of_mode(cls, sql_mode: str) -> Self:
        """Return what they are under `sql_mode`, as the catalogue lists it."""
        words = sql_mode.split(",")
        return cls("NO_BACKSLASH_ESCAPES" not in words, "ANSI_QUOTES" in words)


_USUAL: Final = Quotes()


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without its delimiter and without the comments before it, which are `lead` (their last 8 KiB).

    `line` is where it begins, 1 for the first. `copies`: rows follow, up to a `RowsEnd`. `quotes`: how it is quoted.
    """

    text: bytes
    line: int
    lead: bytes = b""
    copies: bool = False
    quotes: Quotes = _USUAL


@dataclass(frozen=True, slots=True)
class Rows:
    """A piece of a COPY's data, cut anywhere."""

    data: bytes


@dataclass(frozen=True, slots=True)
class RowsEnd:
    """The end of a COPY's data."""


@dataclass(frozen=True, slots=True)
class Command:
    """A line that is meant for a client program and not for the server."""

    text: bytes
    line: int


_BOM: Final = b"\xef\xbb\xbf"
Event = Statement | Rows | RowsEnd | Command


class Events(Protocol):
    """What gives the events of a file; see `Reader`."""

    def feed(self, chunk: bytes | bytearray | memoryview) -> Iterator[Event]:
        """See `Reader.feed`."""

    def finish(self) -> Iterator[Event]:
        """See `Reader.finish`."""

    @property
    def unfinished(self) -> str:
        """See `Reader.unfinished`."""


class Reader:
    """The buffer of a reader: the statement under way, from `_begin` on, looked at up to `_at`."""

    def __init__(self, limit: int) -> None:
        self._data = bytearray()
        self._begin = 0
        self._at = 0
        self._line = 1  # of the byte at _begin
        self._lead = b""
        self._limit = limit
        self._state: Callable[[bool], bool] = self._start
        self._out: list[Event] = []

    def feed(self, chunk: bytes | bytearray | memoryview) -> Iterator[Event]:
        """Take the next bytes, and yield what they complete; to be exhausted. Raise RestoreFailed beyond `limit`."""
        self._data += chunk
        yield from self._scan(final=False)
        self._drop()
        self._require_short(len(self._data) - LOOKAHEAD)

    def finish(self) -> Iterator[Event]:
        """Yield what is left at the end of the file; to be exhausted."""
        yield from self._scan(final=True)
        self._drop()

    @property
    def unfinished(self) -> str:
        """What the file ended in, in words; empty where it ended between two statements."""
        raise NotImplementedError

    def _scan(self, *, final: bool) -> Iterator[Event]:
        going = True
        while going:
            going = self._state(final)
            yield from self._out
            self._out.clear()

    def _start(self, final: bool) -> bool:
        if len(self._data) < len(_BOM) and not final:
            return False
        self._skip(len(_BOM) if self._data.startswith(_BOM) else 0)
        self._state = self._between
        return True

    def _between(self, final: bool) -> bool:
        """Skip blanks and comments up to the next statement; as each state, return whether to go on in this piece."""
        raise NotImplementedError

    def _drop(self) -> None:
        """Forget what lies before the statement under way."""
        del self._data[: self._begin]
        self._at -= self._begin
        self._begin = 0

    def _skip(self, to: int) -> None:
        """Begin anew at `to`."""
        self._line += self._data.count(b"\n", self._begin, to)
        self._begin = self._at = to

    def _comment(self, end: int) -> None:
        """Take what lies before `end` for a comment in front of a statement."""
        piece = bytes(self._data[max(self._begin, end - LEAD) : end])
        self._lead = (self._lead + piece)[-LEAD:]
        self._skip(end)

    def _taken(self, end: int) -> tuple[bytes, bytes]:
        """Return what lies before `end` as the text of a statement (empty: there is none), and its comments."""
        self._require_short(end - self._begin)
        with memoryview(self._data) as view:
            text = bytes(view[self._begin : end])
        lead, self._lead = self._lead, b""
        return text.rstrip(), lead

    def _require_short(self, length: int) -> None:
        if length > self._limit:
            raise RestoreFailed(
                f"the statement on line {self._line} is longer than {self._limit} bytes, which the server cannot take",
                hint="Raise the server's limit (MySQL, MariaDB: max_allowed_packet, at most 1 GiB).",
            )

r"""Cuts a script for MySQL or MariaDB into statements, as their client would, without running the client's commands.

Followed are strings, quoted names, comments and ``DELIMITER``. What stands in ``/*! … */`` and ``/*M! … */`` is part of
its statement: the server decides whether it concerns it. Whether a backslash escapes depends on the SQL mode, which
dumps set in front of each routine: a reader follows ``SET sql_mode`` and begins without NO_BACKSLASH_ESCAPES and
ANSI_QUOTES, so whoever loads must begin like that.
"""

import re
from functools import lru_cache
from typing import Final

from vya_backupdb.engines.statements import LOOKAHEAD, Command, Quotes, Reader, Statement

_BLANK: Final = re.compile(rb"[ \t\n\r\f\v]*+")
_DELIMITER: Final = re.compile(rb"(?i)delimiter[ \t]+([^\s]+)[^\n]*+")
# MariaDB's client leaves its dumps' first line only to itself; it is no comment for any other client
SANDBOX: Final = re.compile(rb"/\*M?!999999\\- enable the sandbox mode \*/[ \t;]*+")
_ESCAPED: Final = {quote: re.compile(rb"(?:[^%s\\]++|\\.)*+" % quote, re.DOTALL) for quote in (b"'", b'"')}
_MODE: Final = re.compile(
    rb"(?i)(?<![@.\w])(?:@@)?(?:session\s*\.\s*|session\s+)?sql_mode\s*:?=\s*('[^']*'|\"[^\"]*\"|@\w+)"
)
_SAVED: Final = re.compile(rb"(?i)@(\w+)\s*:?=\s*@@(?:session\s*\.\s*)?sql_mode")
_SETTING: Final = re.compile(rb"(?i)(?:/\*M?!\d*\s*)?set\s")
#: How both dump clients begin a statement with rows, and what their rows hold outside of ``'…'`` at most within it.
_DUMPED: Final = re.compile(rb"INSERT INTO `[^`']++` (?:\([^'\"#/;)-]*+\) )?VALUES[ \n]\(")
_UNUSUAL: Final = (b'"', b"`", b"#", b"/*", b"--")
_LONGEST_SETTING: Final = 4096


class MyReader(Reader):
    """`statements.Reader` for dumps of both products and other scripts.

    MySQL's code of another language stands between dollars; without `dollars` they are letters, as they are to MariaDB.
    """

    def __init__(self, limit: int, *, dollars: bool = True) -> None:
        super().__init__(limit)
        self._dollars = dollars
        self._delimiter = b";"
        self._quote = b""
        self._rows_at = 0
        self._closer = b""
        self._backslash, self._ansi = True, False
        self._modes: dict[bytes, tuple[bool, bool]] = {}
        self._choose()

    @property
    def unfinished(self) -> str:
        """See `Reader.unfinished`."""
        if self._state in {self._quoted, self._inner_comment}:
            return "inside a quote or a comment"
        return "in the middle of a statement" if self._state in {self._code, self._dumped} else ""

    def _between(self, final: bool) -> bool:
        """Skip blanks and comments up to the next statement."""
        blank = _BLANK.match(self._data, self._begin)
        self._skip(blank.end() if blank else self._begin)
        left = len(self._data) - self._begin
        if not left or (left < LOOKAHEAD and not final):
            return False
        head = bytes(self._data[self._begin : self._begin + 4])
        if (head[:2] == b"--" or head[:1] == b"#") and not head.startswith(self._delimiter):
            return self._line_comment(final)
        if head[:2] == b"/*" and head[2:3] != b"!" and head[2:4] != b"M!":
            self._at, self._state = self._begin + 2, self._outer_comment
        elif (command := SANDBOX.match(self._data, self._begin)) is not None:
            self._out.append(Command(command[0], self._line))
            self._skip(command.end())
        elif (command := _DELIMITER.match(self._data, self._begin)) is not None:
            self._delimiter = command[1]
            self._choose()
            self._skip(command.end())
        else:
            # decided by as many bytes however many there are: how a file is cut must not matter
            found = _DUMPED.match(self._data, self._begin, self._begin + LOOKAHEAD)
            plain = found is not None and self._delimiter == b";" and self._backslash
            self._rows_at = found.end() if found else 0
            self._state = self._dumped if plain else self._code
        return True

    def _dumped(self, final: bool) -> bool:
        """Take a dump's own INSERT up to a semicolon at a line's end in one step, unless that may stand in a string."""
        end = self._data.find(b";\n", self._at)
        if end < 0 and not final:
            self._at = max(self._at, len(self._data) - 1)
            return False
        if end >= 0 and _outside(bytes(self._data[self._rows_at : end])):
            self._end(end, end + 1)
        else:
            self._at, self._state = self._begin, self._code
        return True

    def _line_comment(self, final: bool) -> bool:
        end = self._data.find(b"\n", self._begin) + 1
        if end == 0 and not final:
            return False
        self._comment(end or len(self._data))
        return True

    def _code(self, final: bool) -> bool:
        limit = len(self._data) if final else len(self._data) - LOOKAHEAD
        if (plain := self._plain.match(self._data, self._at, max(self._at, limit))) is not None:
            self._at = plain.end()
        found = self._opener.search(self._data, self._at)
        if found is None or found.start() >= limit:
            self._at = max(self._at, limit)
            if final:
                self._end(self._at, self._at)
            return False
        token, self._at = found[0], found.end()
        if token == self._delimiter:
            self._end(found.start(), found.end())
        elif token == b"$$":
            self._closer, self._state = b"$$", self._inner_comment
        elif token == b"/*":
            self._closer, self._state = b"*/", self._inner_comment
        elif token in {b"'", b'"', b"`"}:
            self._quote, self._state = token, self._quoted
        else:
            self._closer, self._state = b"\n", self._inner_comment
        return True

    def _quoted(self, final: bool) -> bool:
        if self._escapes(self._quote):
            inside = _ESCAPED[self._quote].match(self._data, self._at)
            self._at = inside.end() if inside else self._at
            # else it ends in this piece with half of an escape, or with nothing
            closed = self._data[self._at : self._at + 1] == self._quote
        else:
            end = self._data.find(self._quote, self._at)
            closed, self._at = end >= 0, end if end >= 0 else len(self._data)
        if closed:
            # a doubled quote closes and opens again: the same thing, seen from here
            self._at, self._state = self._at + 1, self._code
        return closed

    def _escapes(self, quote: bytes) -> bool:
        return quote != b"`" and self._backslash and not (quote == b'"' and self._ansi)

    def _outer_comment(self, final: bool) -> bool:
        end = self._data.find(b"*/", self._at)
        if end >= 0 or final:
            self._comment(end + 2 if end >= 0 else len(self._data))
            self._state = self._between
            return end >= 0
        self._at = max(self._at, len(self._data) - 1)
        return False

    def _inner_comment(self, final: bool) -> bool:
        end = self._data.find(self._closer, self._at)
        if end < 0 and final and self._closer == b"\n":
            end = len(self._data) - 1
        if end < 0:
            self._at = max(self._at, len(self._data) - 1)
            return False
        self._at, self._state = end + len(self._closer), self._code
        return True

    def _end(self, end: int, after: int) -> None:
        text, lead = self._taken(end)
        if text:
            self._out.append(Statement(text, self._line, lead, quotes=Quotes(self._backslash, self._ansi)))
            self._follow_mode(text)
        self._skip(after)
        self._state = self._between

    def _follow_mode(self, text: bytes) -> None:
        if len(text) > _LONGEST_SETTING or not _SETTING.match(text):
            return
        for name in _SAVED.findall(text):
            self._modes[name.lower()] = (self._backslash, self._ansi)
        for value in _MODE.findall(text):
            if value.startswith(b"@"):
                mode = self._modes.get(value[1:].lower(), (True, False))
            else:
                words = value[1:-1].upper().split(b",")
                mode = (b"NO_BACKSLASH_ESCAPES" not in words, bool({b"ANSI_QUOTES", b"ANSI"} & set(words)))
            self._backslash, self._ansi = mode
            self._choose()

    def _choose(self) -> None:
        self._opener, self._plain = _patterns(self._delimiter, self._backslash, self._dollars)


def _outside(rows: bytes) -> bool:
    """Whether a dump's `rows` end outside of every string, as far as counting quotes can tell; False: look closely."""
    if any(mark in rows for mark in _UNUSUAL):
        return False
    if b"\\" in rows:
        rows = rows.replace(b"\\\\", b"").replace(b"\\'", b"")
    return rows.count(b"'") % 2 == 0


@lru_cache(maxsize=16)
def _patterns(delimiter: bytes, backslash: bool, dollars: bool) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return what changes the state outside of quotes, and a run of what does not, whole ``'…'`` strings included."""
    end = re.escape(delimiter)
    # what MySQL keeps of another language stands as AS $$ … $$, and may hold any quote
    code = rb"|(?<=[ \n]AS )\$\$" if dollars else rb""
    opener = re.compile(end + rb"|['\"`#]" + code + rb"|--(?=[\x00-\x20]|\Z)|/\*(?!M?!)")
    string = rb"'(?:[^'\\]++|\\.)*+'" if backslash else rb"'[^']*+'"
    first = re.escape(delimiter[:1])
    # a dash or a slash that stands last may begin a comment: it is left to the other pattern
    single = rb"" if delimiter[:1] in b"-/" else rb"|-(?=[^-])|/(?=[^*])"
    single += rb"" if delimiter[:1] == b"$" else rb"|\$(?=[^$])"
    plain = re.compile(rb"(?:[^'\"`#/\-$%s]++|%s%s)*+" % (first, string, single), re.DOTALL)
    return opener, plain

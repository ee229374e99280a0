r"""Cuts a PostgreSQL script into statements, COPY data and lines for psql, as psql would, without running any.

Followed are strings (``E''`` and old-style ones with backslashes), quoted names, dollar quotes, nested comments,
parentheses, and the ``BEGIN ATOMIC … END`` of a function in standard SQL. A backslash outside of them begins a command
of psql. After ``COPY … FROM stdin;`` every line up to ``\.`` is data, which costs one search a chunk.
"""

import re
from typing import Final

from vya_backupdb.engines.seeking import find_by
from vya_backupdb.engines.statements import LOOKAHEAD, Command, Reader, Rows, RowsEnd, Statement

#: The server's own limit of one message.
LIMIT: Final = 1 << 30

_BLANK: Final = re.compile(rb"[ \t\n\r\f\v]*+")
_DOLLAR: Final = rb"\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$"
# no look-behind: it would cost the search its speed. What stands before is looked at afterwards.
_OPENER: Final = re.compile(rb"['\"();\\]|--|/\*|" + _DOLLAR)
_IN_ROUTINE: Final = re.compile(_OPENER.pattern + rb"|(?i:(?:begin|case|end)(?![A-Za-z0-9_$\x80-\xff]))")
_ROUTINE: Final = re.compile(rb"(?i)create\s+(?:or\s+replace\s+)?(?:function|procedure)\b")
_NESTING: Final = re.compile(rb"/\*|\*/")
_ESCAPED: Final = re.compile(rb"(?:[^'\\]++|\\.|'')*+", re.DOTALL)
_NAME: Final = rb'(?:"(?:[^"]|"")++"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+)'
_COPY: Final = re.compile(
    rb"(?i)copy\s+%(n)s(?:\s*\.\s*%(n)s){0,2}\s*(?:\(\s*%(n)s(?:\s*,\s*%(n)s)*+\s*\)\s*)?from\s+stdin\b" % {b"n": _NAME}
)
_OLD_STRINGS: Final = re.compile(rb"(?i)set\s+(?:session\s+|local\s+)?standard_conforming_strings\s*(?:=|to)\s*'?(\w+)")
_END_OF_DATA: Final = b"\n\\."


class PgReader(Reader):
    """`statements.Reader` for plain dumps and other scripts."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(limit)
        self._closer = b""  # inside a quote: what ends it
        self._nested = 0  # inside comments: how deep
        self._parens = self._blocks = 0
        self._opener = _OPENER
        self._old_strings = False

    @property
    def unfinished(self) -> str:
        """See `Reader.unfinished`."""
        if self._state in {self._rows, self._copy_line}:
            return "in the middle of the rows of a COPY"
        if self._state in {self._quote, self._escape, self._inner_comment}:
            return "inside a quote or a comment"
        return "in the middle of a statement" if self._state == self._code else ""

    def _between(self, final: bool) -> bool:
        """Skip blanks and comments up to the next statement."""
        blank = _BLANK.match(self._data, self._begin)
        self._skip(blank.end() if blank else self._begin)
        left = len(self._data) - self._begin
        if not left or (left < LOOKAHEAD and not final):
            return False
        two = bytes(self._data[self._begin : self._begin + 2])
        if two == b"--":
            end = self._data.find(b"\n", self._begin) + 1
            if end == 0 and not final:
                return False
            self._comment(end or len(self._data))
        elif two == b"/*":
            self._at, self._nested, self._state = self._begin + 2, 1, self._outer_comment
        elif two[:1] == b"\\":
            return self._command(self._begin, final)
        else:
            routine = _ROUTINE.match(self._data, self._begin) is not None
            self._opener = _IN_ROUTINE if routine else _OPENER
            self._parens = self._blocks = 0
            self._state = self._code
        return True

    def _code(self, final: bool) -> bool:
        limit = len(self._data) if final else len(self._data) - LOOKAHEAD
        found = self._opener.search(self._data, self._at)
        if found is None or found.start() >= limit:
            self._at = max(self._at, limit)
            if final:
                self._end(self._at, self._at)
            return False
        return self._token(found[0], found.start(), found.end(), final)

    def _token(self, token: bytes, start: int, end: int, final: bool) -> bool:
        self._at = end
        if token == b";":
            if self._parens == 0 and self._blocks == 0:
                self._end(start, end)
        elif token == b"\\":
            return self._command(start, final)
        elif token in b"()":
            self._parens = max(0, self._parens + (1 if token == b"(" else -1))
        elif token[:1].isalpha():
            if not self._within_name(start):
                self._block(token.lower())
        else:
            self._open(token, start)
        return True

    def _open(self, token: bytes, start: int) -> None:
        """Go into the quote or comment that `token` opens."""
        if token == b"/*":
            self._nested, self._state = 1, self._inner_comment
        elif token == b"'" and (self._old_strings or self._escaping(start)):
            self._state = self._escape
        elif token[:1] == b"$" and self._within_name(start):
            self._at = start + 1
        else:
            self._closer, self._state = (b"\n" if token == b"--" else token), self._quote

    def _escaping(self, quote: int) -> bool:
        """Whether the string that begins at `quote` is an ``E''``."""
        marked = quote > self._begin and self._data[quote - 1] in b"eE"
        return marked and not self._within_name(quote - 1)

    def _within_name(self, at: int) -> bool:
        """Whether what begins at `at` only goes on with a name or number (``a$b$c``, ``date'…'``)."""
        if at <= self._begin:
            return False
        before = self._data[at - 1]
        return before >= 0x80 or before in b"_$" or chr(before).isalnum()

    def _block(self, word: bytes) -> None:
        """Follow BEGIN ATOMIC, and CASE within, as psql does; both end with END."""
        if self._parens:
            return
        if word == b"end":
            self._blocks = max(0, self._blocks - 1)
        elif word == b"begin" or self._blocks:
            self._blocks += 1

    def _end(self, end: int, after: int) -> None:
        """Give out the statement that ends at `end`; the next begins at `after`."""
        if self._parens or self._blocks:
            return  # the end of the file
        text, lead = self._taken(end)
        copies = _COPY.match(text) is not None
        if text:
            self._out.append(Statement(text, self._line, lead, copies))
        if (setting := _OLD_STRINGS.match(text)) is not None:
            self._old_strings = setting[1].lower() in {b"off", b"false", b"no", b"0"}
        self._skip(after)
        self._state = self._copy_line if copies else self._between

    def _quote(self, final: bool) -> bool:
        end = self._data.find(self._closer, self._at)
        if end < 0 and final and self._closer == b"\n":
            end = len(self._data) - 1
        if end < 0:
            self._at = max(self._at, len(self._data) - len(self._closer) + 1)
            return False
        # a doubled quote closes and opens again: the same thing, seen from here
        self._at, self._state = end + len(self._closer), self._code
        return True

    def _escape(self, final: bool) -> bool:
        inside = _ESCAPED.match(self._data, self._at)
        self._at = inside.end() if inside else self._at
        # a backslash or a quote that stands last may be half of a pair
        if self._data[self._at : self._at + 1] != b"'" or (self._at + 1 == len(self._data) and not final):
            return False
        self._at, self._state = self._at + 1, self._code
        return True

    def _outer_comment(self, final: bool) -> bool:
        if not self._close_comment():
            if final:
                self._comment(len(self._data))
            return False
        self._comment(self._at)
        self._state = self._between
        return True

    def _inner_comment(self, final: bool) -> bool:
        if self._close_comment():
            self._state = self._code
            return True
        return False

    def _close_comment(self) -> bool:
        """Go on inside nested comments; return whether the outermost was closed."""
        while self._nested:
            found = _NESTING.search(self._data, self._at)
            if found is None:
                self._at = max(self._at, len(self._data) - 1)
                return False
            self._nested += 1 if found[0] == b"/*" else -1
            self._at = found.end()
        return True

    def _command(self, start: int, final: bool) -> bool:
        r"""Give out the rest of the line as psql's; what stands before it in a statement is dropped with it."""
        end = self._data.find(b"\n", start)
        if end < 0 and not final:
            self._at = start
            return False
        end = len(self._data) if end < 0 else end
        line = self._line + self._data.count(b"\n", self._begin, start)
        self._out.append(Command(bytes(self._data[start:end]).rstrip(), line))
        self._skip(end)
        self._state = self._between
        return True

    def _copy_line(self, final: bool) -> bool:
        """Go to the end of the line that holds the COPY: the newline stays, as the one before the first row."""
        end = self._data.find(b"\n", self._begin)
        if end < 0:
            return False
        if rest := bytes(self._data[self._begin : end]).strip():
            self._out.append(Command(rest, self._line))
        self._skip(end)
        self._state = self._rows
        return True

    def _rows(self, final: bool) -> bool:
        r"""Pass rows on. The byte at `_begin` was passed on already (or is the newline before the first row)."""
        end = find_by(self._data, _END_OF_DATA, 1, self._at)
        after = self._data[end + 3 : end + 5] if end >= 0 else b""
        if end < 0 or (len(after) < 2 and after != b"\n" and not final):
            undecided = len(self._data) if final else max(self._begin + 1, len(self._data) - 2)
            keep = end + 1 if end >= 0 else undecided
            self._pass(keep)
            return False
        if not after.startswith((b"\n", b"\r\n")) and not (final and after in {b"", b"\r"}):
            self._pass(end + 2)
            return True
        self._pass(end + 1)
        self._out.append(RowsEnd())
        self._skip(min(len(self._data), end + 3))
        self._state = self._between
        return True

    def _pass(self, end: int) -> None:
        """Give out the rows before `end`."""
        if end > self._begin + 1:
            with memoryview(self._data) as view:
                self._out.append(Rows(bytes(view[self._begin + 1 : end])))
        self._skip(max(self._begin, end - 1))

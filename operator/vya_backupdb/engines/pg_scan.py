"""Reads a plain pg_dump stream as it passes: which tables it holds, how many rows each, and whether it is whole.

Only the lexical state of SQL is followed: strings, quoted names, dollar quotes, comments and COPY data. So a function
body that holds the text ``COPY … FROM stdin;`` or the closing marker deceives nobody. Inside COPY data nothing is
looked at but newlines and the closing ``\\.``, which costs well under a millisecond a megabyte.
Memory is constant: what may be the head of something cut by a chunk's border is carried over, at most a few KiB.
"""

import re
from typing import Final

from vya_backupdb.domain.metadata import TableInfo
from vya_backupdb.engines.base import ScanResult
from vya_backupdb.engines.seeking import count_lines, find_by

_TAIL: Final = 4096
_MARKER: Final = re.compile(
    rb"\n--\n-- PostgreSQL database (?:cluster )?dump complete\n--\n\n?(?:\\unrestrict (?P<key>[A-Za-z0-9]+)\n)?\n*\Z"
)
_END_OF_DATA: Final = b"\n\\.\n"

# What changes the state outside of any quote. A dollar after a letter belongs to a name; '$1' is a parameter.
_OPENER: Final = re.compile(
    rb"'|\"|--|/\*|^COPY |(?<![A-Za-z0-9_\x80-\xff$])\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$", re.MULTILINE
)
# possessive (++): a name that ends nowhere in this piece is given up in one pass, not in 2^n
# unquoted names stand in adopted dumps: pg_dump quotes only what needs it, unless it is told to quote all
_IDENTIFIER: Final = rb'(?:"(?:[^"]|"")++"|[a-z_][a-z0-9_]*+)'
_HEADER: Final = re.compile(rb"COPY (%(n)s)\.(%(n)s) (?:\(%(n)s(?:, %(n)s)*\))? FROM stdin;\n" % {b"n": _IDENTIFIER})
_ENCODING: Final = re.compile(rb"^SET client_encoding = '([A-Za-z0-9_]+)';$", re.MULTILINE)
_RESTRICT: Final = re.compile(rb"^\\restrict ([A-Za-z0-9]+)$", re.MULTILINE)
#: Kept back at a chunk's end outside of quotes: the longest opener is a dollar quote's tag.
_LONGEST_OPENER: Final = 256
#: The longest COPY header: 1,600 columns of 63 bytes, each byte of which may be a quote and so doubled.
_LONGEST_HEADER: Final = 256 * 1024
_CLOSERS: Final = {b"--": b"\n", b"/*": b"*/"}

_CODECS: Final = {
    "UTF8": "utf-8",
    "SQL_ASCII": "utf-8",
    "KOI8R": "koi8-r",
    "KOI8U": "koi8-u",
    "SJIS": "shift_jis",
    "UHC": "cp949",
    "EUC_CN": "gb2312",
    "WIN866": "cp866",
    "WIN874": "cp874",
    "LATIN5": "iso8859-9",
    "LATIN6": "iso8859-10",
    "LATIN7": "iso8859-13",
    "LATIN8": "iso8859-14",
    "LATIN9": "iso8859-15",
    "LATIN10": "iso8859-16",
}


def python_codec(encoding: str) -> str:
    """Return Python's name for one of PostgreSQL's encodings; UTF-8 for one that Python lacks."""
    known = _CODECS.get(encoding)
    if known:
        return known
    if match := re.fullmatch(r"WIN(125\d)", encoding):
        return f"cp{match[1]}"
    if match := re.fullmatch(r"(?:LATIN|ISO_8859_)(\d)", encoding):
        return f"iso8859-{match[1]}"
    return encoding.lower() if encoding in {"EUC_JP", "EUC_KR", "EUC_JIS_2004", "BIG5", "GBK", "GB18030"} else "utf-8"


class PgScanner:
    """`base.StreamScanner` for plain dumps made with ``--quote-all-identifiers``."""

    def __init__(self) -> None:
        self._rows: dict[tuple[bytes, bytes], int] = {}
        self._head = b""
        self._tail = b""
        self._rest = b""  # not yet looked at, after the one byte of context in front
        self._start = 0  # where looking goes on in _rest
        self._closer: bytes | None = None  # inside a quote: what ends it
        self._table: tuple[bytes, bytes] | None = None  # inside COPY data: of which table
        self._unread = b""  # the first COPY that is written in a way we do not know

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """See `base.StreamScanner.feed`."""
        if len(self._head) < _TAIL:
            self._head += bytes(chunk[: _TAIL - len(self._head)])
        self._tail = (self._tail + chunk[-_TAIL:])[-_TAIL:]
        self._look(self._rest + chunk, final=False)

    def result(self) -> ScanResult:
        """See `base.StreamScanner.result`."""
        self._look(self._rest, final=True)
        codec = self._codec()
        tables = tuple(
            TableInfo(schema=_name(schema, codec), name=_name(table, codec), rows=rows)
            for (schema, table), rows in sorted(self._rows.items())
        )
        problem = self._problem()
        return ScanResult(tables, not problem, problem)

    def _look(self, data: bytes, *, final: bool) -> None:
        position, going = self._start, True
        while going:
            if self._table is not None:
                position, going = self._in_rows(data, position, self._table, final)
            elif self._closer is not None:
                position, going = self._in_quote(data, position, self._closer)
            else:
                position, going = self._outside(data, position, final)
        # one byte of context stays: '^' and the look-behind see it, and the newline before a closing '\.'
        self._start = min(1, position)
        self._rest = data[position - self._start :]

    def _outside(self, data: bytes, position: int, final: bool) -> tuple[int, bool]:
        limit = len(data) if final else len(data) - _LONGEST_OPENER
        opener = _OPENER.search(data, position)
        if opener is None or opener.start() >= limit:
            return max(position, limit), False
        token = opener[0]
        if token != b"COPY ":
            self._closer = _CLOSERS.get(token, token)
            return opener.end(), True
        header = _HEADER.match(data, opener.start())
        if header is None:
            if not final and len(data) - opener.start() < _LONGEST_HEADER:
                return opener.start(), False
            self._unread = self._unread or data[opener.start() : opener.start() + 80]
            return opener.end(), True
        self._table = (header[1], header[2])
        self._rows.setdefault(self._table, 0)
        return header.end(), True

    def _in_quote(self, data: bytes, position: int, closer: bytes) -> tuple[int, bool]:
        end = data.find(closer, position)
        if end < 0:
            return max(position, len(data) - len(closer) + 1), False
        # a doubled quote closes and opens again: the same thing, seen from here
        self._closer = None
        return end + len(closer), True

    def _in_rows(self, data: bytes, position: int, table: tuple[bytes, bytes], final: bool) -> tuple[int, bool]:
        # the newline before '\.' may be that of the header: a table without rows
        end = find_by(data, _END_OF_DATA, 1, max(0, position - 1))
        if end >= 0:
            self._rows[table] += count_lines(data, position, end + 1)
            self._table = None
            return end + len(_END_OF_DATA), True
        limit = len(data) if final else max(position, len(data) - len(_END_OF_DATA) + 1)
        self._rows[table] += count_lines(data, position, limit)
        return limit, False

    def _codec(self) -> str:
        match = _ENCODING.search(self._head)
        return python_codec(match[1].decode()) if match else "utf-8"

    def _problem(self) -> str:
        if self._unread:
            return f"the dump holds a COPY that is not understood: {self._unread.decode('utf-8', 'backslashreplace')!r}"
        if self._table is not None or self._closer is not None:
            return "the dump ends in the middle of a statement"
        closing = _MARKER.search(self._tail)
        if closing is None:
            return "the dump lacks its closing line '-- PostgreSQL database dump complete'"
        opening = _RESTRICT.search(self._head)
        if (opening[1] if opening else None) != closing["key"]:
            return "the dump's \\restrict and \\unrestrict do not fit together"
        return ""


class MarkerScanner:
    """Looks for nothing but the closing line `marker` at the very end."""

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        self._tail = b""

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """See `base.StreamScanner.feed`."""
        self._tail = (self._tail + chunk[-_TAIL:])[-_TAIL:]

    def result(self) -> ScanResult:
        """See `base.StreamScanner.result`."""
        if ("\n" + self._tail.decode("utf-8", "replace")).endswith(f"\n{self._marker.decode()}\n"):
            return ScanResult((), True)
        return ScanResult((), False, f"the file lacks its closing line {self._marker.decode()!r}")


def _name(quoted: bytes, codec: str) -> str:
    name = quoted[1:-1].replace(b'""', b'"') if quoted.startswith(b'"') else quoted
    return name.decode(codec, "backslashreplace")

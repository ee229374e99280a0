"""Reads a mysqldump or mariadb-dump stream as it passes: its tables, their rows, its end.

No string in an INSERT holds a raw newline (both clients escape them), so a statement ends at the first line that ends
in ``;``. MariaDB's client writes one row a line: counting newlines counts the rows exactly. Oracle's writes a whole
INSERT on one line, of which `my_rows` counts them.
Bodies of triggers, routines and events stand between ``DELIMITER ;;`` and ``DELIMITER ;`` and are passed over.
"""

import re
from typing import Final

from vya_backupdb.domain.metadata import TableInfo
from vya_backupdb.engines.base import ScanResult
from vya_backupdb.engines.my_rows import RowCounter
from vya_backupdb.engines.seeking import count_lines, find_by

_TAIL: Final = 4096
_MARKER: Final = re.compile(rb"\*/;\n\n-- Dump completed(?: on [0-9: -]+)?\n\Z")
# possessive (++): a name that ends nowhere in this piece is given up in one pass, not in 2^n
_QUOTED: Final = rb"`(?:[^`]|``)++`"
_NAME: Final = rb"`((?:[^`]|``)++)`"
_OPENER: Final = re.compile(rb"^(?:INSERT INTO `|CREATE TABLE `|DELIMITER ;;\n)", re.MULTILINE)
# with a history two more columns follow, unquoted
_COLUMNS: Final = rb"\(%s(?:, %s)*+(?:, row_start, row_end)?+\) " % (_QUOTED, _QUOTED)
_INSERT: Final = re.compile(rb"INSERT INTO %s (?:%s)?VALUES([ \n])" % (_NAME, _COLUMNS))
_CREATE: Final = re.compile(rb"CREATE TABLE %s \(" % _NAME)
_END_OF_BODY: Final = b";;\nDELIMITER ;\n"
_HEADERS: Final = {b"INSERT": _INSERT, b"CREATE": _CREATE}
_LONGEST_OPENER: Final = 16
#: The longest INSERT header: 4,096 columns of 64 characters, each of up to 4 bytes or a doubled backtick.
_LONGEST_HEADER: Final = 2 * 1024 * 1024
#: What a server takes as one statement, its command's byte included: ``max_allowed_packet`` cannot be more.
_LONGEST_STATEMENT: Final = (1 << 30) - 1


class MySQLScanner:
    """`base.StreamScanner` for both clients' dumps of one database."""

    def __init__(self, longest_statement: int = _LONGEST_STATEMENT) -> None:
        self._rows: dict[bytes, int] = {}
        self._longest, self._length = longest_statement, 0  # of the present INSERT, as far as it was seen
        self._too_long: bytes | None = None  # the first table with an INSERT that no server takes back
        self._tail = b""
        self._rest = b""  # not yet looked at, after the one byte of context in front
        self._start = 0  # where looking goes on in _rest
        self._table: bytes | None = None  # inside an INSERT: into which table
        self._first_line = False  # inside an INSERT: still on its first line
        self._counter = RowCounter()  # inside an INSERT: of its first line
        self._counted = 0  # inside an INSERT: rows on its first line
        self._by_line = False  # whether this client was seen to give each row a line
        self._in_body = False
        self._unread = b""  # the first statement that is written in a way we do not know

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """See `base.StreamScanner.feed`."""
        self._tail = (self._tail + chunk[-_TAIL:])[-_TAIL:]
        self._look(self._rest + chunk, final=False)

    def result(self) -> ScanResult:
        """See `base.StreamScanner.result`."""
        self._look(self._rest, final=True)
        tables = tuple(TableInfo(name=_text(name), rows=rows) for name, rows in sorted(self._rows.items()))
        problem = ""
        if self._unread:
            problem = f"the dump holds a statement that is not understood: {_text(self._unread)!r}"
        elif self._table is not None or self._in_body:
            problem = "the dump ends in the middle of a statement"
        elif self._too_long is not None:
            problem = (
                f"the table {_text(self._too_long)!r} has a row that no server takes back: it is a statement of more"
                " than 1 GiB (binary values count twice); split the value, or keep it outside of the database"
            )
        elif not _MARKER.search(self._tail):
            problem = "the dump lacks its closing line '-- Dump completed'"
        return ScanResult(tables, not problem, problem)

    def _look(self, data: bytes, *, final: bool) -> None:
        position, going = self._start, True
        while going:
            if self._table is not None:
                position, going = self._in_rows(data, position, self._table)
            elif self._in_body:
                position, going = self._inside_body(data, position)
            else:
                position, going = self._outside(data, position, final)
        self._start = min(1, position)
        self._rest = data[position - self._start :]

    def _outside(self, data: bytes, position: int, final: bool) -> tuple[int, bool]:
        limit = len(data) if final else len(data) - _LONGEST_OPENER
        opener = _OPENER.search(data, position)
        if opener is None or opener.start() >= limit:
            return max(position, limit), False
        if opener[0].startswith(b"DELIMITER"):
            self._in_body = True
            # the newline stays: an empty body would end at once
            return opener.end() - 1, True
        header = _HEADERS[opener[0][:6]].match(data, opener.start())
        if header is None:
            if not final and len(data) - opener.start() < _LONGEST_HEADER:
                return opener.start(), False
            self._unread = self._unread or data[opener.start() : opener.start() + 80]
            return opener.end(), True
        self._enter(header)
        return header.end(), True

    def _enter(self, header: re.Match[bytes]) -> None:
        self._rows.setdefault(header[1], 0)
        if header.re is _INSERT:
            self._table = header[1]
            self._by_line |= header[2] == b"\n"
            self._first_line = header[2] != b"\n"
            self._counter, self._counted = RowCounter(), 0
            self._length = header.end() - header.start()

    def _in_rows(self, data: bytes, position: int, table: bytes) -> tuple[int, bool]:
        read = self._in_first_line if self._first_line else self._in_other_lines
        limit, going = read(data, position, table)
        self._length += limit - position
        if self._length > self._longest and self._too_long is None:
            self._too_long = table
        return limit, going

    def _in_other_lines(self, data: bytes, position: int, table: bytes) -> tuple[int, bool]:
        end = find_by(data, b";\n", 0, position - 1)
        limit = end + 2 if end >= 0 else max(position, len(data) - 1)
        self._add(table, count_lines(data, position, limit))
        self._table = None if end >= 0 else table
        return limit, end >= 0

    def _in_first_line(self, data: bytes, position: int, table: bytes) -> tuple[int, bool]:
        end = data.find(b"\n", position)
        limit = end if end >= 0 else max(position, len(data) - 2)
        self._counted += self._counter.count(data[position:limit])
        if end < 0:
            return limit, False
        if data[end - 1 : end] != b";":
            self._by_line = True
        else:
            self._table = None
        if self._counter.in_string:
            self._unread = self._unread or data[max(0, end - 80) : end]
        self._add(table, 1 if self._by_line else self._counted)
        self._first_line = False
        return end + 1, True

    def _add(self, table: bytes, rows: int) -> None:
        self._rows[table] += rows

    def _inside_body(self, data: bytes, position: int) -> tuple[int, bool]:
        end = data.find(_END_OF_BODY, position)
        if end < 0:
            return max(position, len(data) - len(_END_OF_BODY) + 1), False
        self._in_body = False
        return end + len(_END_OF_BODY), True


def _text(name: bytes) -> str:
    return name.replace(b"``", b"`").decode("utf-8", "backslashreplace")

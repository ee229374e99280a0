"""What a dump of MySQL or MariaDB does not say, so that a load of it would make something else in silence.

- Dates such as the 30th of February, which a server takes under ALLOW_INVALID_DATES: the dumps load without it, and
  such a date becomes 0000-00-00.
- MariaDB's counting columns that may be NULL: SHOW CREATE TABLE does not say so, and without a word they may not.
- The position of a sequence that was set back below its start, or has begun a new cycle: SETVAL leaves it where it is.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from vya_backupdb.domain.report import Finding
from vya_backupdb.engines.findings import names, obstacle
from vya_backupdb.engines.my_session import Session, quote
from vya_backupdb.engines.tokens import Edit, Token

_LENIENT: Final = b"'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'"
_SETVAL: Final = re.compile(rb"(?i)(SELECT|DO) SETVAL\((`(?:[^`]|``)+`), (-?\d+), [01]\)")
_GENERATED: Final = """SELECT TABLE_SCHEMA AS s, TABLE_NAME AS name FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = :db GROUP BY TABLE_SCHEMA, TABLE_NAME HAVING MIN(GENERATION_EXPRESSION <> '') = 1"""
_COUNTING: Final = """SELECT TABLE_SCHEMA AS s, TABLE_NAME AS tab, COLUMN_NAME AS name FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = :db AND EXTRA LIKE '%auto_increment%' AND IS_NULLABLE = 'YES'"""


def mode(pieces: Sequence[Token]) -> Iterator[Edit]:
    """Yield what lets dates in as they were, from the mode that a dump sets at its beginning on."""
    if not any(piece.word == "@OLD_SQL_MODE" for piece in pieces):
        return
    for before, piece in itertools.pairwise(pieces):
        if before == "=" and piece.kind == "string" and piece.text[1:-1] == b"NO_AUTO_VALUE_ON_ZERO":
            yield Edit(piece.start, piece.end, _LENIENT)


def nullable(pieces: Sequence[Token]) -> Iterator[Edit]:
    """Yield what says of counting columns that they may be NULL: MariaDB's CREATE TABLE says only that they may not."""
    for at, piece in enumerate(pieces[:-1]):
        if piece.word != "AUTO_INCREMENT" or pieces[at + 1] == "=":
            continue
        begin = next((back for back in range(at - 1, -1, -1) if pieces[back] == ","), 0)
        if not any(one.word == "NULL" for one in pieces[begin:at]):
            yield Edit(piece.start, piece.start, b"NULL ")


def setval(text: bytes) -> tuple[bytes, bytes] | None:
    """Return the statement `text` that sets a sequence so that it answers, and what helps if it answers NULL.

    NULL: it stays where it is. None: `text` is something else.
    """
    found = _SETVAL.fullmatch(text)
    if found is None:
        return None
    return b"SELECT" + text[found.end(1) :], b"ALTER SEQUENCE %s RESTART WITH %s" % (found[2], found[3])


def unwritten(session: Session, database: str) -> Iterator[Finding]:
    """Tell of tables of MySQL with rows of nothing but generated columns: of these its client writes no valid SQL."""
    tables = session.rows(_GENERATED, f"reading the generated columns of {database!r}", db=database)
    for name in sorted(str(row["name"]) for row in tables if row["s"] == database):
        on = f"{quote(database)}.{quote(name)}"
        if session.shown(f"SELECT 1 FROM {on} LIMIT 1", f"looking for rows in {name!r} of {database!r}"):  # noqa: S608
            yield obstacle(
                "NotDumpable",
                f"all columns of {name!r} of {database!r} are generated, and mysqldump writes its rows as no server"
                " takes them",
                f"ALTER TABLE {on} ADD COLUMN plain int",
            )


def uncounted(session: Session, database: str) -> Iterator[Finding]:
    """Tell of counting columns of MariaDB that are NULL in a row, which a load would give a number."""
    rows = session.rows(_COUNTING, f"reading the counting columns of {database!r}", db=database)
    found = []
    for row in rows:
        on, column = f"{quote(database)}.{quote(str(row['tab']))}", quote(str(row["name"]))
        sql = f"SELECT 1 FROM {on} WHERE {column} <=> NULL LIMIT 1"  # noqa: S608 - quoted
        if row["s"] == database and session.shown(sql, f"looking for NULL in {row['tab']}.{row['name']}"):
            found.append(f"{row['tab']}.{row['name']}")
    if found:
        text = f"AUTO_INCREMENT columns of {database!r} are NULL in a row, and would come back as numbers"
        yield obstacle("NotDumpable", f"{text}: {names(sorted(found))}", "give those rows a number, or delete them")

"""Values of MySQL and MariaDB that no dump of their clients holds as the server does: told, because nobody sees it.

- The servers write a FLOAT with six digits, and there is no way to have more: 16777216 comes back as 16777200.
- Tables that only show rows which lie elsewhere (in a file, on another server): the clients write none of these.
- They ask for TIMESTAMP in UTC, and so a restore works out in UTC what goes by the session's time zone: a stored column
  may get another value, and MySQL refuse a row by a CHECK (MariaDB is told not to ask).
- The clients read all text as utf8mb4. A byte that means nothing in a column's character set, as in text that an
  application wrote in another one, comes as ``?``. Such rows are counted: the data is asked, of old character sets.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from vya_backupdb.domain.errors import PrivilegeMissing
from vya_backupdb.domain.report import Finding
from vya_backupdb.engines.base import Product
from vya_backupdb.engines.findings import names, note
from vya_backupdb.engines.my_session import Session, quote

#: In these every value that a server takes has a place in utf8mb4; MySQL takes nothing else into ASCII, either.
_WHOLE: Final = frozenset({"utf8mb4", "utf8mb3", "utf8", "latin1", "binary"})
#: Engines, in upper case, of whose tables the clients write no row; those that MERGE shows are of other tables here.
ROWS_ELSEWHERE: Final = frozenset({"MRG_MYISAM", "MRG_ISAM", "FEDERATED", "CONNECT", "OQGRAPH", "SPIDER", "VP"})
_MERGES: Final = frozenset({"MRG_MYISAM", "MRG_ISAM"})
_ENGINES: Final = """
    SELECT TABLE_SCHEMA AS s, TABLE_NAME AS name, ENGINE AS engine FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = :db AND TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB'"""
_ZONED: Final = """
    SELECT TABLE_SCHEMA AS s, TABLE_NAME AS tab, COLUMN_NAME AS name, DATA_TYPE AS type, GENERATION_EXPRESSION AS text
    FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = :db AND (DATA_TYPE = 'timestamp' OR EXTRA LIKE '%STORED%')"""
_CHECKS: Final = """
    SELECT t.TABLE_SCHEMA AS s, t.TABLE_NAME AS tab, c.CONSTRAINT_NAME AS name, c.CHECK_CLAUSE AS text
    FROM information_schema.TABLE_CONSTRAINTS t JOIN information_schema.CHECK_CONSTRAINTS c
      ON c.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = t.CONSTRAINT_NAME
    WHERE t.TABLE_SCHEMA = :db AND t.CONSTRAINT_TYPE = 'CHECK' AND t.ENFORCED = 'YES'"""
_COLUMNS: Final = """
    SELECT c.TABLE_SCHEMA AS s, c.TABLE_NAME AS tab, c.COLUMN_NAME AS name, c.DATA_TYPE AS type,
      c.CHARACTER_SET_NAME AS charset
    FROM information_schema.COLUMNS c JOIN information_schema.TABLES t
      ON t.TABLE_NAME = c.TABLE_NAME
    WHERE c.TABLE_SCHEMA = :db AND t.TABLE_SCHEMA = :db AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
      AND (c.DATA_TYPE = 'float' OR c.CHARACTER_SET_NAME IS NOT NULL AND c.DATA_TYPE NOT IN ('enum', 'set')
           AND t.ENGINE NOT IN ('MRG_MyISAM', 'FEDERATED', 'CONNECT', 'SPIDER'))
      AND (c.GENERATION_EXPRESSION IS NULL OR c.GENERATION_EXPRESSION = '')"""


def of_database(session: Session, product: Product, database: str) -> Iterator[Finding]:
    """Yield what is to be said of the values of `database`."""
    yield from _elsewhere(session, database)
    yield from _zoned(session, product, database)
    rows = session.rows(_COLUMNS, f"reading the columns of {database!r}", db=database)
    columns = {(str(row["tab"]), str(row["name"])): row for row in rows if row["s"] == database}
    floats = sorted(f"{table}.{name}" for (table, name), row in columns.items() if row["type"] == "float")
    if floats:
        yield note(
            "ShortFloat",
            f"the server writes FLOAT with six digits, what is behind them does not come back, in {database!r}:"
            f" {names(floats)}",
            "ALTER TABLE … MODIFY … DOUBLE",
        )
    whole = _WHOLE | ({"ascii"} if product == "MySQL" else set())
    by_table: dict[str, list[tuple[str, str]]] = {}
    for (table, name), row in columns.items():
        if row["charset"] is not None and row["charset"] not in whole:
            by_table.setdefault(table, []).append((name, str(row["charset"])))
    for table, odd in sorted(by_table.items()):
        yield from _lost_characters(session, database, table, odd)


def _elsewhere(session: Session, database: str) -> Iterator[Finding]:
    rows = session.rows(_ENGINES, f"listing the engines of the tables of {database!r}", db=database)
    engines = {str(row["name"]): str(row["engine"]) for row in rows if row["s"] == database}
    if found := sorted(name for name, engine in engines.items() if engine.upper() in ROWS_ELSEWHERE - _MERGES):
        shown = names([f"{name} ({engines[name]})" for name in found])
        text = f"rows of {database!r} that lie in files or on other servers are in no dump: {shown}"
        yield note("RowsElsewhere", text, "back them up where they lie")


def _zoned(session: Session, product: Product, database: str) -> Iterator[Finding]:
    rows = session.rows(_ZONED, f"reading the generated columns of {database!r}", db=database)
    there = [row for row in rows if row["s"] == database]
    moments: dict[str, list[str]] = {}
    for row in there:
        if row["type"] == "timestamp":
            moments.setdefault(str(row["tab"]), []).append(quote(str(row["name"])))
    if not moments:
        return
    if product == "MySQL":
        checks = session.rows(_CHECKS, f"reading the checks of {database!r}", db=database)
        there += [row for row in checks if row["s"] == database]
    found = [
        f"{row['tab']}.{row['name']}"
        for row in there
        if row["text"] and any(name in str(row["text"]) for name in moments.get(str(row["tab"]), ()))
    ]
    if found:
        text = (
            f"what a restore works out in UTC of TIMESTAMP columns may differ, in {database!r}: {names(sorted(found))}"
        )
        yield note("TimeZoned", text, "use DATETIME columns, or take the time zone out of the expression")


def _lost_characters(
    session: Session, database: str, table: str, columns: Sequence[tuple[str, str]]
) -> Iterator[Finding]:
    """Ask the rows of a table once for all of its `columns`, each with its character set."""
    sums = ", ".join(f"SUM({_is_lost(quote(name), charset)})" for name, charset in columns)
    on, doing = f"{quote(database)}.{quote(table)}", f"looking for lost characters in {table!r} of {database!r}"
    try:
        ((*counts,),) = session.table(f"SELECT {sums} FROM {on}", doing)  # noqa: S608 - quoted
    except PrivilegeMissing:
        return  # the dump itself says what it may not read
    for (name, charset), number in zip(columns, counts, strict=True):
        if number:
            yield note(
                "LostCharacters",
                f"{number} rows of {table}.{name} of {database!r} hold bytes that mean nothing in {charset}, and come"
                " back as '?'",
                f"ALTER TABLE {on} MODIFY {quote(name)} as BLOB or VARBINARY, or correct them",
            )


def _is_lost(column: str, charset: str) -> str:
    """Return an expression that is true where a character of `column` comes out as one more '?'.

    Not where other bytes come back alone: CP932 has several for one character.
    """
    read = f"CONVERT({column} USING utf8mb4)"
    same = f"CAST(CONVERT({read} USING {charset}) AS BINARY) = CAST({column} AS BINARY)"
    return f"NOT {same} AND {_marks(read)} > {_marks(column)}"


def _marks(text: str) -> str:
    return f"CHAR_LENGTH({text}) - CHAR_LENGTH(REPLACE({text}, '?', ''))"

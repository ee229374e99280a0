"""Triggers of MySQL and MariaDB that name a column which their table has lost: they stand in a dump, and end its load.

The servers look at a trigger's columns when it is made, not when a column is dropped or renamed; from then on each
statement that would fire it fails.
"""

from collections.abc import Iterator
from typing import Final

from vya_backupdb.domain.report import Finding
from vya_backupdb.engines.base import Product
from vya_backupdb.engines.findings import names, obstacle
from vya_backupdb.engines.my_session import Session, quote
from vya_backupdb.engines.statements import Quotes
from vya_backupdb.engines.tokens import ANY_VERSION, of_mysql

_TRIGGERS: Final = """
    SELECT TRIGGER_SCHEMA AS s, TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS tab, ACTION_STATEMENT AS body,
      SQL_MODE AS mode
    FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = :db"""
_COLUMNS: Final = """
    SELECT TABLE_SCHEMA AS s, TABLE_NAME AS tab, COLUMN_NAME AS name FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = :db"""
_ROWS: Final = frozenset({"NEW", "OLD"})
#: What a body may call NEW or OLD itself, so that it means no row of the table.
_DECLARING: Final = frozenset({"DECLARE", "FOR", "AS", "CURSOR"})
#: Columns of MariaDB's versioned tables that the catalogue does not list.
_UNLISTED: Final = frozenset({"row_start", "row_end"})


def of_database(session: Session, product: Product, database: str) -> Iterator[Finding]:
    """Yield what is to be said of the triggers of `database`."""
    rows = session.rows(_TRIGGERS, f"reading the triggers of {database!r}", db=database)
    triggers = [row for row in rows if row["s"] == database]
    if not triggers:
        return
    columns: dict[str, set[str]] = {}
    for row in session.rows(_COLUMNS, f"reading the columns of {database!r}", db=database):
        if row["s"] == database:
            columns.setdefault(str(row["tab"]), set()).add(str(row["name"]).casefold())
    for row in triggers:
        table, name = str(row["tab"]), str(row["name"])
        known = columns.get(table)
        quotes = Quotes.of_mode(str(row["mode"]))
        body = str(row["body"])
        if product == "MySQL" and "`" in body:
            # its catalogue doubles the letters beside a doubled backtick
            body = _shown(session, database, name)
        lost = sorted(_named(body, product, quotes) - known - _UNLISTED) if known else []
        if lost:
            yield obstacle(
                "NotDumpable",
                f"trigger {name!r} of {database!r} names columns that its table {table!r} does not have:"
                f" {names(lost)}; no server takes it back",
                f"DROP TRIGGER {quote(database)}.{quote(name)}, or create it anew",
            )


def _shown(session: Session, database: str, name: str) -> str:
    sql = f"SHOW CREATE TRIGGER {quote(database)}.{quote(name)}"
    rows = session.records(sql, f"reading trigger {name!r} of {database!r}")
    return str(rows[0]["SQL Original Statement"]) if rows else ""


def _named(text: str, product: Product, quotes: Quotes) -> set[str]:
    """Return the columns of the rows NEW and OLD that a statement names, in lower case."""
    body = list(of_mysql(text.encode(), mariadb=product == "MariaDB", version=ANY_VERSION, quotes=quotes))
    found = set()
    for at, piece in enumerate(body):
        if piece.word not in _ROWS:
            continue
        before = body[at - 1] if at else None
        if before is not None and before.word in _DECLARING:
            return set()
        if at + 2 < len(body) and body[at + 1] == "." and body[at + 2].names and (before is None or before != "."):
            found.add(body[at + 2].text.decode("utf-8", "replace").casefold())
    return found

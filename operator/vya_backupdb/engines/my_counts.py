"""How many objects of each kind the databases of a MySQL or MariaDB server hold: one query a kind, for all of them.

Grouped by the bytes of the name: under the catalogue's own collation MariaDB takes ``Shop`` and ``shop`` for one.
"""

from collections.abc import Collection
from typing import Final

from vya_backupdb.engines.my_session import Session

_QUERY: Final = """
    SELECT MIN({schema}) AS name, {kind} AS kind, COUNT(*) AS number
    FROM information_schema.{view} GROUP BY CONVERT({schema} USING utf8mb4) COLLATE utf8mb4_bin, 2"""
_TABLE_KIND: Final = (
    "CASE WHEN TABLE_TYPE = 'SEQUENCE' THEN 'sequences' WHEN TABLE_TYPE LIKE '%VIEW' THEN 'views' ELSE 'tables' END"
)
#: The view of the catalogue, the column that names the database, and what its rows are.
_KINDS: Final = (
    ("TABLES", "TABLE_SCHEMA", _TABLE_KIND),
    ("ROUTINES", "ROUTINE_SCHEMA", "'routines'"),
    ("TRIGGERS", "TRIGGER_SCHEMA", "'triggers'"),
    ("EVENTS", "EVENT_SCHEMA", "'events'"),
)


def count(session: Session, databases: Collection[str]) -> dict[str, dict[str, int]]:
    """Return for each of `databases` the numbers of its objects by kind, without those that are 0."""
    found: dict[str, dict[str, int]] = {name: {} for name in databases}
    for view, schema, kind in _KINDS:
        sql = _QUERY.format(view=view, schema=schema, kind=kind)
        for row in session.rows(sql, f"counting the {view.lower()} of the databases"):
            if str(row["name"]) in found:
                found[str(row["name"])][str(row["kind"])] = int(row["number"])
    return found

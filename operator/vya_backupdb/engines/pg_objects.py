"""How many objects of each kind a PostgreSQL database holds: one query, whatever it holds."""

from typing import Final

from vya_backupdb.engines.pg_session import Server

_OBJECTS: Final = """
    SELECT count(*) FILTER (WHERE c.relkind IN ('r', 'p', 'f')) AS tables,
      count(*) FILTER (WHERE c.relkind IN ('v', 'm')) AS views, count(*) FILTER (WHERE c.relkind = 'S') AS sequences,
      (SELECT count(*) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace m ON m.oid = p.pronamespace
       WHERE m.nspname !~ '^pg_' AND m.nspname <> 'information_schema') AS routines,
      (SELECT count(*) FROM pg_catalog.pg_trigger WHERE NOT tgisinternal) AS triggers
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""


def count(server: Server, database: str) -> dict[str, int]:
    """Return the numbers of tables, views, sequences, routines and triggers of `database`, without those that are 0."""
    with server.session(database) as session:
        (row,) = session.rows(_OBJECTS, f"counting the objects of {database!r}")
    return {kind: int(number) for kind, number in row.items() if number}

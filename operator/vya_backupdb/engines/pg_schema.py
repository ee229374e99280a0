"""The schema of one PostgreSQL database as `domain.schema` has it, read in whatever transaction the session is in.

Ask it under the dump's own snapshot for what the dump holds. The functions that write definitions out (views, defaults,
indexes) see the present all the same, as they do for pg_dump; so read once more after the dump, and compare. The
session's pins (`pg_session`: an empty search path, fixed formats) are part of what makes the texts comparable.
"""

from collections.abc import Iterator
from typing import Any, Final

from vya_backupdb.domain.schema import Schema, SchemaObject, schema_object, schema_of
from vya_backupdb.engines import pg_schema_objects, pg_schema_rare, pg_schema_relations
from vya_backupdb.engines.pg_schema_sql import FIRST_OID, Query
from vya_backupdb.engines.pg_session import Session

QUERIES: Final = (*pg_schema_relations.QUERIES, *pg_schema_objects.QUERIES, *pg_schema_rare.QUERIES)
#: Lists whose order means nothing, or depends on the oids: sorted here, not by a collation of the server's.
_SETS: Final = frozenset({"acl", "options", "toast_options", "roles", "kinds", "schemas", "tags"})


def read(session: Session, database: str) -> Schema:
    """Return the schema of the session's database; `database` is its name for an error's message."""
    return schema_of(f"PostgreSQL {session.version // 10000}", _objects(session, database))


def read_within(session: Session, database: str) -> Schema:
    """Return the schema as of the session's transaction, and give back what was locked for it.

    Writing out a view locks the tables under it to the end of the transaction: an ALTER would wait for the whole dump.
    """
    doing = f"reading the schema of {database!r}"
    session.execute("SAVEPOINT schema", doing)
    found = read(session, database)
    session.execute("ROLLBACK TO SAVEPOINT schema", doing)
    return found


def read_now(session: Session, database: str) -> Schema:
    """Return the schema as it is now; what the session was in before is ended."""
    doing = f"reading the schema of {database!r}"
    # outside of a transaction it is only a notice
    session.execute("ROLLBACK", doing)
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", doing)
    found = read(session, database)
    session.execute("ROLLBACK", doing)
    return found


def _objects(session: Session, database: str) -> Iterator[SchemaObject]:
    used = _used_catalogs(session, database)
    for query in QUERIES:
        if query.catalog and query.catalog not in used:
            continue
        doing = f"reading the schema of {database!r} ({query.kind})"
        for row in session.rows(query.text(session.version), doing):
            yield _object(query, row)


def _used_catalogs(session: Session, database: str) -> frozenset[str]:
    """Return the catalogues that hold something that is not the server's own.

    Planning twenty queries costs a server more than the answer of a small database, and compiling them (JIT) costs a
    second of a large one's: both are spared.
    """
    catalogs = sorted({query.catalog for query in QUERIES} - {""})
    probes = ", ".join(
        f"EXISTS (SELECT FROM pg_catalog.{catalog} WHERE oid >= {FIRST_OID}) AS {catalog}" for catalog in catalogs
    )
    sql = f"SELECT pg_catalog.set_config('jit', 'off', false), {probes}"
    row = session.rows(sql, f"looking into the catalogues of {database!r}")[0]
    return frozenset(catalog for catalog in catalogs if row[catalog])


def _object(query: Query, row: dict[str, Any]) -> SchemaObject:
    kind = str(row.pop("kind", query.kind))
    name = [str(row.pop(key)) for key in ("k1", "k2", "k3") if key in row]
    values = {key: _value(query, key, value) for key, value in row.items()}
    return schema_object(
        kind,
        name,
        {key: value for key, value in values.items() if key not in query.definition and key not in query.labels},
        {key: values[key] for key in query.definition if key in values},
        {key: values[key] for key in query.labels if key in values},
    )


def _value(query: Query, key: str, value: Any) -> Any:
    if isinstance(value, list) and (key in _SETS or query.kind == "operator family"):
        return sorted(value)
    return value

"""One MySQL or MariaDB database before and after its dump: the client opens the snapshot, we compare what it stood on.

``--single-transaction`` protects from other sessions' rows, not from their DDL: a TRUNCATE, or a rename that puts
another table in a table's place, can give an empty or a wrong table and exit code 0. So each table's identity is noted
before the dump and compared after it: InnoDB's table id where the account may read it (PROCESS), else the creation
time. A table that appeared meanwhile is no fault: it was no part of the moment before the dump.
`Snapshot` is where a ``LOCK INSTANCE FOR BACKUP`` or a ``BACKUP LOCK``, which would forbid such DDL, belongs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from vya_backupdb.domain.errors import DumpFailed, NotFound, PrivilegeMissing
from vya_backupdb.domain.metadata import DatabaseSettings, SchemaInfo, TableInfo
from vya_backupdb.engines import my_rights
from vya_backupdb.engines.base import Product
from vya_backupdb.engines.my_session import Server, Session

METHOD: Final = "single transaction of the dump client (consistent snapshot of InnoDB)"
_TABLE_TYPES: Final = ("BASE TABLE", "SYSTEM VERSIONED")
_BY_ID: Final = "replaced, truncated or dropped tables (InnoDB table ids)"
_BY_TIME: Final = "replaced, truncated or dropped tables (creation times)"
_TABLE_LIST: Final = "table list of the stream"
#: InnoDB's own tables: what an ALTER builds, and the parts of a full-text index, which OPTIMIZE makes anew.
_INTERNAL: Final = re.compile(r"/(?:#sql|fts_[0-9a-f]{16}_)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Seen:
    """The tables of one database at one moment, each with what tells it from a successor of the same name."""

    tables: Mapping[str, str]
    identities: Mapping[str, str]
    by_id: bool


class MySQLSnapshot:
    """What the dump of one database stands on."""

    method = METHOD

    def __init__(self, server: Server, session: Session, product: Product, database: str) -> None:
        self._server, self._product, self._database = server, product, database
        self.settings = _settings(session, product, database)
        self.schema_info = _schema_info(session, database)
        self._before = look(session, product, database)
        self.tables = tuple(TableInfo(name=name) for name in sorted(self._before.tables))
        self.versioned = _versioned(session, database)
        self.warnings = (
            *my_rights.unseen(session, product, database),
            *_not_transactional(session, self._before, database),
            *_foreign_defaults(session, database),
        )

    def verify(self, found: Sequence[TableInfo] | None = None) -> tuple[str, ...]:
        """See `base.Snapshot.verify`."""
        with self._server.session() as session:
            after = look(session, self._product, self._database)
        self._compare_identities(after)
        detectors = (_BY_ID if self._before.by_id and after.by_id else _BY_TIME,)
        if found is None:
            return detectors
        self._compare_tables(after, {table.name for table in found})
        return (*detectors, _TABLE_LIST)

    def _compare_identities(self, after: Seen) -> None:
        # where the right to read ids went away between the two, names alone are compared
        comparable = self._before.by_id == after.by_id
        gone = {name for name in self._before.identities if name not in after.identities} if comparable else set()
        other = {
            name
            for name, identity in self._before.identities.items()
            if comparable and name in after.identities and after.identities[name] != identity
        }
        gone |= self._before.tables.keys() - after.tables.keys()
        if changed := sorted(gone | other):
            raise DumpFailed(
                f"while {self._database!r} was dumped, tables were replaced, truncated or dropped: {_names(changed)}",
                hint="The dump may hold them empty; it is not used. Run it again at a time without such statements.",
            )

    def _compare_tables(self, after: Seen, found: set[str]) -> None:
        lacking = self._before.tables.keys() - found
        unexpected = found - self._before.tables.keys() - after.tables.keys()
        for names, words in ((lacking, "lacks"), (unexpected, "holds unexpected")):
            if names:
                raise DumpFailed(
                    f"the dump of {self._database!r} {words} tables: {_names(sorted(names))}",
                    hint="See the client's messages.",
                )


@contextmanager
def snapshot(server: Server, product: Product, database: str) -> Iterator[MySQLSnapshot]:
    """Look at `database` now; `verify` looks again. Raise NotFound if it does not exist."""
    with server.session() as session:
        found = MySQLSnapshot(server, session, product, database)
    yield found


def look(session: Session, product: Product, database: str) -> Seen:
    """Return the tables of `database` with their identities."""
    rows = session.rows(
        "SELECT TABLE_NAME AS name, ENGINE AS engine, CREATE_TIME AS created FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = :db AND TABLE_TYPE IN :types".replace(":types", str(_TABLE_TYPES)),
        f"listing the tables of {database!r}",
        db=database,
    )
    tables = {row["name"]: str(row["engine"]) for row in rows}
    identities = _ids(session, product, database)
    if identities is None:
        return Seen(tables, {row["name"]: str(row["created"]) for row in rows if row["created"]}, by_id=False)
    return Seen(tables, identities, by_id=True)


def _ids(session: Session, product: Product, database: str) -> dict[str, str] | None:
    """Return InnoDB's name and id of each table and partition of `database`, or None where they may not be read."""
    source = "INNODB_SYS_TABLES" if product == "MariaDB" else "INNODB_TABLES"
    plain = re.match(r"[0-9A-Za-z]*", database)
    try:
        rows = session.rows(
            f"SELECT NAME AS name, TABLE_ID AS id FROM information_schema.{source} WHERE NAME LIKE :prefix",  # noqa: S608
            f"reading the table ids of {database!r}",
            prefix=f"{plain[0] if plain else ''}%",
        )
    except PrivilegeMissing:
        return None
    pattern = re.compile(file_name_pattern(database) + "/")
    names = ((str(row["name"]), str(row["id"])) for row in rows)
    return {name: number for name, number in names if pattern.match(name) and not _INTERNAL.search(name)}


def file_name_pattern(database: str) -> str:
    """Return a pattern for InnoDB's spelling of a database's name.

    Exact for ASCII (``a-b`` is ``a@002db``). Any other character has two to four digits from a table of the server's;
    the pattern takes any, so that a sister database may be taken along: one comparison too many, never one too few.
    """
    parts = []
    for character in database:
        if re.fullmatch(r"[0-9A-Za-z_]", character):
            parts.append(character)
        else:
            parts.append(f"@{ord(character):04x}" if ord(character) < 128 else "@[0-9a-zA-Z]{2,4}")
    return "".join(parts)


def _settings(session: Session, product: Product, database: str) -> DatabaseSettings:
    comment = "SCHEMA_COMMENT" if product == "MariaDB" else "''"
    rows = session.rows(
        "SELECT SCHEMA_NAME AS name, DEFAULT_CHARACTER_SET_NAME AS charset, DEFAULT_COLLATION_NAME AS collation,"  # noqa: S608
        f" {comment} AS comment FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = :db",
        f"reading the attributes of {database!r}",
        db=database,
    )
    # the comparison of the server may be deaf to case and accents; ours is not
    row = next((row for row in rows if row["name"] == database), rows[0] if len(rows) == 1 else None)
    if row is None:
        raise NotFound(f"database {database!r} does not exist", hint="Check its name; it may have been dropped.")
    return DatabaseSettings(charset=row["charset"], collation=row["collation"], comment=row["comment"] or None)


def _schema_info(session: Session, database: str) -> SchemaInfo:
    counts = session.rows(
        """SELECT
          (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = :db
           AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')) AS tables_count,
          (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = :db
           AND TABLE_TYPE LIKE '%VIEW') AS views_count,
          (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = :db
           AND ROUTINE_TYPE = 'PROCEDURE') AS procedures_count,
          (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = :db
           AND ROUTINE_TYPE = 'FUNCTION') AS functions_count,
          (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = :db) AS triggers_count""",
        f"counting the objects of {database!r}",
        db=database,
    )[0]
    return SchemaInfo.model_validate(counts)


def _versioned(session: Session, database: str) -> bool:
    sql = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = :db AND TABLE_TYPE = 'SYSTEM VERSIONED'"
    return bool(session.value(sql, f"looking for versioned tables in {database!r}", db=database))


def _not_transactional(session: Session, seen: Seen, database: str) -> Iterator[str]:
    sql = "SELECT ENGINE AS engine FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES'"
    safe = {str(row["engine"]).casefold() for row in session.rows(sql, "listing the storage engines")}
    names = sorted(f"{name} ({engine})" for name, engine in seen.tables.items() if engine.casefold() not in safe)
    if names:
        yield f"{database!r} has tables that no snapshot protects, rows may be of different moments: {_names(names)}"


def _foreign_defaults(session: Session, database: str) -> Iterator[str]:
    rows: list[dict[str, Any]] = session.rows(
        """SELECT o.name FROM (
            SELECT ROUTINE_NAME AS name, DATABASE_COLLATION AS c FROM information_schema.ROUTINES
            WHERE ROUTINE_SCHEMA = :db
            UNION ALL SELECT TRIGGER_NAME, DATABASE_COLLATION FROM information_schema.TRIGGERS
            WHERE TRIGGER_SCHEMA = :db
            UNION ALL SELECT EVENT_NAME, DATABASE_COLLATION FROM information_schema.EVENTS
            WHERE EVENT_SCHEMA = :db) o
          WHERE o.c <> (SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA
                        WHERE SCHEMA_NAME = :db LIMIT 1)""",
        f"reading the collations of {database!r}",
        db=database,
    )
    if rows:
        names = _names(sorted({str(row["name"]) for row in rows}))
        yield (
            f"{database!r} has routines made under another default collation: {names}; its dump alters the database"
            " by name, so it cannot be restored under another name"
        )


def _names(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"

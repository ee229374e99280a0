"""One MySQL or MariaDB database before and after its dump: the client opens the snapshot, we compare what it stood on.

``--single-transaction`` protects from other sessions' rows, not from their DDL: a TRUNCATE, or a rename that puts
another table in a table's place, can give an empty or a wrong table and exit code 0. So each table's identity is noted
before the dump and compared after it: InnoDB's table id where the account may read it (PROCESS), else the creation
time. A table that appeared meanwhile is no fault: it was no part of the moment before the dump. Where the server can
hold such statements back (`my_guard`), it does, and the comparison only confirms it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from vya_backupdb.domain.errors import ConnectionFailed, DumpFailed, NotFound, ServerError
from vya_backupdb.domain.metadata import DatabaseSettings, SchemaInfo, TableInfo
from vya_backupdb.engines import findings, my_guard, my_preflight, my_schema, schema_facts
from vya_backupdb.engines.base import Product
from vya_backupdb.engines.my_session import Server, Session

METHOD: Final = "single transaction of the dump client (consistent snapshot of InnoDB)"
_GUARDED: Final = f"{METHOD}; changes of definitions held back ({my_guard.LOCK})"
_TABLE_TYPES: Final = ("BASE TABLE", "SYSTEM VERSIONED")
_BY_ID: Final = "replaced, truncated or dropped tables (InnoDB table ids)"
_BY_TIME: Final = "replaced, truncated or dropped tables (creation times)"
_TABLE_LIST: Final = "table list of the stream"
#: InnoDB's own tables: what an ALTER builds, and the parts of a full-text index, which OPTIMIZE makes anew.
_INTERNAL: Final = re.compile(r"/(?:#sql|fts_[0-9a-f]{16}_)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Seen:
    """The tables of one database at one moment, each with what tells it from a successor of the same name.

    `tables` are their engines, `created` the times of their making, `ids` InnoDB's (None where they cannot be read).
    """

    tables: Mapping[str, str]
    created: Mapping[str, str]
    ids: Mapping[str, str] | None

    def identities(self, *, by_id: bool) -> dict[str, str]:
        """Return what each table is known by: InnoDB's by id, others and all without ids by time."""
        if self.ids is None or not by_id:
            return dict(self.created)
        others = {name: made for name, made in self.created.items() if self.tables[name].casefold() != "innodb"}
        return {**self.ids, **others}


class MySQLSnapshot:
    """What the dump of one database stands on."""

    def __init__(
        self, server: Server, session: Session, product: Product, database: str, guard: my_guard.Guard
    ) -> None:
        self._server, self._product, self._database, self._guard = server, product, database, guard
        self.settings = _settings(session, product, database)
        self.schema = my_schema.read(session, product, database)
        self.schema_info = schema_facts.described(_schema_info(session, database), self.schema)
        self.server_settings = _server_settings(session)
        self._before = look(session, product, database)
        self.tables = tuple(TableInfo(name=name) for name in sorted(self._before.tables))
        self.versioned = _versioned(session, database)
        self.findings = my_preflight.of_database(session, product, database)
        self.warnings = findings.warnings(self.findings)

    @property
    def method(self) -> str:
        """See `base.Snapshot.method`."""
        return _GUARDED if self._guard.held else METHOD

    def keep(self) -> None:
        """See `base.Snapshot.keep`."""
        self._guard.keep()

    def hold(self) -> None:
        """See `base.Snapshot.hold`: the guard holds from before the client began; else there is nothing to be held."""

    def verify(self, found: Sequence[TableInfo] | None = None) -> tuple[str, ...]:
        """See `base.Snapshot.verify`."""
        self._guard.keep()
        with self._server.session() as session:
            after = look(session, self._product, self._database)
            now = my_schema.read(session, self._product, self._database)
        by_id = self._before.ids is not None and after.ids is not None
        self._compare_identities(after, by_id=by_id)
        schema_facts.require_unchanged(self._database, self.schema, now, by_snapshot=False)
        detectors = (_BY_ID if by_id else _BY_TIME, schema_facts.DETECTOR)
        if found is None:
            return detectors
        self._compare_tables(after, {table.name for table in found})
        return (*detectors, _TABLE_LIST)

    def _compare_identities(self, after: Seen, *, by_id: bool) -> None:
        was, now = self._before.identities(by_id=by_id), after.identities(by_id=by_id)
        other = {name for name, identity in was.items() if now.get(name) != identity}
        gone = self._before.tables.keys() - after.tables.keys()
        if changed := sorted(gone | other):
            listed = findings.names(changed)
            raise DumpFailed(
                f"while {self._database!r} was dumped, tables were replaced, truncated or dropped: {listed}",
                hint="The dump may hold them empty; it is not used. Run it again at a time without such statements.",
            )

    def _compare_tables(self, after: Seen, found: set[str]) -> None:
        lacking = self._before.tables.keys() - found
        unexpected = found - self._before.tables.keys() - after.tables.keys()
        for names, words in ((lacking, "lacks"), (unexpected, "holds unexpected")):
            if names:
                raise DumpFailed(
                    f"the dump of {self._database!r} {words} tables: {findings.names(sorted(names))}",
                    hint="See the client's messages.",
                )


@contextmanager
def snapshot(server: Server, product: Product, database: str, *, wait_seconds: int) -> Iterator[MySQLSnapshot]:
    """Look at `database` now; `verify` looks again. Raise NotFound if it does not exist.

    Changes of definitions are held back until the end of the block, where that can be had within `wait_seconds`.
    """
    with my_guard.guard(server, product, wait_seconds=wait_seconds) as guard:
        with server.session() as session:
            session.execute(f"SET SESSION lock_wait_timeout = {wait_seconds}", "setting up the session")
            found = MySQLSnapshot(server, session, product, database, guard)
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
    created = {row["name"]: str(row["created"]) for row in rows if row["created"]}
    return Seen(tables, created, _ids(session, product, database))


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
    except ConnectionFailed:
        raise
    except ServerError:
        # without PROCESS; or MySQL, which opens each table for it, met one that a waiting ALTER closes
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


def _server_settings(session: Session) -> dict[str, str]:
    """Return the global values, which a new session gets; ours has others."""
    rows = session.rows(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('sql_mode', 'lower_case_table_names', 'character_set_server',"
        " 'collation_server', 'time_zone', 'system_time_zone', 'default_storage_engine', 'innodb_page_size',"
        " 'innodb_default_row_format', 'explicit_defaults_for_timestamp', 'event_scheduler', 'max_allowed_packet',"
        " 'log_bin_trust_function_creators', 'sql_generate_invisible_primary_key', 'sql_require_primary_key')",
        "reading the settings of the server",
    )
    return {str(row["Variable_name"]): str(row["Value"]) for row in rows}


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
          (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = :db) AS triggers_count""",
        f"counting the objects of {database!r}",
        db=database,
    )[0]
    return SchemaInfo.model_validate(counts)


def _versioned(session: Session, database: str) -> bool:
    sql = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = :db AND TABLE_TYPE = 'SYSTEM VERSIONED'"
    return bool(session.value(sql, f"looking for versioned tables in {database!r}", db=database))

"""One PostgreSQL database at one moment: an exported snapshot that pg_dump joins, and the catalogue as of it.

pg_dump takes its locks after the snapshot. A TRUNCATE or a rewriting ALTER TABLE that commits in between leaves a table
visible but empty, and pg_dump ends with 0 all the same. The detector compares ``pg_class.relfilenode`` as the snapshot
sees it with ``pg_relation_filenode()``, which sees the present; it runs once after the dump, whose locks stopped
everything later: a session of ours takes them over (`hold`), as pg_dump's go with it. Tables are locked and read by
name, not by what the name stood for in the snapshot: a rename that puts another table in a table's place is told by
asking what the name stands for now. Materialized views are left out: their rows are no part of a dump, and a REFRESH
would trip it.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from vya_backupdb.domain.errors import BackupDBError, DumpFailed
from vya_backupdb.domain.metadata import DatabaseSettings, SchemaInfo, TableInfo
from vya_backupdb.domain.report import Finding
from vya_backupdb.engines import findings, pg_preflight, pg_schema, schema_facts
from vya_backupdb.engines.pg_scan import python_codec
from vya_backupdb.engines.pg_session import Server, Session, name_list

METHOD: Final = "repeatable read snapshot, exported to pg_dump"
DETECTORS: Final = ("rewritten, dropped or renamed tables (relfilenode, name)", "table list of the stream")

_NOT_SYSTEM: Final = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_NO_MEMBER: Final = (
    "NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.{catalog}'::regclass"
    " AND d.objid = {alias}.oid AND d.deptype = 'e')"
)
_TABLE_NO_MEMBER: Final = _NO_MEMBER.format(catalog="pg_class", alias="c")
# an extension's own table is dumped only where the extension marked it as configuration
_DUMPED: Final = f"""({_TABLE_NO_MEMBER} OR EXISTS (
    SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)))"""

# pg_dump loads rows through the root where they may belong to another partition after a restore: an enum's hash is
# that of its label's oid
BY_ENUM_HASH: Final = """EXISTS (
    SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.relid
    JOIN pg_catalog.pg_opclass o ON o.oid = ANY (p.partclass) JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
    WHERE m.amname = 'hash' AND o.opcname = 'enum_ops')"""
_TABLES: Final = f"""
    SELECT n.nspname AS schema, c.relname AS name, c.relpersistence = 'u' AS unlogged, rn.nspname AS root_schema,
      r.relname AS root
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid) AND {BY_ENUM_HASH}
    LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {_NOT_SYSTEM} AND {_DUMPED}
    ORDER BY 1, 2"""  # noqa: S608 - constants

_NAMES: Final = """
    SELECT o.name, pg_catalog.convert_to(o.name, pg_catalog.getdatabaseencoding()) AS raw FROM (
      SELECT nspname::text AS name FROM pg_catalog.pg_namespace UNION
      SELECT relname::text FROM pg_catalog.pg_class WHERE relkind = 'r') o"""

_CHANGED: Final = f"""
    SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {_NOT_SYSTEM} AND {_DUMPED}
      AND (c.relfilenode <> 0 AND c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid)
        OR pg_catalog.to_regclass(pg_catalog.format('%I.%I', n.nspname, c.relname)) IS DISTINCT FROM c.oid)
    ORDER BY 1, 2"""  # noqa: S608 - constants

# what pg_dump locks; a parent alone, or its partitions would be locked once more
_LOCKED: Final = f"""
    SELECT pg_catalog.textsend(pg_catalog.format('ONLY %I.%I', n.nspname, c.relname)) AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {_NOT_SYSTEM} AND {_DUMPED}
    ORDER BY 1"""  # noqa: S608 - constants
_LOCKED_AT_ONCE: Final = 1000

_RELATIONS: Final = f"""(SELECT count(*) FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ({{kinds}}) AND c.relpersistence <> 't' AND {_NOT_SYSTEM} AND {_DUMPED})"""  # noqa: S608 - constants
_ROUTINES: Final = f"""(SELECT count(*) FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prokind {{kind}} AND {_NOT_SYSTEM} AND {_NO_MEMBER.format(catalog="pg_proc", alias="p")})"""  # noqa: S608 - constants
_TRIGGERS: Final = f"""(SELECT count(*) FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND {_NOT_SYSTEM} AND {_TABLE_NO_MEMBER})"""  # noqa: S608 - constants
_COUNTS: Final = f"""
    SELECT {_RELATIONS.format(kinds="'r', 'p', 'f'")} AS tables, {_RELATIONS.format(kinds="'v', 'm'")} AS views,
      {_ROUTINES.format(kind="= 'p'")} AS procedures, {_ROUTINES.format(kind="<> 'p'")} AS functions,
      {_TRIGGERS} AS triggers"""


class PostgreSQLSnapshot:
    """The database as of one moment; its session lives until the dump has been judged."""

    method = METHOD

    def __init__(
        self, session: Session, database: str, accepted: Callable[[str], bool], connect: Callable[[], Session]
    ) -> None:
        self._session, self._connect = session, connect
        self._holder: Session | None = None
        self._database = database
        self.identifier = str(session.value("SELECT pg_catalog.pg_export_snapshot()", "exporting a snapshot"))
        self.encoding = _dump_encoding(session, str(_database_row(session)["encoding"]))
        self.settings = settings_of(session)
        counts = session.rows(_COUNTS, f"counting the objects of {database!r}")[0]
        counted = SchemaInfo(**{f"{name}_count": value for name, value in counts.items()})
        self.schema = pg_schema.read_within(session, database)
        self.schema_info = schema_facts.described(counted, self.schema)
        self.server_settings = _server_settings(session)
        self.tables, unlogged = self._read_tables()
        self.findings = (*pg_preflight.of_database(session, database, accepted), *unlogged)
        self.warnings = findings.warnings(self.findings)

    def _read_tables(self) -> tuple[tuple[TableInfo, ...], tuple[Finding, ...]]:
        rows = self._session.rows(_TABLES, f"listing the tables of {self._database!r}")
        self._roots = {
            (row["schema"], row["name"]): TableInfo(schema=row["root_schema"], name=row["root"])
            for row in rows
            if row["root"] is not None
        }
        standby = self._session.value("SELECT pg_catalog.pg_is_in_recovery()", "asking for the server's role")
        unlogged = [f"{row['schema']}.{row['name']}" for row in rows if row["unlogged"]]
        dumped = tuple(
            TableInfo(schema=row["schema"], name=row["name"]) for row in rows if not (standby and row["unlogged"])
        )
        if not (standby and unlogged):
            return dumped, ()
        text = f"the server is a standby: the rows of unlogged tables of {self._database!r} are missing"
        return dumped, (findings.note("Unlogged", f"{text}: {name_list(unlogged)}", "back up the primary"),)

    def keep(self) -> None:
        """See `base.Snapshot.keep`."""
        for session in filter(None, (self._session, self._holder)):
            session.value("SELECT 1", f"keeping the snapshot of {self._database!r}")

    def hold(self) -> None:
        """See `base.Snapshot.hold`: who waited for pg_dump must not change a table before `verify` has looked at it.

        pg_dump has its locks before it writes the first byte. Nobody is waited for: who waits already waits for it.
        A session of its own, because the schema is then read as it is *now*, under these locks.
        """
        with contextlib.suppress(BackupDBError):
            holder = self._connect()
            holder.execute("BEGIN", "holding tables")
            rows = holder.rows(_LOCKED, f"listing the tables of {self._database!r}")
            self._holder = holder
            for first in range(0, len(rows), _LOCKED_AT_ONCE):
                _lock(holder, [holder.verbatim(row["name"]) for row in rows[first : first + _LOCKED_AT_ONCE]])

    def verify(self, found: Sequence[TableInfo] | None = None) -> tuple[str, ...]:
        """See `base.Snapshot.verify`."""
        changed = self._session.rows(_CHANGED, f"looking for tables of {self._database!r} that changed under the dump")
        if changed:
            names = name_list([f"{row['schema']}.{row['name']}" for row in changed])
            raise DumpFailed(
                f"while {self._database!r} was dumped, tables were rewritten, truncated, dropped or renamed: {names}",
                hint="The dump may hold them empty; it is not used. Run it again at a time without such statements.",
            )
        if found is None:
            return (*DETECTORS[:1], self._verify_schema())
        compare_tables(self._database, self._expected(found), found)
        return (*DETECTORS, self._verify_schema())

    def _expected(self, found: Sequence[TableInfo]) -> list[TableInfo]:
        """Return the tables of the snapshot, each partition whose rows went into its root as that."""
        there = {(table.schema_name, table.name) for table in found}

        def told(table: TableInfo) -> TableInfo:
            root = self._roots.get((table.schema_name or "", table.name))
            return root if root is not None and (root.schema_name, root.name) in there else table

        return [told(table) for table in self.tables]

    def _verify_schema(self) -> str:
        """Look at the present: what writes definitions out for us, and for pg_dump, does not see the snapshot."""
        if self._holder is not None:
            now = pg_schema.read(self._holder, self._database)
        else:
            now = pg_schema.read_now(self._session, self._database)
        schema_facts.require_unchanged(self._database, self.schema, now, by_snapshot=True)
        return schema_facts.DETECTOR


@contextmanager
def snapshot(server: Server, database: str, accepted: Callable[[str], bool]) -> Iterator[PostgreSQLSnapshot]:
    """Hold a snapshot of `database` in a session of its own; for `accepted` see `pg_preflight.of_database`."""
    with ExitStack() as stack:

        def connect() -> Session:
            return stack.enter_context(server.session(database))

        session = connect()
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", f"taking a snapshot of {database!r}")
        yield PostgreSQLSnapshot(session, database, accepted, connect)


def _lock(session: Session, names: Sequence[str]) -> None:
    """Lock these tables against all that would change them, if that can be had at once."""
    session.execute("SAVEPOINT hold", "holding tables")
    try:
        session.run(f"LOCK TABLE {', '.join(names)} IN ACCESS SHARE MODE NOWAIT")
    except SQLAlchemyError:
        session.execute("ROLLBACK TO SAVEPOINT hold", "holding tables")


def compare_tables(database: str, expected: Sequence[TableInfo], found: Sequence[TableInfo]) -> None:
    """Raise DumpFailed, naming them, if the stream lacks tables of the snapshot, or holds others."""
    wanted = {(table.schema_name, table.name) for table in expected}
    there = {(table.schema_name, table.name) for table in found}
    for names, words in ((wanted - there, "lacks"), (there - wanted, "holds unexpected")):
        if names:
            listed = name_list(sorted(".".join(filter(None, name)) for name in names))
            raise DumpFailed(f"the dump of {database!r} {words} tables: {listed}", hint="See the client's messages.")


def _dump_encoding(session: Session, encoding: str) -> str:
    """Return the encoding to dump in: the database's own, unless Python reads the names in it otherwise, or not at all.

    What is LATIN1 or of no encoding at all stays byte for byte what it is. But of EUC_TW Python knows nothing, and of
    EUC_JP not every character: there the server writes UTF-8, and says so if a byte has no meaning.
    """
    if encoding in {"UTF8", "SQL_ASCII"}:
        return encoding
    codec = python_codec(encoding)
    rows = session.rows(_NAMES, "reading the names of tables")
    return encoding if all(bytes(row["raw"]).decode(codec, "replace") == row["name"] for row in rows) else "UTF8"


def _server_settings(session: Session) -> dict[str, str]:
    """Return settings as a new session gets them, not as ours has them."""
    rows = session.rows(
        "SELECT name, reset_val AS value FROM pg_catalog.pg_settings WHERE name IN ('server_encoding', 'TimeZone',"
        " 'DateStyle', 'IntervalStyle', 'default_text_search_config', 'default_table_access_method', 'lc_monetary',"
        " 'max_connections', 'max_locks_per_transaction', 'max_prepared_transactions', 'block_size',"
        " 'shared_preload_libraries')",
        "reading the settings of the server",
    )
    return {str(row["name"]): str(row["value"]) for row in rows}


def settings_of(session: Session) -> DatabaseSettings:
    """Return what belongs to the session's database but stands in no plain dump of it."""
    row = _database_row(session)
    per_role = session.rows(
        "SELECT coalesce(r.rolname, '') AS role, s.setconfig AS settings FROM pg_catalog.pg_db_role_setting s"
        " LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole"
        " WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
        " AND (s.setrole = 0 OR r.oid IS NOT NULL) ORDER BY 1",
        "reading the settings of the database",
    )
    by_role = {one["role"]: tuple(one["settings"] or ()) for one in per_role}
    return DatabaseSettings(
        charset=row["encoding"],
        collation=row["datcollate"],
        locale={name: row[name] for name in ("provider", "ctype", "locale", "rules", "version")},
        owner=row["owner"],
        acl=tuple(row["acl"]),
        settings=by_role.pop("", ()),
        role_settings=by_role,
        comment=row["comment"],
        connection_limit=None if row["datconnlimit"] < 0 else row["datconnlimit"],
        tablespace=None if row["tablespace"] == "pg_default" else row["tablespace"],
        is_template=row["datistemplate"],
    )


def _database_row(session: Session) -> dict[str, Any]:
    provider = "d.datlocprovider" if session.version >= 150000 else "'c'"
    locale = "d.datlocale" if session.version >= 170000 else "d.daticulocale" if session.version >= 150000 else "NULL"
    rules = "d.daticurules" if session.version >= 160000 else "NULL"
    version = "d.datcollversion" if session.version >= 150000 else "NULL"
    # an ACL that is empty but not null grants nothing to anybody: kept as an item that says so
    return session.rows(
        f"""SELECT pg_catalog.pg_encoding_to_char(d.encoding) AS encoding, d.datcollate, d.datctype AS ctype,
          CASE {provider} WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END AS provider,
          {locale} AS locale, {rules} AS rules, {version} AS version,
          pg_catalog.pg_get_userbyid(d.datdba) AS owner, d.datconnlimit, d.datistemplate, t.spcname AS tablespace,
          pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
          CASE WHEN d.datacl IS NULL THEN '{{}}' WHEN d.datacl = '{{}}' THEN
            ARRAY['=/' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(d.datdba))]
            ELSE d.datacl::text[] END AS acl
        FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
        WHERE d.datname = pg_catalog.current_database()""",  # noqa: S608 - constants
        "reading the attributes of the database",
    )[0]

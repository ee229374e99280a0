"""What belongs to a MySQL or MariaDB schema and does not follow its tables and routines into another place.

- Grants on single routines: they go when the routine is dropped, also where it is made again at once.
- Foreign keys to tables that are not there (they were made, or their table was dropped, without checks): they name the
  scratch schema then, and would find no table that somebody makes later.
- Defaults of MariaDB's columns that count by a sequence: they name its schema, and RENAME TABLE leaves that name as it
  was. A table that is loaded beside counts by the scratch schema's sequence, which is gone once it is in its place.

All are noted before anything is dropped, and brought about again as often as it takes: doing it twice changes nothing.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from vya_backupdb.domain.errors import BackupDBError, PrivilegeMissing
from vya_backupdb.domain.undertaking import Default, RoutineGrant, StrayKey
from vya_backupdb.engines.my_session import Session, product_of, quote

_PRIVILEGES: Final = {"execute": "EXECUTE", "alter routine": "ALTER ROUTINE"}
_GRANTS: Final = """SELECT Db AS s, User AS user, Host AS host, Routine_name AS name, Routine_type AS kind,
    Proc_priv AS privileges FROM mysql.procs_priv WHERE Db = :db ORDER BY 5, 4, 2, 3"""
_DEFAULTS: Final = """SELECT c.TABLE_SCHEMA AS s, c.TABLE_NAME AS tab, c.COLUMN_NAME AS name, c.COLUMN_DEFAULT AS value
    FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
    WHERE c.TABLE_SCHEMA = :db AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
      AND c.COLUMN_DEFAULT REGEXP '(nextval|lastval|setval)[(]`'"""
_KEYS: Final = """SELECT TABLE_SCHEMA AS s, TABLE_NAME AS tab, CONSTRAINT_NAME AS name,
      REFERENCED_TABLE_SCHEMA AS other, REFERENCED_TABLE_NAME AS to_tab
    FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = :db AND REFERENCED_TABLE_NAME IS NOT NULL"""
#: A foreign key into the table's own schema, as the server shows it.
_KEY: Final = (
    r"^ *(?P<sql>CONSTRAINT `(?P<name>(?:[^`]|``)*)` FOREIGN KEY \((?:`(?:[^`]|``)*`(?:, )?)+\)"
    r" REFERENCES `(?P<to>(?:[^`]|``)*)` \(.*?),?$"
)
_TABLES: Final = "SELECT TABLE_SCHEMA AS s, TABLE_NAME AS name FROM information_schema.TABLES"
_CALL: Final = r"\b(?P<call>(?:nextval|lastval|setval)\()"
_QUOTED: Final = r"'(?:[^'\\]|''|\\.)*'|`(?:[^`]|``)*`"
_COUNTING: Final = _QUOTED + "|" + _CALL + r"{}\.`(?P<name>(?:[^`]|``)*)`"
_HAS_SEQUENCES: Final = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_TYPE = 'SEQUENCE' LIMIT 1"


def routine_grants(session: Session, schema: str) -> tuple[RoutineGrant, ...]:
    """Return the grants on single routines of `schema`; none where the account may not read them."""
    try:
        rows = session.rows(_GRANTS, f"reading the grants on routines of {schema!r}", db=schema)
    except PrivilegeMissing:
        return ()
    return tuple(
        RoutineGrant(
            kind=str(row["kind"]),
            name=str(row["name"]),
            user=str(row["user"]),
            host=str(row["host"]),
            privileges=tuple(sorted(str(row["privileges"]).lower().split(","))),
        )
        for row in rows
        if _text(row["s"]) == schema
    )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def grant(session: Session, schema: str, wanted: Iterable[RoutineGrant], there: set[tuple[str, str]]) -> list[str]:
    """Grant again what was granted on those routines (kind and name) that are `there`; say what cannot be, and how."""
    folded = {(kind, name.lower()) for kind, name in there}
    lacking = [one for one in wanted if (one.kind, one.name.lower()) in folded]
    if lacking and product_of(str(session.value("SELECT VERSION()", "asking for the version"))) == "MariaDB":
        # else it would make an account that was dropped meanwhile, without a password
        session.execute("SET SESSION sql_mode = 'NO_AUTO_CREATE_USER'", "setting up the session")
    said = []
    for one in lacking:
        sql = _statement(schema, one)
        try:
            session.execute(sql, f"granting on the {one.kind.lower()} {schema}.{one.name}")
        except BackupDBError as error:
            said.append(f"a grant on a single routine was lost, make it again by hand: {sql}; ({error.message})")
    return said


def _statement(schema: str, one: RoutineGrant) -> str:
    privileges = ", ".join(_PRIVILEGES[word] for word in one.privileges if word in _PRIVILEGES) or "USAGE"
    account = f"{quote(one.user)}@{quote(one.host)}" if one.host else quote(one.user)
    option = " WITH GRANT OPTION" if "grant" in one.privileges else ""
    return f"GRANT {privileges} ON {one.kind} {quote(schema)}.{quote(one.name)} TO {account}{option}"


def defaults(session: Session, schema: str) -> tuple[Default, ...]:
    """Return the columns of `schema` whose default counts by a sequence of this very schema."""
    if session.value(_HAS_SEQUENCES, "looking for sequences") is None:
        return ()
    rows = session.rows(_DEFAULTS, f"reading the defaults of {schema!r}", db=schema)
    return tuple(
        Default(table=str(row["tab"]), column=str(row["name"]), sql=str(row["value"]))
        for row in rows
        if row["s"] == schema and _pointed(str(row["value"]), schema, "") != row["value"]
    )


def astray(session: Session, schema: str) -> tuple[str, ...]:
    """Return the columns (``table.column``) of `schema` whose default counts by a sequence of it that is not there."""
    found = defaults(session, schema)
    sql = f"{_TABLES} WHERE TABLE_SCHEMA = :db AND TABLE_TYPE = 'SEQUENCE'"
    rows = session.rows(sql, f"listing the sequences of {schema!r}", db=schema) if found else []
    there = {str(row["name"]) for row in rows if row["s"] == schema}
    return tuple(f"{one.table}.{one.column}" for one in found if _counts_by(one.sql, schema) - there)


def _counts_by(sql: str, schema: str) -> set[str]:
    found = re.finditer(_COUNTING.format(re.escape(quote(schema))), sql)
    return {one["name"].replace("``", "`") for one in found if one["name"]}


def point(session: Session, schema: str, wanted: Iterable[Default], *, noted: str) -> None:
    """Let the columns of `schema` count by its own sequences; `wanted` was read where the schema was called `noted`."""
    present = {(one.table, one.column): one.sql for one in defaults(session, schema)}
    clauses: dict[str, list[str]] = {}
    for one in wanted:
        sql = _pointed(one.sql, noted, schema)
        if present.get((one.table, one.column)) != sql:
            clauses.setdefault(one.table, []).append(f"ALTER COLUMN {quote(one.column)} SET DEFAULT ({sql})")
    for table, changes in clauses.items():
        doing = f"letting {schema}.{table} count by its own sequence"
        # a table with a history takes no other change of its definition
        session.execute("SET SESSION system_versioning_alter_history = KEEP", doing)
        # all at once: while one column names a sequence that is gone, the table takes no change of another
        session.execute(f"ALTER TABLE {quote(schema)}.{quote(table)} {', '.join(changes)}", doing)


def strays(session: Session, schema: str) -> tuple[StrayKey, ...]:
    """Return the foreign keys of `schema` to tables that it lacks."""
    rows = session.rows(_KEYS, f"reading the foreign keys of {schema!r}", db=schema)
    tables = session.rows(f"{_TABLES} WHERE TABLE_SCHEMA = :db", f"listing the tables of {schema!r}", db=schema)
    there = {str(row["name"]).casefold() for row in tables if row["s"] == schema}
    own = [row for row in rows if row["s"] == schema and row["other"] == schema]
    return tuple(
        StrayKey(table=table, name=name, sql=sql)
        for table in sorted({str(row["tab"]) for row in own if str(row["to_tab"]).casefold() not in there})
        for name, sql, to in _shown_keys(session, schema, table)
        if to.casefold() not in there
    )


def _shown_keys(session: Session, schema: str, table: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, SQL and referenced table of the foreign keys of a table into its own schema."""
    doing = f"reading the foreign keys of {schema}.{table}"
    ((_, shown),) = session.table(f"SHOW CREATE TABLE {quote(schema)}.{quote(table)}", doing)
    for found in re.finditer(_KEY, str(shown), re.MULTILINE):
        yield found["name"].replace("``", "`"), found["sql"], found["to"].replace("``", "`")


def tie(session: Session, schema: str, wanted: Iterable[StrayKey]) -> None:
    """Let foreign keys that `strays` found point into `schema`: a table that moves leaves behind where they point."""
    for one in wanted:
        at_home = {name for name, _, _ in _shown_keys(session, schema, one.table)}
        if one.name in at_home:
            continue
        on, doing = f"{quote(schema)}.{quote(one.table)}", f"letting the foreign key {schema}.{one.name} point home"
        session.execute("SET SESSION foreign_key_checks = OFF", doing)
        rows = session.rows(_KEYS, doing, db=schema)
        if any(row["s"] == schema and (row["tab"], row["name"]) == (one.table, one.name) for row in rows):
            session.execute(f"ALTER TABLE {on} DROP FOREIGN KEY {quote(one.name)}", doing)
        session.execute(f"USE {quote(schema)}", doing)
        session.execute(f"ALTER TABLE {on} ADD {one.sql}", doing)


def _pointed(sql: str, old: str, new: str) -> str:
    return pointed(sql, old, f"{quote(new)}.")


def pointed(sql: str, old: str, prefix: str) -> str:
    """Return `sql`, as the server shows it, with `prefix` before sequences of the schema `old`; strings stay."""
    call = rf"{_CALL}{re.escape(quote(old))}\."

    def put(found: "re.Match[str]") -> str:
        return found[0] if found["call"] is None else f"{found['call']}{prefix}"

    return re.sub(rf"{_QUOTED}|{call}", put, sql)

"""What of a MySQL or MariaDB database is no table: views, routines, triggers, events, as statements that make it again.

RENAME TABLE takes tables into another schema, and nothing else. So these are read as the server shows them, without the
name of their own schema in front, and made again in another one, or in the same one after an undo, under the settings
under which they were made. What cannot be carried so (a definition that the account may not read, a trigger written in
an unusual way) is told beforehand, because afterwards it would be lost.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from vya_backupdb.domain.errors import RestoreFailed
from vya_backupdb.domain.undertaking import Definition
from vya_backupdb.engines import my_charsets, my_errors
from vya_backupdb.engines.my_follow import pointed
from vya_backupdb.engines.my_session import Session, literal, product_of, quote
from vya_backupdb.engines.statements import Quotes

#: In this order they can be made: what comes later may stand on what comes before.
KINDS: Final = ("LIBRARY", "FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY", "VIEW", "TRIGGER", "EVENT")
_SHOWN: Final = {"VIEW": "Create View", "TRIGGER": "SQL Original Statement", "EVENT": "Create Event"}
#: MySQL from 9.2 on: code of another language, which routines use.
_HAS_LIBRARIES: Final = (
    "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME = 'LIBRARIES'"
)
_NAME: Final = r"(?:`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[0-9A-Za-z_$\x80-\U0010ffff]+)"
_TRIGGER: Final = re.compile(
    rf"(?P<create>CREATE\s+DEFINER\s*=\s*\S+?@\S+\s+TRIGGER\s+(?:IF\s+NOT\s+EXISTS\s+)?)(?:(?P<in1>{_NAME})\s*\.\s*)?"
    rf"(?P<name>{_NAME})(?P<when>\s+(?:BEFORE|AFTER)\s+(?:(?:INSERT|UPDATE|DELETE|OR)\s+)+ON\s+)"
    rf"(?:(?P<in2>{_NAME})\s*\.\s*)?(?P<table>{_NAME})(?=\s)",
    re.IGNORECASE,
)
_ENABLED: Final = re.compile(r"(ON COMPLETION (?:NOT )?PRESERVE) ENABLE\b")
_DEFINER: Final = re.compile(r"DEFINER\s*=\s*(`(?:[^`]|``)*`@`(?:[^`]|``)*`)", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Za-z0-9_]+")


def find(session: Session, schema: str) -> list[tuple[str, str]]:
    """Return kind and name of every object of `schema` that is no table, in the order in which they can be made."""
    sql = """
      SELECT ROUTINE_TYPE AS kind, ROUTINE_NAME AS name, ROUTINE_SCHEMA AS s, 0 AS place
        FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = :db
      UNION ALL SELECT 'VIEW', TABLE_NAME, TABLE_SCHEMA, 0 FROM information_schema.VIEWS WHERE TABLE_SCHEMA = :db
      UNION ALL SELECT 'TRIGGER', TRIGGER_NAME, TRIGGER_SCHEMA, ACTION_ORDER
        FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = :db
      UNION ALL SELECT 'EVENT', EVENT_NAME, EVENT_SCHEMA, 0 FROM information_schema.EVENTS WHERE EVENT_SCHEMA = :db"""
    if session.rows(_HAS_LIBRARIES, "looking for libraries"):
        sql += """
      UNION ALL SELECT 'LIBRARY', LIBRARY_NAME, LIBRARY_SCHEMA, 0
        FROM information_schema.LIBRARIES WHERE LIBRARY_SCHEMA = :db"""
    found = session.rows(sql, f"listing the objects of {schema!r}", db=schema)
    # the server's comparison may be deaf to case, ours is not: a twin's objects are none of ours
    ours = [row for row in found if row["s"] == schema and row["kind"] in KINDS]
    ours.sort(key=lambda row: (KINDS.index(row["kind"]), int(row["place"]), str(row["name"])))
    return [(str(row["kind"]), str(row["name"])) for row in ours]


def definitions(session: Session, schema: str) -> tuple[Definition, ...]:
    """Return every object of `schema` that is no table. Raise RestoreFailed, naming it, for one that cannot be carried.

    Makes `schema` the session's default: views are shown without the name of the default schema.
    """
    session.execute(f"USE {quote(schema)}", f"entering {schema!r}")
    mariadb = product_of(str(session.value("SELECT VERSION()", "asking for the version"))) == "MariaDB"
    return tuple(_definition(session, schema, kind, name, mariadb=mariadb) for kind, name in find(session, schema))


def _definition(session: Session, schema: str, kind: str, name: str, *, mariadb: bool) -> Definition:
    rows = session.records(f"SHOW CREATE {kind} {quote(name)}", f"reading the {kind.lower()} {schema}.{name}")
    row = rows[0] if rows else {}
    words = row.get(_SHOWN.get(kind, f"Create {kind.title()}"))
    if not words:
        raise RestoreFailed(
            f"the definition of the {kind.lower()} {name!r} of {schema!r} cannot be read",
            hint="Grant the account SHOW_ROUTINE, TRIGGER, EVENT and SHOW VIEW, or restore under another name.",
        )
    quotes = Quotes.of_mode(str(row.get("sql_mode") or ""))
    sql = my_charsets.unmixed(str(words), kind, str(row.get("character_set_client")), quotes, mariadb=mariadb)
    return Definition.model_validate(
        {
            "kind": kind,
            "name": name,
            "sql": _unqualified(kind, sql, schema, name),
            "sql_mode": row.get("sql_mode"),
            "time_zone": row.get("time_zone"),
            "charset": row.get("character_set_client"),
            "collation": row.get("collation_connection"),
            "database_collation": row.get("Database Collation"),
        }
    )


def _unqualified(kind: str, sql: str, schema: str, name: str) -> str:
    """Return a statement without its own schema where the server shows it: in triggers, and where a view counts."""
    if kind == "VIEW":
        return pointed(sql, schema, "")
    return _trigger(sql, schema, name) if kind == "TRIGGER" else sql


def _trigger(sql: str, schema: str, name: str) -> str:
    """Return a trigger's statement without its schema: MariaDB shows it as it was typed."""
    match = _TRIGGER.match(sql)
    named = {_plain(part) for part in (match["in1"], match["in2"]) if part} if match else set()
    if match is None or named - {schema}:
        raise RestoreFailed(
            f"the trigger {name!r} of {schema!r} is written in a way that cannot be carried into another schema",
            hint="Create it anew without comments in its head and without a schema's name, then restore again.",
        )
    return f"{match['create']}{match['name']}{match['when']}{match['table']}{sql[match.end() :]}"


def _plain(name: str) -> str:
    return name[1:-1].replace(name[0] * 2, name[0]) if name[0] in '`"' else name


def asleep(event: Definition) -> Definition:
    """Return an event so that it does nothing until somebody enables it; anything else as it is."""
    if event.kind != "EVENT":
        return event
    return event.model_copy(update={"sql": _ENABLED.sub(r"\1 DISABLE", event.sql, count=1)})


def definers(wanted: Iterable[Definition]) -> set[str]:
    """Return the accounts, as SQL, that the definitions run as."""
    return {match[1] for one in wanted if (match := _DEFINER.search(one.sql[:2000]))}


def drop(session: Session, schema: str, wanted: Iterable[tuple[str, str]]) -> None:
    """Drop these kinds and names from `schema`, what stands on others first; what is not there is no error."""
    for kind, name in sorted(wanted, key=lambda one: -KINDS.index(one[0])):
        session.execute(
            f"DROP {kind} IF EXISTS {quote(schema)}.{quote(name)}", f"dropping the {kind.lower()} {schema}.{name}"
        )


def make(session: Session, schema: str, wanted: Sequence[Definition]) -> None:
    """Make what `schema` lacks of `wanted`. Raise RestoreFailed naming the first that the server refuses.

    Triggers of one event fire in the order in which they were made: where one is missing, all are made again.
    """
    there = set(find(session, schema))
    lacking = [one for one in wanted if (one.kind, one.name) not in there]
    if any(one.kind == "TRIGGER" for one in lacking):
        triggers = [one for one in wanted if one.kind == "TRIGGER"]
        drop(session, schema, [(one.kind, one.name) for one in triggers])
        lacking = [*(one for one in lacking if one.kind != "TRIGGER"), *triggers]
    session.execute(f"USE {quote(schema)}", f"entering {schema!r}")
    for kind in KINDS:
        _make_all(session, schema, [one for one in lacking if one.kind == kind])


def _has_event(session: Session, schema: str, name: str) -> bool:
    sql = "SELECT EVENT_SCHEMA AS s, EVENT_NAME AS name FROM information_schema.EVENTS WHERE EVENT_SCHEMA = :db"
    rows = session.rows(f"{sql} AND EVENT_NAME = :name", f"looking for event {schema}.{name}", db=schema, name=name)
    return any(row["s"] == schema for row in rows)


def _make_all(session: Session, schema: str, wanted: Sequence[Definition]) -> None:
    """Make them in the order given; a view may stand on a later one, so those that fail are tried again."""
    waiting = list(wanted)
    while waiting:
        failed: list[tuple[Definition, SQLAlchemyError]] = []
        for one in waiting:
            try:
                with _under(session, schema, one.database_collation):
                    _make(session, one)
                    if one.kind == "EVENT" and not _has_event(session, schema, one.name):
                        _make(session, one, past=True)
            except SQLAlchemyError as error:
                failed.append((one, error))
        if len(failed) == len(waiting):
            lost, first = failed[0]
            doing = f"making the {lost.kind.lower()} {schema}.{lost.name}"
            cause = my_errors.of_statement(first, doing, session.redact)
            raise RestoreFailed(cause.message, hint=cause.hint) from first
        waiting = [one for one, _ in failed]


@contextmanager
def _under(session: Session, schema: str, collation: str | None) -> Iterator[None]:
    """Give the schema another default for the block, as dumps do: an object keeps the one under which it was made.

    A crash within leaves the other default; `my_swap` sets the schema's own again when it goes on.
    """
    sql = (
        "SELECT SCHEMA_NAME AS s, DEFAULT_COLLATION_NAME AS c FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = :db"
    )
    found = session.rows(sql, f"reading the collation of {schema!r}", db=schema)
    present = next((str(row["c"]) for row in found if row["s"] == schema), None)
    if collation is None or present is None or collation == present or not _WORD.fullmatch(collation):
        yield
        return
    session.execute(f"ALTER DATABASE {quote(schema)} COLLATE {collation}", f"altering {schema!r} for the moment")
    try:
        yield
    finally:
        session.execute(f"ALTER DATABASE {quote(schema)} COLLATE {present}", f"altering {schema!r} back")


def _make(session: Session, one: Definition, *, past: bool = False) -> None:
    """Make one under its own settings. NB: the statement's bytes are of the character set that it was written in.

    `past`: as if it were long ago, because no server makes an event of which nothing is left to come.
    """
    charset = one.charset or "utf8mb4"
    encoded = my_charsets.encoded(one.sql, charset)
    if encoded is None or not _WORD.fullmatch(charset):
        charset, encoded = "utf8mb4", one.sql.encode()
    settings = [f"character_set_client = {charset}"]
    if one.collation and _WORD.fullmatch(one.collation):
        settings.append(f"collation_connection = {one.collation}")
    if one.sql_mode is not None:
        settings.append(f"sql_mode = {literal(one.sql_mode)}")
    if one.time_zone:
        settings.append(f"time_zone = {literal(one.time_zone)}")
    if past:
        settings.append("timestamp = 1")
    session.run(f"SET {', '.join(settings)}")
    try:
        session.send(encoded)
    finally:
        session.pin()
        if past:
            session.run("SET timestamp = DEFAULT")


def grouped(found: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, int]]:
    """Yield each kind's plural with how many there are."""
    counts: dict[str, int] = {}
    for kind, _ in found:
        counts[kind] = counts.get(kind, 0) + 1
    for kind, number in counts.items():
        yield f"{kind.lower()}s", number

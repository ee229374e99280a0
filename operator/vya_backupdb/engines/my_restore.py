"""Making, dropping and counting MySQL and MariaDB databases for a restore.

These servers cannot rename a database, so a dump is loaded under the final name, into a database that did not exist,
unless one is to be replaced (`my_swap`). Such a database gets a marker, an empty table with a name of ours, which goes
when all is there: a schema has no id, and so what a killed restore left is told from what somebody made since.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from vya_backupdb.domain.errors import BackupDBError, ConfigurationError, RestoreFailed, TargetExists
from vya_backupdb.domain.metadata import DatabaseSettings, TableInfo
from vya_backupdb.domain.undertaking import OWN_NAME
from vya_backupdb.engines import my_errors, my_swap
from vya_backupdb.engines.base import Count, Product
from vya_backupdb.engines.my_session import Server, Session, literal, quote
from vya_backupdb.engines.my_values import ROWS_ELSEWHERE

MAX_NAME_CHARACTERS: Final = 64
_EXISTS: Final = 1007
_WORD: Final = re.compile(r"[A-Za-z0-9_]+")


def check_name(database: str) -> None:
    """Raise ConfigurationError for a name that neither product takes."""
    fits = 0 < len(database) <= MAX_NAME_CHARACTERS and not database.endswith(" ")
    if not fits or any(ord(character) > 0xFFFF or character == "\0" for character in database):
        raise ConfigurationError(
            f"{database!r} cannot be a database's name",
            hint="Use 1 to 64 characters of the basic plane, the last of which is no blank.",
        )


def exists(server: Server, database: str) -> bool:
    """See `base.Engine.exists`. As the server compares names: exactly, or without regard to case."""
    with server.session() as session:
        return _exists(session, database)


def create(server: Server, product: Product, database: str, settings: DatabaseSettings, marker: str) -> tuple[str, ...]:
    """See `base.Engine.create`."""
    check_name(database)
    with server.session() as session:
        if _exists(session, database):
            raise _target_exists(database)
        try:
            session.run(f"CREATE DATABASE {quote(database)}{_attributes(product, settings)}")
        except SQLAlchemyError as error:
            if my_errors.number(error) == _EXISTS:
                raise _target_exists(database) from error
            raise _refused(server, error, f"creating database {database!r}") from error
        if marker:
            session.execute(
                f"CREATE TABLE {quote(database)}.{quote(marker)} (nothing int PRIMARY KEY)", f"marking {database!r}"
            )
    return ()


def marker_of(server: Server, database: str) -> str | None:
    """Return the name of the marker table in `database`, None if there is none."""
    with server.session() as session:
        names = my_swap.tables(session, database)
    return next((name for name in names if OWN_NAME.fullmatch(name)), None)


def unmark(server: Server, database: str, marker: str) -> None:
    """See `placing.Placer.unmark`."""
    with server.session() as session:
        session.execute(f"DROP TABLE IF EXISTS {quote(database)}.{quote(marker)}", f"unmarking {database!r}")


def drop(server: Server, database: str, *, identity: str | None) -> None:
    """See `base.Engine.drop`."""
    if identity is not None and exists(server, database) and marker_of(server, database) != identity:
        raise TargetExists(
            f"{database!r} is not the database that this restore made: it is another one of that name",
            hint="Look at it; it was not touched.",
        )
    with server.session() as session:
        try:
            session.run(f"DROP DATABASE IF EXISTS {quote(database)}")
        except SQLAlchemyError as error:
            raise _refused(server, error, f"dropping database {database!r}") from error


def count(server: Server, database: str, *, without: str) -> Count:
    """See `base.Engine.count`: the rows of a table that shows those of others, here or elsewhere, stay unknown."""
    with server.session() as session:
        rows = session.rows(
            "SELECT TABLE_NAME AS name, TABLE_TYPE AS type, ENGINE AS engine FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = :db AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1",
            f"listing the tables of {database!r}",
            db=database,
        )
        counted = tuple(_counted(session, database, row) for row in rows if row["name"] != without)
    return Count(len(counted), sum(table.rows or 0 for table in counted), counted)


def _counted(session: Session, database: str, table: Mapping[str, Any]) -> TableInfo:
    name = str(table["name"])
    if str(table["engine"]).upper() in ROWS_ELSEWHERE:
        return TableInfo(name=name)
    period = " FOR SYSTEM_TIME ALL" * (table["type"] == "SYSTEM VERSIONED")  # the file holds the history too
    doing = f"counting the rows of {database}.{name}"
    (rows,) = session.shown(f"SELECT COUNT(*) FROM {quote(database)}.{quote(name)}{period}", doing)  # noqa: S608 - quoted
    return TableInfo(name=name, rows=int(rows))


def _exists(session: Session, database: str) -> bool:
    sql = "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA"
    names = {str(row["name"]) for row in session.rows(sql, f"looking for database {database!r}")}
    if session.variable("lower_case_table_names") != "0":
        return database.casefold() in {name.casefold() for name in names}
    return database in names


def _attributes(product: Product, settings: DatabaseSettings) -> str:
    for word in filter(None, (settings.charset, settings.collation)):
        if not _WORD.fullmatch(word):
            raise ConfigurationError(f"{word!r} is no character set or collation", hint="The metadata is damaged.")
    clauses = [
        *((f" CHARACTER SET {settings.charset}",) if settings.charset else ()),
        *((f" COLLATE {settings.collation}",) if settings.collation else ()),
        *((f" COMMENT {literal(settings.comment)}",) if settings.comment and product == "MariaDB" else ()),
    ]
    return "".join(clauses)


def _target_exists(database: str) -> TargetExists:
    return TargetExists(f"database {database!r} exists already", hint="Choose another target name.")


def _refused(server: Server, error: SQLAlchemyError, doing: str) -> BackupDBError:
    translated = my_errors.of_statement(error, doing, server.redact)
    if translated.exit_code.reason in {"ConnectionFailed", "PrivilegeMissing"} and my_errors.number(error) is None:
        return translated
    if translated.exit_code.reason == "PrivilegeMissing":
        return translated
    return RestoreFailed(translated.message, hint="Correct what the server names, then restore again.")

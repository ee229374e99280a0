"""The table ``audit_logs`` in any database that SQLAlchemy reaches: SQLite, PostgreSQL, MySQL, MariaDB, or another.

It stands among the engines because it is one more database to talk to, and they alone import SQLAlchemy. The table is
made if it is missing; one of the VYA tool gets the columns that it lacks. Nothing here waits longer than a few seconds:
an audit log that hangs must not hold up a backup. No message holds the URL, which may hold a password; only the kind,
the host and the name of the database.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import UserDefinedType

from vya_backupdb.domain.audit import AuditEntry
from vya_backupdb.domain.errors import AuditUnavailable
from vya_backupdb.domain.redact import Redactor

TABLE: Final = "audit_logs"
CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 5
#: The drivers that are installed with us, for URLs that name none.
_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
_MYSQL: Final = {"connect_timeout": CONNECT_SECONDS, "read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
_ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "postgresql": {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": ANSWER_SECONDS * 1000,
        "options": f"-c statement_timeout={ANSWER_SECONDS}s -c lock_timeout={CONNECT_SECONDS}s",
    },
    "mysql": {**_MYSQL, "charset": "utf8mb4"},
    "mariadb": {**_MYSQL, "charset": "utf8mb4"},
}


class _Microseconds(UserDefinedType[datetime]):
    """``DATETIME(6)`` of MySQL and MariaDB; their whole dialect would be loaded for this one word."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the words for CREATE TABLE."""
        return "DATETIME(6)"


_table: Final = Table(
    TABLE,
    MetaData(),
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("timestamp", DateTime(timezone=True).with_variant(_Microseconds(), "mysql", "mariadb"), nullable=False),
    Column("operation", String(50), nullable=False),
    Column("database_id", String(100)),
    Column("database_name", String(255)),
    Column("status", String(20), nullable=False),
    Column("duration_seconds", Float(53)),
    Column("size_bytes", BigInteger()),
    Column("error_message", Text()),
    Column("hostname", String(255)),
    Column("actor", String(255)),
    Column("run_id", String(100)),
    Column("backup_id", Text()),
)


class AuditLog:
    """One audit log, named by its URL. Connects for each call, so that nothing is held while a dump goes on."""

    def __init__(self, url: str | Path, *, redact: Redactor, patience_seconds: float = CONNECT_SECONDS) -> None:
        """`url` is SQLAlchemy's, or the path of a SQLite file. Its password is redacted from now on.

        A SQLite file that another process writes to is waited for `patience_seconds`.

        Raise AuditUnavailable if it cannot be read, or its driver is not installed.
        """
        try:
            parsed = make_url(url) if isinstance(url, str) else URL.create("sqlite", database=str(url))
            self._learn(parsed, redact)
            parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
            sqlite = parsed.get_backend_name() == "sqlite"
            arguments = {"timeout": patience_seconds} if sqlite else _arguments(parsed)
            self.name = _named(parsed)
            self._file = parsed.database if sqlite else None
            self._engine = create_engine(parsed, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise AuditUnavailable(
                f"the audit log's URL cannot be used: {redact(_first_line(error))}",
                hint="Write it like postgresql+psycopg://user@host/database, and install the driver it names.",
            ) from None
        self._redact = redact
        self._ready = False

    @staticmethod
    def _learn(url: URL, redact: Redactor) -> None:
        redact.learn(url.password or "", *(str(value) for key, value in url.query.items() if "pass" in key.lower()))

    def prove(self, now: datetime) -> None:
        """Write an entry, dated `now`, and take it back. Raise AuditUnavailable if that does not work."""
        with self._connected("written") as connection:
            probe = _table.insert().values(timestamp=now.astimezone(UTC), operation="probe", status="success")
            connection.execute(probe)
            connection.rollback()

    def write(self, entries: Sequence[AuditEntry]) -> None:
        """Add `entries`, all or none. Raise AuditUnavailable if that does not work."""
        if not entries:
            return
        with self._connected("written") as connection:
            connection.execute(insert(_table), [_values(entry) for entry in entries])
            connection.commit()

    def read(
        self, *, since: datetime | None = None, operation: str | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """Return the newest entries, newest first. Raise AuditUnavailable if there is no such log or table."""
        if self._file and not Path(self._file).exists():
            raise AuditUnavailable(f"there is no audit log {self.name} yet", hint="Run a backup first.")
        query = select(_table).order_by(_table.c.timestamp.desc(), _table.c.id.desc()).limit(limit)
        if since is not None:
            query = query.where(_table.c.timestamp >= since.astimezone(UTC))
        if operation is not None:
            query = query.where(_table.c.operation == operation)
        with self._connected("read") as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]

    @contextmanager
    def _connected(self, doing: str) -> Iterator[Connection]:
        try:
            if self._file and not self._ready:
                _make_private(self._file)
            with self._engine.connect() as connection:
                if not self._ready:
                    _make_table(connection)
                    self._ready = True
                yield connection
        except (SQLAlchemyError, OSError, ValueError) as error:
            self._ready = False
            raise AuditUnavailable(
                f"the audit log {self.name} cannot be {doing}: {self._redact(_first_line(error))}",
                hint="Mend it, name another by audit.database_url, or set audit.enabled: false.",
            ) from None


def _arguments(url: URL) -> dict[str, Any]:
    """Return what goes to the driver beside the URL."""
    arguments = _ARGUMENTS.get(url.get_backend_name(), {})
    if url.drivername.endswith("+pymysql") and url.password:
        # PyMySQL would encode a text as Latin-1; MySQL and MariaDB compare bytes
        return {**arguments, "password": url.password.encode()}
    return arguments


def _named(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return url.database or "in memory"
    return f"{url.get_backend_name()}://{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def _first_line(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)


def _make_private(path: str) -> None:
    """Make the SQLite file, readable by its owner only whatever umask says; SQLite's journals take its mode over."""
    file = Path(path)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _make_table(connection: Connection) -> None:
    """Make what is missing of the table; look before, because an account that may only insert need not create."""
    found = inspect(connection)
    if not found.has_table(TABLE):
        name = connection.dialect.name
        if name in {"mysql", "mariadb"}:
            # not where the table is described: SQLAlchemy loads the whole dialect of each option that it meets
            _table.dialect_kwargs[f"{name}_charset"] = "utf8mb4"
        connection.execute(CreateTable(_table, if_not_exists=True))
        connection.commit()
        return
    there = {column["name"] for column in found.get_columns(TABLE)}
    dialect = connection.dialect
    for column in _table.columns:
        if column.name not in there:
            quoted = dialect.identifier_preparer.quote(column.name)
            kind = column.type.compile(dialect)
            connection.execute(text(f"ALTER TABLE {TABLE} ADD COLUMN {quoted} {kind}"))
    connection.commit()


def _values(entry: AuditEntry) -> dict[str, Any]:
    values = {key: _storable(value) for key, value in asdict(entry).items()}
    # MySQL and SQLite keep no zone: all is UTC
    return values | {"timestamp": entry.timestamp.astimezone(UTC)}


def _storable(value: Any) -> Any:
    """Return a text that any of these databases takes: no NUL, no lone surrogate."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _entry(row: Any) -> AuditEntry:
    values = {field.name: row[field.name] for field in fields(AuditEntry)}
    moment: datetime = values["timestamp"]
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return AuditEntry(**values | {"timestamp": utc})

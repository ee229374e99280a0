"""Sessions with a PostgreSQL server, as SQLAlchemy connections over psycopg 3.

Every parameter is given, so that neither the environment nor a file of a home directory chooses one. Sessions
autocommit (a snapshot begins its transaction itself), have no time-outs of their own, and read and write UTF-8: in a
SQL_ASCII database, whose bytes are of no encoding, they speak LATIN1 (which maps every byte), and `Session` turns the
text round.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.engines import options, pg_errors, tls
from vya_backupdb.engines.base import Credentials, SecretFile
from vya_backupdb.engines.connections import closing
from vya_backupdb.engines.dialects import engine_over

APPLICATION_NAME: Final = "vya-backupdb"
#: Time-outs that a long dump must not meet, with the first version that knows them: an unknown one is fatal.
#: ``tcp_user_timeout`` ends a session whose reader takes nothing for so long: a slow volume is none of its business.
TIMEOUTS: Final = (
    ("statement_timeout", 0),
    ("lock_timeout", 0),
    ("tcp_user_timeout", 120000),
    ("idle_in_transaction_session_timeout", 90600),
    ("idle_session_timeout", 140000),
    ("transaction_timeout", 170000),
)
#: What the server's texts depend on, pinned: a catalogue read today and tomorrow must not differ by a default.
_PINS: Final = (
    ("search_path", ""),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
)


class Session:
    """One connection. Rows come as dictionaries."""

    def __init__(self, connection: Connection, redact: Callable[[str], str], version: int, raw: bool) -> None:
        self._connection = connection
        self._redact = redact
        self._raw = raw
        self.version = version

    def rows(self, sql: str, doing: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return what `sql` (parameters as ``:name``) selects. `doing` says in words what for, if it fails."""
        bound = {name: self._outward(value) for name, value in parameters.items()}
        try:
            found = self._connection.execute(text(self._outward(sql)), bound).mappings().all()
        except SQLAlchemyError as error:
            raise pg_errors.of_statement(error, doing, self._redact) from error
        return [{name: self._inward(value) for name, value in row.items()} for row in found]

    def value(self, sql: str, doing: str, **parameters: Any) -> Any:
        """Return the first column of the first row, or None where there is none."""
        rows = self.rows(sql, doing, **parameters)
        return next(iter(rows[0].values())) if rows else None

    def execute(self, sql: str, doing: str) -> None:
        """Execute one statement as it stands; an error is classified, so that it fails one database and not the run."""
        try:
            self.run(sql)
        except SQLAlchemyError as error:
            raise pg_errors.of_statement(error, doing, self._redact) from error

    def run(self, sql: str) -> None:
        """Execute one statement as it stands (no parameter, no ':' or '%' with a meaning). Raise the driver's error."""
        self._connection.exec_driver_sql(self._outward(sql), execution_options={"no_parameters": True})

    def quote(self, identifier: str) -> str:
        """Return `identifier` in double quotes, whatever stands in it."""
        return quote(identifier)

    def is_superuser(self) -> bool:
        """Whether this session may do everything."""
        return bool(self.value("SELECT pg_catalog.current_setting('is_superuser') = 'on'", "asking for rights"))

    def verbatim(self, sent: bytes) -> str:
        """Return what ``textsend`` gave as it may stand in a statement: a name of no encoding, too, is found again."""
        return bytes(sent).decode("utf-8", "surrogateescape")

    def _inward(self, value: Any) -> Any:
        if not self._raw:
            return value
        if isinstance(value, str):
            return value.encode("latin-1").decode("utf-8", "backslashreplace")
        return [self._inward(one) for one in value] if isinstance(value, list) else value

    def _outward(self, value: Any) -> Any:
        raw = self._raw and isinstance(value, str)
        return value.encode("utf-8", "surrogateescape").decode("latin-1") if raw else value


class Server:
    """How to reach one server: parameters for the driver, and the same for its client programs."""

    def __init__(self, config: DatabaseConfig, credentials: Credentials, redact: Callable[[str], str]) -> None:
        """Raise CredentialsUnreadable, naming the field, if libpq cannot carry user or password."""
        options.check_postgresql(credentials.username, credentials.password)
        self._config = config
        self._credentials = credentials
        self.redact = redact
        self._wanted = threading.local()
        self.name = pg_errors.where(config.host, config.effective_port)
        self.maintenance = config.maintenance_database

    def conninfo(self, database: str, application_name: str = APPLICATION_NAME) -> str:
        """Return a connection string without the password; `database` stays a name, be it ``host=evil dbname=x``.

        Raise ConfigurationError for a name that no database can have.
        """
        if "\0" in database or not database:
            raise ConfigurationError(f"{database!r} is no name of a database", hint="Correct the name.")
        return make_conninfo(
            host=self._config.host,
            port=self._config.effective_port,
            user=self._credentials.username,
            dbname=database,
            application_name=application_name,
            connect_timeout=self._config.connect_timeout_seconds,
            keepalives=1,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=6,
            **tls.libpq_parameters(self._config),
        )

    def environ(self, settings: Mapping[str, str]) -> dict[str, str | SecretFile]:
        """Return the environment of a client program: the password's file, and `settings` for its session."""
        pgoptions = " ".join(f"-c {name}={value}" for name, value in settings.items())
        return {"PGPASSFILE": options.passfile(self._credentials.password), "PGOPTIONS": pgoptions}

    @cached_property
    def _engine(self) -> Engine:
        # it connects within `connect`, in the thread that calls: what this thread wants is what it gets
        return engine_over("psycopg", lambda: self._connect(self._wanted.database, self._wanted.startup))

    @contextmanager
    def untriggered(self, database: str) -> Iterator[Session]:
        """Connect to `database` without its event triggers, if this account may: one on login may write rows (17)."""
        with self.session() as session:
            may = session.version >= 170000 and session.is_superuser()
        with self.session(database, "-c event_triggers=off" if may else "") as session:
            yield session

    @contextmanager
    def session(self, database: str | None = None, startup: str = "") -> Iterator[Session]:
        """Connect to `database` (default: the maintenance database). Raise a classified error if that fails."""
        self._wanted.database, self._wanted.startup = database or self.maintenance, startup
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as error:
            raise pg_errors.of_connection(error, self.name, self.redact) from None
        with closing(connection):
            yield self._prepare(connection)

    @contextmanager
    def driver(self, database: str) -> Iterator["psycopg.Connection[Any]"]:
        """Connect to `database` without any settings of ours, for a load. Raise a classified error if that fails."""
        try:
            connection = self._connect(database)
        except psycopg.Error as error:
            raise pg_errors.of_connection(error, self.name, self.redact) from None
        try:
            yield connection
        finally:
            connection.close()

    def _connect(self, database: str, startup: str = "") -> psycopg.Connection[Any]:
        # the password by its own argument: not part of a string that an error message could quote
        return psycopg.connect(
            self.conninfo(database),
            password=self._credentials.password or None,
            options=startup,
            client_encoding="UTF8",
            target_session_attrs="any",
            autocommit=True,
            prepare_threshold=None,
        )

    def _prepare(self, connection: Connection) -> Session:
        driver: Any = connection.connection.driver_connection
        version = int(driver.info.server_version)
        raw = driver.info.parameter_status("server_encoding") == "SQL_ASCII"
        session = Session(connection, self.redact, version, raw)
        pins = (*known_timeouts(version).items(), *_PINS, *((("client_encoding", "LATIN1"),) if raw else ()))
        calls = ", ".join(f"pg_catalog.set_config('{name}', '{value}', false)" for name, value in pins)
        session.rows(f"SELECT {calls}", "preparing the session")
        return session


def known_timeouts(version: int) -> dict[str, str]:
    """Return the time-outs that a server of this ``server_version_num`` knows, each switched off."""
    return {name: "0" for name, since in TIMEOUTS if version >= since}


def quote(identifier: str) -> str:
    """Return `identifier` in double quotes, whatever stands in it."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return `value` as a string literal that means the same whatever standard_conforming_strings says."""
    quoted = value.replace("'", "''")
    return f" E'{quoted.replace(chr(92), chr(92) * 2)}'" if "\\" in quoted else f"'{quoted}'"


def version_words(version: int) -> str:
    """Return ``17.11`` for 170011."""
    return f"{version // 10000}.{version % 10000}"


def name_list(names: Sequence[str], most: int = 10) -> str:
    """Return names for a message: at most `most`, and how many more."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"

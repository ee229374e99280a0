"""Sessions with a MySQL or MariaDB server, as SQLAlchemy connections over PyMySQL.

Sessions autocommit, speak utf8mb4 whatever the server's defaults, keep no time-outs, and pin what texts depend on
(time zone, SQL mode). The password travels as UTF-8 bytes, as the client programs send it; PyMySQL would take LATIN1.
A server of another protocol stays silent where MySQL greets, so the greeting has a time limit of its own.
"""

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import pymysql
from pymysql.connections import Connection as DriverConnection
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.errors import WrongServer
from vya_backupdb.engines import my_errors, options, tls
from vya_backupdb.engines.base import Credentials, Product, SecretFile
from vya_backupdb.engines.connections import closing
from vya_backupdb.engines.dialects import engine_over

_SSL_REQUEST: Final = struct.pack("!II", 8, 80877103)
_PINS: Final = (
    "SET SESSION time_zone = '+00:00', sql_mode = '', wait_timeout = 86400, net_read_timeout = 3600,"
    " net_write_timeout = 3600, sql_quote_show_create = 1, lock_wait_timeout = 120"
)


class _Driver(DriverConnection):
    """PyMySQL's connection with a limit on the greeting that ends once the session stands."""

    def unlimited(self) -> "_Driver":
        """Let later statements take as long as they need."""
        self._read_timeout = None
        return self

    @property
    def identity(self) -> int:
        """The server's number of this session."""
        return int(self.thread_id())  # type: ignore[no-untyped-call]  # the driver's types lack it


class Session:
    """One connection. Rows come as dictionaries."""

    def __init__(self, connection: Connection, redact: Callable[[str], str]) -> None:
        self._connection = connection
        self.redact = self._redact = redact

    def rows(self, sql: str, doing: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return what `sql` (parameters as ``:name``) selects. `doing` says in words what for, if it fails."""
        try:
            found = self._connection.execute(text(sql), parameters).mappings().all()
        except SQLAlchemyError as error:
            raise my_errors.of_statement(error, doing, self._redact) from error
        return [dict(row) for row in found]

    def value(self, sql: str, doing: str, **parameters: Any) -> Any:
        """Return the first column of the first row, or None where there is none."""
        rows = self.rows(sql, doing, **parameters)
        return next(iter(rows[0].values())) if rows else None

    def shown(self, sql: str, doing: str) -> list[str]:
        """Return the first column of a ``SHOW …`` that stands as it is (no ':' or '%' has a meaning)."""
        return [str(row[0]) for row in self.table(sql, doing)]

    def table(self, sql: str, doing: str) -> list[tuple[Any, ...]]:
        """Return all columns of a statement that stands as it is."""
        try:
            return [tuple(row) for row in self._execute(sql)]
        except SQLAlchemyError as error:
            raise my_errors.of_statement(error, doing, self._redact) from error

    def records(self, sql: str, doing: str) -> list[dict[str, Any]]:
        """Return the rows of a ``SHOW …`` that stands as it is (no ':' or '%' has a meaning)."""
        try:
            return [dict(row) for row in self._execute(sql).mappings()]
        except SQLAlchemyError as error:
            raise my_errors.of_statement(error, doing, self._redact) from error

    def send(self, sql: bytes) -> None:
        """Execute one statement, given as bytes of the session's present character set. Raise the driver's error."""
        driver: Any = self._connection.connection.driver_connection
        try:
            driver.query(sql)
        except pymysql.MySQLError as error:
            raise DBAPIError(None, None, error) from error

    def pin(self) -> None:
        """Set what the session's texts depend on, whatever was set meanwhile."""
        self.execute("SET NAMES utf8mb4", "setting up the session")
        self.execute(_PINS, "setting up the session")

    def execute(self, sql: str, doing: str) -> None:
        """Execute one statement as it stands; an error is classified, so that it fails one database and not the run."""
        try:
            self.run(sql)
        except SQLAlchemyError as error:
            raise my_errors.of_statement(error, doing, self._redact) from error

    def run(self, sql: str) -> None:
        """Execute one statement as it stands (no parameter, no ':' or '%' with a meaning). Raise the driver's error."""
        self._execute(sql)

    def _execute(self, sql: str) -> Any:
        return self._connection.exec_driver_sql(sql, execution_options={"no_parameters": True})

    def variable(self, name: str) -> str | None:
        """Return a server variable as text, or None where this server has none of that name."""
        rows = self.rows("SHOW VARIABLES WHERE Variable_name = :name", "asking for a variable", name=name)
        return str(rows[0]["Value"]) if rows else None


class Server:
    """How to reach one server: parameters for the driver, and the same for its client programs."""

    def __init__(self, config: DatabaseConfig, credentials: Credentials, redact: Callable[[str], str]) -> None:
        """Raise CredentialsUnreadable, naming the field, if the protocol cannot carry user or password."""
        options.check_mysql(credentials.username, credentials.password)
        self._config = config
        self._credentials = credentials
        self.redact = redact
        self._socket = config.host if config.host.startswith("/") else None
        self.name = my_errors.where("MySQL or MariaDB", config.host, config.effective_port)

    def option_file(self) -> SecretFile:
        """Return the one file that a client program reads: account and address."""
        address = {"socket": self._socket} if self._socket else {"host": self._config.host, "protocol": "tcp"}
        return options.option_file(
            {
                "user": self._credentials.username,
                "password": self._credentials.password,
                **address,
                "port": str(self._config.effective_port),
            }
        )

    @cached_property
    def _engine(self) -> Engine:
        return engine_over("pymysql", self._connect)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Connect, to no database. Raise a classified error if that fails."""
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as error:
            if my_errors.timed_out(error) and self._is_postgresql():
                raise WrongServer(
                    f"{self._config.host}:{self._config.effective_port} is a PostgreSQL server",
                    hint="Correct host, port or type of the instance.",
                ) from None
            raise my_errors.of_connection(error, self.name, self.redact) from None
        with closing(connection):
            session = Session(connection, self.redact)
            session.execute(_PINS, "setting up the session")
            yield session

    @contextmanager
    def driver(self, database: str) -> Iterator[_Driver]:
        """Connect to `database` without any settings of ours, for a load. Raise a classified error if that fails."""
        try:
            driver = self._connect()
            driver.select_db(database)
        except pymysql.MySQLError as error:
            raise my_errors.of_connection(error, self.name, self.redact) from None
        try:
            yield driver
        finally:
            with contextlib.suppress(pymysql.MySQLError):
                driver.close()

    def _connect(self) -> _Driver:
        config = self._config
        context = tls.python_context(config)
        return _Driver(
            host=config.host,
            port=config.effective_port,
            unix_socket=self._socket,
            user=self._credentials.username,
            password=self._credentials.password.encode(),
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=config.connect_timeout_seconds,
            read_timeout=config.connect_timeout_seconds,
            ssl=context,
            ssl_disabled=context is None,
            program_name="vya-backupdb",
        ).unlimited()

    def _is_postgresql(self) -> bool:
        """Ask a silent server in PostgreSQL's words whether it would encrypt: only PostgreSQL answers with a letter."""
        seconds = float(self._config.connect_timeout_seconds)
        with contextlib.suppress(OSError):
            address = (self._config.host, self._config.effective_port)
            with socket.create_connection(address, timeout=seconds) as asked:
                asked.sendall(_SSL_REQUEST)
                return asked.recv(1) in (b"S", b"N")
        return False


def quote(identifier: str) -> str:
    """Return `identifier` in backticks, whatever stands in it."""
    return "`" + identifier.replace("`", "``") + "`"


def literal(value: str) -> str:
    """Return `value` as a string literal for a session whose SQL mode is empty."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''").replace("\0", "\\0").replace("\n", "\\n") + "'"


def product_of(version: str) -> Product:
    """Return the product that a ``VERSION()`` shows; MySQL's numbers (9, 26) prove nothing, the name does."""
    return "MariaDB" if "mariadb" in version.lower() else "MySQL"

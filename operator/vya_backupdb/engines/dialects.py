"""SQLAlchemy's Core over psycopg and PyMySQL, as much of it as the engines use: text, parameters, rows, errors.

SQLAlchemy's own dialects can say everything in each product's SQL, load each other's drivers' halves for it, and ask
the server four things before the first statement. We write our SQL ourselves, and a dump needs none of that: it would
cost every start 3 MiB and 30 ms. Sessions are in autocommit mode by how their drivers are told to connect.
"""

from typing import Any, Final

from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.pool import NullPool

_PYMYSQL_LOST: Final = frozenset({1927, 2006, 2013, 2014, 2045, 2055, 4031})
_PYMYSQL_CLOSED: Final = ("(0, '')", "Already closed")


class Psycopg(DefaultDialect):
    """PostgreSQL by psycopg 3."""

    name = "postgresql"
    driver = "psycopg"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the driver."""
        import psycopg

        return psycopg

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Whether the session is gone, so that nothing more is asked of it."""
        del e, cursor
        return connection is not None and bool(connection.closed or connection.broken)


class PyMySQL(DefaultDialect):
    """MySQL and MariaDB by PyMySQL."""

    name = "mysql"
    driver = "pymysql"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the driver."""
        import pymysql

        return pymysql

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Whether the session is gone, so that nothing more is asked of it."""
        del connection, cursor
        code = e.args[0] if e.args else None
        return code in _PYMYSQL_LOST or any(words in str(e) for words in _PYMYSQL_CLOSED)


for _one in (Psycopg, PyMySQL):
    registry.register(f"vya.{_one.driver}", __name__, _one.__name__)


def engine_over(driver: str, connect: Any) -> Engine:
    """Return Core over `driver` (``psycopg``, ``pymysql``), which connects anew for each use by `connect`."""
    return create_engine(f"vya+{driver}://", creator=connect, poolclass=NullPool)

"""Closing a connection, dead or alive.

A session that the server has ended (a forced DROP DATABASE, a restart) fails once more when it is closed, of its
rollback. That failure must not take the place of the error that says why: it would be unknown to everyone above.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError


@contextmanager
def closing(connection: Connection) -> Iterator[Connection]:
    """Give `connection` for the block and close it; only errors of the block itself are raised."""
    try:
        yield connection
    finally:
        with suppress(SQLAlchemyError):
            connection.close()

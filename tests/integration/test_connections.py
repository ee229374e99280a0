"""A session that the server ends does not hide, by the failure of its closing, what failed before."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool
from tests.servers import Server

from vya_backupdb.engines.connections import closing

DRIVERS = {"postgres": "postgresql+psycopg", "mariadb": "mysql+pymysql"}


@pytest.mark.parametrize("name", ["postgres:17", "mariadb:11.8"])
def test_the_first_error_survives_the_closing_of_a_dead_session(servers: Callable[[str], Server], name: str) -> None:
    server = servers(name)
    engine = create_engine(
        f"{DRIVERS[server.product]}://", creator=server.connect, poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    connection = engine.connect()

    with pytest.raises(ValueError, match="the reason"):
        _fail_after_the_end(server, connection)

    assert connection.closed


def _fail_after_the_end(server: Server, connection: Connection) -> None:
    ask, end = (
        ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})")
        if server.product == "postgres"
        else ("SELECT CONNECTION_ID()", "KILL {}")
    )
    with closing(connection):
        identity = connection.exec_driver_sql(ask).scalar_one()
        connection.exec_driver_sql("BEGIN")
        server.sql(end.format(identity))
        raise ValueError("the reason")

"""Servers that the tests of the whole program share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.clients import clients_of
from tests.demo.embedded import EmbeddedServer, embedded_postgresql
from tests.fixtures import samples
from tests.fixtures.engine_rig import KINDS
from tests.fixtures.pausing import Pause
from tests.fixtures.restoring import Restoring, restoring
from tests.fixtures.workspace import Connect, Workspace
from tests.servers import Server


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedServer]:
    """A PostgreSQL 18 that needs neither Docker nor an image; a test uses databases of its own."""
    with embedded_postgresql() as server:
        yield server


@pytest.fixture(params=("mariadb:11.8", "mysql:9.7"))
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Iterator[Server]:
    """A shared server, unless a module has one of its own; whatever databases a test leaves are dropped."""
    with samples.swept(servers(request.param)) as server:
        yield server


@pytest.fixture
def one(server: Server, tmp_path: Path) -> Restoring:
    """The `server`, with the clients of its product and version, used in this process."""
    programs = clients_of(f"{server.product}:{server.version}")
    return restoring(tmp_path, KINDS[server.product], programs, demo=server)


@pytest.fixture
def workspace(embedded: EmbeddedServer, tmp_path: Path) -> Workspace:
    """A workspace on the embedded server, with its clients."""
    made = Workspace(tmp_path / "work", embedded)
    made.environment["VYA_BACKUPDB_CLIENT_PATH"] = str(embedded.programs)
    return made


@pytest.fixture
def pause(workspace: Workspace) -> Pause:
    """Two events for a client that pauses."""
    return Pause.make(workspace.root)


@pytest.fixture
def connect(embedded: EmbeddedServer) -> Connect:
    """Give connections to databases of the embedded server, in autocommit mode."""

    def connection(database: str) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(
            host=embedded.host,
            port=embedded.port,
            user=embedded.user,
            password=embedded.password,
            dbname=database,
            autocommit=True,
        )

    return connection


@pytest.fixture
def database(connect: Connect) -> Iterator[str]:
    """A database with a table of 1,000 rows, dropped at the end, with whatever the test left in the server."""
    name = "shop"
    before = _names(connect)
    with connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with connect(name) as connection:
        connection.execute("CREATE TABLE item (id int PRIMARY KEY, name text)")
        connection.execute("INSERT INTO item SELECT n, md5(n::text) FROM generate_series(1, 1000) n")
    yield name
    with connect("postgres") as connection:
        for left in sorted(_names(connect) - before):
            connection.execute(f'DROP DATABASE "{left}" WITH (FORCE)')


def _names(connect: Connect) -> set[str]:
    with connect("postgres") as connection:
        return {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database").fetchall()}

"""A reader that is slower than the server's patience: a slow volume, a full pipe.

PostgreSQL and MySQL are told to wait. MariaDB's client cannot tell its server, which then gives it up, sooner or later:
a dump that fails with the remedy, and is never taken for a whole one.
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.places import Place, place, row_of
from tests.fixtures.scratch_databases import run
from tests.servers import Server

from vya_backupdb.domain.exitcodes import ExitCode

NAME = "slow"
PATIENCE_SECONDS = 1
ROWS = 64
#: MariaDB gives up within seconds as a rule; on a busy machine it had not within four.
_LONGER = {"postgres": 4, "mysql": 4, "mariadb": 40}
#: More than all buffers between the server and the reader take.
_FILL = {
    "postgres": f"CREATE TABLE t AS SELECT n AS a, repeat(md5(n::text), 20000) AS b FROM generate_series(1, {ROWS}) n",
    "mysql": "CREATE TABLE t AS WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < "
    f"{ROWS}) SELECT n AS a, REPEAT(SHA2(n, 256), 10000) AS b FROM s",
}
#: The session that sends the table, and for how many seconds it has been at it; as the server sees it.
_SENDING = {
    "postgres": "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY%%'",
    "mysql": "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT /*!40001 SQL_NO_CACHE%%'",
}
_SECONDS = {
    "postgres": "SELECT extract(epoch FROM now() - query_start) FROM pg_stat_activity WHERE pid = %s",
    # by its number: what a session does is not told at every moment
    "mysql": "SELECT TIME FROM information_schema.PROCESSLIST WHERE ID = %s",
}


@contextlib.contextmanager
def impatient(server: Server) -> Iterator[None]:
    """Let new sessions of the server give up a client that takes nothing for a second."""
    if server.product == "postgres":
        server.sql(f"ALTER SYSTEM SET tcp_user_timeout = '{PATIENCE_SECONDS}s'")
        server.sql("SELECT pg_reload_conf()")
    else:
        server.sql(f"SET GLOBAL net_write_timeout = {PATIENCE_SECONDS}")
    try:
        yield
    finally:
        if server.product == "postgres":
            server.sql("ALTER SYSTEM RESET tcp_user_timeout")
            server.sql("SELECT pg_reload_conf()")
        else:
            server.sql("SET GLOBAL net_write_timeout = DEFAULT")


def outlast(server: Server, running: "Future[Any]") -> bool:
    """Wait until the server has had to be patient for much longer than it means to be; return whether it was."""
    kind = "postgres" if server.product == "postgres" else "mysql"
    while not (sending := server.sql(_SENDING[kind], ())):
        assert not running.done()
    while found := server.sql(_SECONDS[kind], sending[0]):
        if float(found[0][0]) > _LONGER[server.product] * PATIENCE_SECONDS:
            return True
    return False


@pytest.fixture(params=["postgres:17", "mariadb:11.8", "mysql:9.7"])
def here(request: pytest.FixtureRequest, servers: Callable[[str], Server], tmp_path: Path) -> Iterator[Place]:
    """A place on an impatient server, with a database that is large enough to be waited for."""
    server = servers(request.param)
    server.sql(f"CREATE DATABASE {NAME}")
    try:
        run(server, NAME, _FILL["postgres" if server.product == "postgres" else "mysql"])
        with impatient(server), place(server, tmp_path) as made:
            yield made
    finally:
        server.sql(f"DROP DATABASE {NAME}")


def test_a_slow_reader_is_waited_for_or_the_dump_fails(here: Place) -> None:
    here.client(lambda real: here.pause.within(real, after=10_000))
    running = here.begin(here.backup, "slow", NAME)
    here.pause.wait()
    waited = outlast(here.server, running)
    here.pause.release()
    report = running.result()
    here.workspace.assert_tidy()
    if not waited:
        assert (here.server.product, report.exit_code) == ("mariadb", ExitCode.BACKUP_FAILED)
        assert "raise net_write_timeout" in (row_of(report, NAME).error or "")
        assert here.backups(NAME) == []
        here.server.sql("SET GLOBAL net_write_timeout = DEFAULT")
        here.real_client()
        report = here.backup("next", NAME)
    assert report.exit_code == ExitCode.OK, report
    (stored,) = here.backups(NAME)
    assert stored.metadata is not None
    assert stored.metadata.tables is not None
    assert [table.rows for table in stored.metadata.tables] == [ROWS]

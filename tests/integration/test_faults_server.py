"""Servers that go away or refuse, networks that are cut or silent: no success that is none, and no storm of retries."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures import in_process
from tests.fixtures.faulty import assert_heals
from tests.fixtures.pausing import Pause
from tests.fixtures.places import place, row_of
from tests.fixtures.proxy import Proxy, proxied
from tests.fixtures.scratch_databases import run
from tests.fixtures.workspace import Workspace, finish
from tests.servers import Server

from vya_backupdb.domain.errors import AuthenticationFailed, BackupDBError, ConnectionFailed, TLSFailed
from vya_backupdb.domain.exitcodes import ExitCode

NAME = "large"
#: More than pipes and sockets take: the client is still reading when it pauses.
_FILL = {
    "postgres": "CREATE TABLE t AS SELECT n AS a, repeat(md5(n::text), 20000) AS b FROM generate_series(1, 16) n",
    "mysql": "CREATE TABLE t AS WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 16)"
    " SELECT n AS a, REPEAT(SHA2(n, 256), 10000) AS b FROM s",
}


def fill(server: Server) -> None:
    """Make the large table."""
    run(server, NAME, _FILL["postgres" if server.product == "postgres" else "mysql"])


@pytest.mark.parametrize("name", ["postgres:17", "mariadb:11.8", "mysql:9.7"])
def test_a_server_that_is_killed_and_comes_back(servers: Any, name: str, tmp_path: Path) -> None:
    """The client, the snapshot and the lock all have lost their sessions, whatever else the server says afterwards."""
    with servers.own(name, lasting=True) as server, place(server, tmp_path) as here:
        server.sql(f"CREATE DATABASE {NAME}")
        fill(server)
        assert here.backup("earlier", NAME).exit_code == ExitCode.OK
        here.client(lambda real: here.pause.within(real, after=10_000))
        running = here.begin(here.backup, "killed", NAME)
        here.pause.wait()
        server.kill()
        server.start()
        here.pause.release()
        report = running.result()
        assert report.exit_code == ExitCode.BACKUP_FAILED
        assert row_of(report, NAME).error
        assert len(here.backups(NAME)) == 1
        here.workspace.assert_tidy()
        here.real_client()
        assert here.backup("next", NAME).exit_code == ExitCode.OK
        assert len(here.backups(NAME)) == 2


@pytest.fixture
def network(workspace: Workspace, database: str) -> Iterator[Proxy]:
    """A network to the embedded server that can fail."""
    with proxied(workspace.server.host, workspace.server.port) as proxy:
        workspace.instance["port"] = proxy.port
        yield proxy


def test_a_network_that_is_cut_fails_the_dump(
    workspace: Workspace, network: Proxy, pause: Pause, embedded: Any
) -> None:
    workspace.clients("slow", pg_dump=pause.before(embedded.programs / "pg_dump"))
    running = workspace.start("backup", "--database", "shop")
    pause.wait()
    network.cut()
    pause.release()
    done = finish(running)
    assert (done.code, done.row["status"]) == (ExitCode.BACKUP_FAILED, "failed")
    workspace.assert_tidy()
    assert_heals(workspace)


def test_a_network_that_falls_silent_ends_with_the_deadline(
    workspace: Workspace, network: Proxy, pause: Pause, embedded: Any
) -> None:
    """Half open: nobody closes anything. The session of the lock hangs in its read; the run ends all the same."""
    workspace.config["run"] = {"deadline_seconds": 8}
    workspace.clients("slow", pg_dump=pause.before(embedded.programs / "pg_dump"))
    running = workspace.start("backup", "--database", "shop")
    pause.wait()
    network.stall()
    pause.release()
    done = finish(running)
    assert done.code == ExitCode.DEADLINE_EXCEEDED
    assert not list(workspace.backups.rglob("shop_*.metadata.json"))
    network.cut()
    workspace.config["run"] = {}
    assert_heals(workspace)


Refusal = tuple[str, str, type[BackupDBError]]
MYSQL_FAMILY: tuple[Refusal, ...] = (
    ("expired password", "CREATE USER refused IDENTIFIED BY 'pw' PASSWORD EXPIRE", AuthenticationFailed),
    ("locked", "CREATE USER refused IDENTIFIED BY 'pw' ACCOUNT LOCK", AuthenticationFailed),
    ("TLS required", "CREATE USER refused IDENTIFIED BY 'pw' REQUIRE SSL", AuthenticationFailed),
    ("no connection left", "CREATE USER refused IDENTIFIED BY 'pw' WITH MAX_CONNECTIONS_PER_HOUR 1", ConnectionFailed),
)
REFUSALS: dict[str, tuple[Refusal, ...]] = {
    "postgres:17": (
        ("expired password", "CREATE ROLE refused LOGIN PASSWORD 'pw' VALID UNTIL '2000-01-01'", AuthenticationFailed),
        ("TLS required", "CREATE ROLE refused LOGIN PASSWORD 'pw'", TLSFailed),
        ("no login", "CREATE ROLE refused NOLOGIN PASSWORD 'pw'", AuthenticationFailed),
        ("no connection left", "CREATE ROLE refused LOGIN PASSWORD 'pw' CONNECTION LIMIT 0", ConnectionFailed),
    ),
    "mariadb:11.8": MYSQL_FAMILY,
    "mysql:9.7": MYSQL_FAMILY,
}


@pytest.mark.parametrize(
    ("name", "refusal"),
    [(name, one) for name, many in REFUSALS.items() for one in many],
    ids=[f"{name}-{one[0]}" for name, many in REFUSALS.items() for one in many],
)
def test_a_refused_login_is_named_and_not_tried_again(
    servers: Callable[[str], Server], tmp_path: Path, name: str, refusal: Refusal
) -> None:
    server, (_why, statement, kind) = servers(name), refusal
    server.sql(statement)
    if kind is TLSFailed:
        _hba(server, "1i hostnossl all refused all reject")
    try:
        with place(server, tmp_path) as here, proxied(server.host, server.port) as network:
            here.workspace.set_credentials("refused", "pw")
            here.workspace.instance.update(port=network.port, ssl_mode="disable")
            if "PER_HOUR" in statement:
                in_process.session(here.workspace).engine.connect_check()
            before = network.connections
            with pytest.raises(kind) as caught:
                here.backup("refused")
            assert caught.value.hint
            assert network.connections - before == 1, "a retry storm begins with the second attempt"
            # what prevented it is on the volume, for whoever asks 'list'
            (report,) = in_process.session(here.workspace).tree.runs()
            assert report.reason == caught.value.exit_code.reason
    finally:
        server.sql("DROP ROLE refused" if server.product == "postgres" else "DROP USER refused")
        if kind is TLSFailed:
            _hba(server, "/ refused /d")


def _hba(server: Server, edit: str) -> None:
    """Change PostgreSQL's rules of who may connect how, by a command of sed."""
    server.exec("sh", "-c", f"""sed -i '{edit}' "$PGDATA/pg_hba.conf\"""")
    server.sql("SELECT pg_reload_conf()")

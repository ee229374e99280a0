"""Back up, lose, restore: on every product, under the same name and another, with our program and without it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clients import clients_of
from tests.fixtures import samples
from tests.fixtures.engine_rig import KINDS
from tests.fixtures.workspace import Workspace
from tests.servers import Server

from vya_backupdb.domain.exitcodes import ExitCode

SERVERS = ("postgres:17", "mariadb:11.8", "mysql:9.7", "postgres:15", "postgres:18", "mariadb:10.11")
Servers = Callable[[str], Server]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Server]:
    """A real server; whatever databases a test leaves on it are dropped."""
    with samples.swept(servers(request.param)) as server:
        yield server


@pytest.fixture
def home(server: Server, tmp_path: Path) -> Workspace:
    """A workspace on that server with the clients that the dumper image has for it."""
    made = Workspace(tmp_path / "work", server, kind=KINDS[server.product])
    made.environment["VYA_BACKUPDB_CLIENT_PATH"] = ":".join(clients_of(*clients_for(server)))
    return made


def clients_for(server: Server) -> tuple[str, ...]:
    """Return the images whose clients the dumper image carries for this server."""
    if server.product == "postgres":
        return ("postgres:17", "postgres:18")
    return ("mariadb:11.8", "mysql:9.7")


def test_a_lost_database_comes_back_row_for_row(server: Server, home: Workspace) -> None:
    samples.create(server, "shop")
    before = samples.state(server, "shop")
    home.instance["include_databases"] = ["shop"]
    done = home.run("backup")
    assert done.code == 0, done.out + done.err
    assert {row["kind"]: row["status"] for row in done.report["databases"]} == {
        "database": "success",
        "users": "success",
    }

    samples.drop(server, "shop")
    restored = home.run("restore", "--database", "shop")
    assert restored.code == 0, restored.out + restored.err
    assert samples.state(server, "shop") == before
    # nothing under another name, and nothing touched that is there now
    again = home.run("restore", "--database", "shop")
    assert again.code == ExitCode.TARGET_EXISTS
    assert not [name for name in samples.names(server) if name.startswith("vya_")]


def test_another_name_gets_the_same_content_and_the_source_stays(server: Server, home: Workspace) -> None:
    samples.create(server, "shop")
    before = samples.state(server, "shop")
    assert home.run("backup", "--database", "shop").code == 0
    target = "shop é `\"' two"
    done = home.run("restore", "--database", "shop", "--to-database", target.replace("`", ""))
    assert done.code == 0, done.out + done.err
    assert samples.state(server, target.replace("`", "")) == before
    assert samples.state(server, "shop") == before
    if server.product != "mysql":  # whose dumps do not show how many rows an INSERT has
        assert done.report["restored"]["rows"] == sum(table["rows"] for table in metadata(home)["tables"])
    assert done.report["restored"]["tables"] == len(metadata(home)["tables"])


def metadata(home: Workspace) -> dict[str, list[dict[str, int]]]:
    (path,) = home.tree.rglob("shop_*.metadata.json")
    loaded: dict[str, list[dict[str, int]]] = json.loads(path.read_text())
    return loaded


def test_the_file_restores_without_us(server: Server, home: Workspace) -> None:
    samples.create(server, "shop")
    before = samples.state(server, "shop")
    assert home.run("backup", "--database", "shop").code == 0
    (data,) = home.tree.rglob("shop_*_full.sql.gz")
    check = subprocess.run(["sha256sum", "-c", f"{data.name}.sha256"], cwd=data.parent, capture_output=True, text=True)
    assert (check.returncode, check.stdout.splitlines()[0]) == (0, f"{data.name}: OK")

    samples.create_empty(server, "other")
    argv, environment = client(server)
    with subprocess.Popen(["zcat", str(data)], stdout=subprocess.PIPE) as zcat:
        loaded = subprocess.run(
            argv, stdin=zcat.stdout, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )
    assert (loaded.returncode, zcat.returncode) == (0, 0), loaded.stderr
    after, expected = samples.state(server, "other"), dict(before)
    for key in ("comment", "settings"):  # of the database itself: they stand in the metadata, not in the dump
        after.pop(key, None)
        expected.pop(key, None)
    assert after == expected


def client(server: Server) -> tuple[list[str], dict[str, str]]:
    """Return how a person would start the server's own client on the database ``other``."""
    (programs,) = clients_of(f"{server.product}:{server.version}")
    if server.product == "postgres":
        argv = [f"{programs}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "other"]
        place = {
            "PGHOST": server.host,
            "PGPORT": str(server.port),
            "PGUSER": server.user,
            "PGPASSWORD": server.password,
        }
        return argv, place
    program = "mariadb" if server.product == "mariadb" else "mysql"
    argv = [f"{programs}/{program}", f"--host={server.host}", f"--port={server.port}", f"--user={server.user}", "other"]
    if server.product == "mariadb":
        argv.insert(1, "--skip-ssl")
    return argv, {"MYSQL_PWD": server.password}

"""Names that attack, as databases and as tables: each is backed up, listed and restored; nothing leaves the tree."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clients import shipped_clients
from tests.fixtures import samples
from tests.fixtures.engine_rig import KINDS
from tests.fixtures.workspace import Workspace
from tests.servers import Server

from vya_backupdb.cli import app as program

EVERYWHERE = (
    "../../x",
    "a/b",
    "-rf",
    "--file=gotcha",
    "--result-file=gotcha",
    "host=evil.invalid dbname=x",
    "it's",
    'q"uote',
    "back`tick",
    "back\\slash",
    "%s%n%00",
    "line\nbreak",
    "$(touch gotcha)",
    "; touch gotcha #",
    ".hidden",
    " leading",
    "caf\u00e9",
    "cafe\u0301",
    "Twins",
    "twins",
    "*",
)
# the servers of the MySQL family keep a database in a directory, whose name has five bytes for each such character
OF = {
    "postgres": ("x" * 63, "\U0001f600" * 15, "trailing ", "postgresql://evil.invalid/x"),
    "mariadb": ("x" * 64, "\u6f22" * 50, "a.b"),
    "mysql": ("x" * 64, "\u6f22" * 50, "a.b"),
}


@pytest.fixture(params=["postgres:17", "mariadb:11.8", "mysql:9.7"])
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Server:
    """One server of each product."""
    return servers(request.param)


@pytest.fixture
def names(server: Server) -> Iterator[tuple[str, ...]]:
    """Databases of these names, each with a table of the same name and one row; gone afterwards."""
    made = (*EVERYWHERE, *OF[server.product])
    for name in made:
        server.sql(f"CREATE DATABASE {server.quoted(name)}")
        with server.session(name) as run:
            run(f"CREATE TABLE {server.quoted(name)} (id int PRIMARY KEY, v varchar(300))")
            table = server.quoted(name).replace("%", "%%")  # the drivers take a single one for a place
            run(f"INSERT INTO {table} VALUES (1, %s)", (name,))
    yield made
    for name in made:
        samples.drop(server, name)


def test_names_that_attack_are_nothing_but_names(
    server: Server, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Workspace(tmp_path / "work", server, kind=KINDS[server.product])
    work.environment["VYA_BACKUPDB_CLIENT_PATH"] = ":".join(shipped_clients())
    work.instance["users"] = False
    work.instance["exclude_databases"] = ["postgres"]
    before = _outside(work, tmp_path)
    done = work.run("backup", "--parallel", "2")
    assert done.code == 0, done.out
    listed = json.loads(work.run("list", "--format", "json").out)[0]["databases"]
    assert set(names) - {one["name"] for one in listed if one["status"] == "success"} == set()
    for name in names:
        samples.drop(server, name)
    # in this process: two dozen programs would take half a minute to start
    monkeypatch.setenv("VYA_BACKUPDB_CLIENT_PATH", work.environment["VYA_BACKUPDB_CLIENT_PATH"])
    where = ("--config", str(work.root / "config.yaml"))
    for name in names:
        # as one word: a name that begins with a dash is a value, and not an option
        assert program.run(["restore", "--instance", "demo", f"--database={name}", *where]) == 0, name
    for name in names:
        assert server.sql(f"SELECT v FROM {server.quoted(name)}", database=name) == [(name,)]
    assert _outside(work, tmp_path) == before | {work.root / "config.yaml"}
    work.assert_tidy()


def _outside(work: Workspace, root: Path) -> set[Path]:
    """Return every path below `root` that is not in the tree."""
    return {path for path in root.rglob("*") if work.backups not in (path, *path.parents)}

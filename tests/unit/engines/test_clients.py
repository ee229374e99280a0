"""Which program is chosen: by what it says it is, and by the server."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vya_backupdb.domain.errors import ClientMissing
from vya_backupdb.engines.base import Product, ServerInfo
from vya_backupdb.engines.clients import Clients, identify

PG15 = "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
PG17 = "pg_dump (PostgreSQL) 17.12 (Debian 17.12-0+deb13u1)"
PG18 = "pg_dump (PostgreSQL) 18.6 (Debian 18.6-3)"
MARIADB_10 = "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)"
MARIADB_11 = "/opt/x-9.9/mariadb-dump from 11.8.6-MariaDB, client 10.19 for debian-linux-gnu (x86_64)"
MYSQL_9 = "/opt/mysql-8.4/bin/mysqldump  Ver 9.7.4-2 for Linux on x86_64 ((Debian))"
MYSQL_26 = "mysqldump  Ver 26.7.0 for Linux on x86_64 (MySQL Community Server - GPL)"


def server(product: Product, *version: int) -> ServerInfo:
    return ServerInfo(product, ".".join(map(str, version)), version, None, datetime.now(UTC))


Machine = Callable[[Mapping[str, str]], Clients]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Lay out programs, each saying a text for ``--version``."""

    def lay_out(programs: Mapping[str, str]) -> Clients:
        said = {}
        for place, text in programs.items():
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
            said[str(path)] = text
        directories = (str(tmp_path / "pg" / "*" / "bin"), str(tmp_path / "mysql"))
        search_path = f"{tmp_path / 'usr'}:{tmp_path / 'missing'}"
        return Clients(lambda argv: said[argv[0]], search_path=search_path, directories=directories, known=())

    return lay_out


@pytest.mark.parametrize(
    ("said", "product", "version"),
    [
        (PG15, "PostgreSQL", (15, 18)),
        (MARIADB_10, "MariaDB", (10, 11, 19)),
        (MARIADB_11, "MariaDB", (11, 8, 6)),
        (MYSQL_9, "MySQL", (9, 7, 4)),
        (MYSQL_26, "MySQL", (26, 7, 0)),
        ("pg_dump (PostgreSQL) 19beta1", "PostgreSQL", (19,)),
    ],
)
def test_what_a_program_says_tells_product_and_version(said: str, product: str, version: tuple[int, ...]) -> None:
    client = identify("/opt/mysql-8.4/bin/x", "x", said)
    assert client is not None
    assert (client.product, client.version) == (product, version)


@pytest.mark.parametrize("said", ["", "command not found", "a shell script 1.2.3"])
def test_what_says_nothing_known_is_no_client(said: str) -> None:
    assert identify("/bin/x", "x", said) is None


def test_pg_dump_of_the_servers_major_else_the_lowest_above(machine: Machine) -> None:
    clients = machine({"pg/15/bin/pg_dump": PG15, "pg/17/bin/pg_dump": PG17, "usr/pg_dump": PG18})
    assert clients.pg_dump(server("PostgreSQL", 15, 3)).version == (15, 18)
    assert clients.pg_dump(server("PostgreSQL", 16, 1)).version == (17, 12)
    assert clients.pg_dump(server("PostgreSQL", 18, 0)).version == (18, 6)
    with pytest.raises(ClientMissing, match=r"no pg_dump fits PostgreSQL 19\.1; found: .*15\.18") as caught:
        clients.pg_dump(server("PostgreSQL", 19, 1))
    assert "postgresql-client-19" in caught.value.hint


def test_each_product_has_its_own_client_whatever_its_name(machine: Machine) -> None:
    clients = machine({"usr/mysqldump": MARIADB_10, "usr/mariadb-dump": MARIADB_10, "mysql/mysqldump": MYSQL_9})
    assert clients.mysql_dump(server("MySQL", 26, 7)).path.endswith("mysql/mysqldump")
    assert clients.mysql_dump(server("MariaDB", 11, 8)).path.endswith("usr/mariadb-dump")


def test_mariadbs_client_under_oracles_name_is_refused_for_mysql(machine: Machine) -> None:
    clients = machine({"usr/mysqldump": MARIADB_10, "mysql/mysqldump": MARIADB_11})
    with pytest.raises(ClientMissing, match="MariaDB") as caught:
        clients.mysql_dump(server("MySQL", 9, 7))
    assert "Oracle" in caught.value.hint


def test_a_program_is_asked_once(tmp_path: Path) -> None:
    (tmp_path / "pg_dump").write_text("")
    asked: list[tuple[str, ...]] = []

    def ask(argv: tuple[str, ...]) -> str:
        asked.append(argv)
        return PG17

    clients = Clients(ask, search_path=str(tmp_path), known=())
    for _ in range(3):
        assert clients.pg_dump(server("PostgreSQL", 17, 1)).words == "pg_dump 17.12"
    assert asked == [(str(tmp_path / "pg_dump"), "--version")]


def test_what_was_named_is_taken_where_it_fits_and_a_directory_is_looked_at_once(tmp_path: Path) -> None:
    said = {"named": PG17, "usr": PG17.replace("17.12", "17.13"), "old": PG15}
    for name in said:
        (tmp_path / name).mkdir()
        (tmp_path / name / "pg_dump").write_text("")
    (tmp_path / "bin").symlink_to("usr")
    asked: list[str] = []

    def ask(argv: tuple[str, ...]) -> str:
        asked.append(Path(argv[0]).parent.name)
        return said[asked[-1]]

    places = ":".join(str(tmp_path / name) for name in ("old", "usr", "bin"))
    clients = Clients(ask, search_path=places, directories=[str(tmp_path / "named")], known=())
    assert clients.pg_dump(server("PostgreSQL", 17, 1)).version == (17, 12)
    assert asked == ["named"]
    assert clients.pg_dump(server("PostgreSQL", 15, 1)).version == (15, 18)
    assert asked == ["named", "old", "usr"]
    assert clients.pg_dump(server("PostgreSQL", 16, 1)).version == (17, 13)


@pytest.mark.parametrize(
    ("said", "restricts"),
    [(PG15, True), ("pg_dump (PostgreSQL) 15.13", False), ("pg_dump (PostgreSQL) 12.22", False), (PG18, True)],
)
def test_old_minors_know_no_restriction(said: str, restricts: bool) -> None:
    client = identify("/bin/pg_dump", "pg_dump", said)
    assert client is not None
    assert client.restricts is restricts

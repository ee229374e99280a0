"""The two images as a restricted pod runs them: with a uid that nobody chose, on a read-only root file system."""

import json
from collections.abc import Callable, Iterator

import pytest
from tests.cluster.engine import Engine, ensure_engine
from tests.servers import Server, Servers, skip_without_image

import vya_backupdb

_POD = (
    "run", "--rm", "--user", "54321:12345", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
    "--security-opt", "no-new-privileges",
)  # fmt: skip
_SETUID = ("find", "/", "-xdev", "-type", "f", "-perm", "/6000")

PG_DUMP = "/usr/lib/postgresql/{}/bin/pg_dump"
MYSQLDUMP = "/opt/mysql/usr/bin/mysqldump"
CLIENTS = {
    PG_DUMP.format(15): "pg_dump (PostgreSQL) 15.",
    PG_DUMP.format(17): "pg_dump (PostgreSQL) 17.",
    PG_DUMP.format(18): "pg_dump (PostgreSQL) 18.",
    "/usr/lib/postgresql/15/bin/psql": "psql (PostgreSQL) 15.",
    "/usr/lib/postgresql/17/bin/psql": "psql (PostgreSQL) 17.",
    "/usr/lib/postgresql/18/bin/psql": "psql (PostgreSQL) 18.",
    "/usr/lib/postgresql/15/bin/pg_dumpall": "pg_dumpall (PostgreSQL) 15.",
    "/usr/lib/postgresql/17/bin/pg_dumpall": "pg_dumpall (PostgreSQL) 17.",
    "/usr/lib/postgresql/18/bin/pg_dumpall": "pg_dumpall (PostgreSQL) 18.",
    "/usr/bin/mariadb": "MariaDB",
    "/usr/bin/mariadb-dump": "MariaDB",
    "/opt/mysql/usr/bin/mysql": "Ver 9.7.",
    MYSQLDUMP: "Ver 9.7.",
}

Inside = Callable[..., str]


@pytest.fixture(scope="module")
def engine() -> Engine:
    skip_without_image("base")
    return ensure_engine()


def _runner(engine: Engine, image: str) -> Inside:
    def inside(*argv: str, **environment: str) -> str:
        variables = [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]
        return engine.run(*_POD, *variables, "--entrypoint", argv[0], image, *argv[1:]).stdout

    return inside


@pytest.fixture(scope="module")
def dumper(engine: Engine) -> Inside:
    """Run a command in the dumper image, as a restricted pod does."""
    return _runner(engine, skip_without_image("dumper"))


@pytest.fixture(scope="module")
def operator(engine: Engine) -> Inside:
    """Run a command in the operator image, as a restricted pod does."""
    return _runner(engine, skip_without_image("operator"))


@pytest.mark.parametrize(
    ("name", "entrypoint"),
    [
        ("dumper", ["tini", "--", "vya-backupdb"]),
        ("operator", ["python", "-m", "vya_backupdb.controller"]),
    ],
)
def test_an_image_says_who_it_is_and_runs_as_a_number(engine: Engine, name: str, entrypoint: list[str]) -> None:
    config = json.loads(engine.run("image", "inspect", skip_without_image(name)).stdout)[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == entrypoint
    assert not config["Volumes"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["title"] == f"vya-backupdb-{name}"
    assert labels["version"] == vya_backupdb.__version__
    assert labels["licenses"] == "Apache-2.0"
    assert labels["description"]


@pytest.mark.parametrize("name", ["dumper", "operator"])
def test_an_image_adds_no_setuid_program_no_cache_and_no_installer(
    engine: Engine, name: str, request: pytest.FixtureRequest
) -> None:
    # as root, to see what a pod's user may not
    as_root = ("run", "--rm", "--user", "0", "--entrypoint", "find")
    image, find = skip_without_image(name), _SETUID[1:]
    before = set(engine.run(*as_root, skip_without_image("base"), *find).stdout.split())
    assert set(engine.run(*as_root, image, *find).stdout.split()) <= before

    leftovers = engine.run(
        *as_root, image, "/var/lib/apt/lists", "/var/cache/apt", "/tmp", "/root", "-type", "f"
    ).stdout
    assert set(leftovers.split()) <= {"/root/.bashrc", "/root/.profile"}
    documents = engine.run(*as_root, image, "/usr/share/doc", "/usr/share/man", "-type", "f").stdout.split()
    assert {path.rpartition("/")[2] for path in documents} <= {"copyright"}

    inside: Inside = request.getfixturevalue(name)
    assert inside("python", "-c", "import importlib.util as u; print(u.find_spec('pip'))") == "None\n"
    assert "sid" not in inside("sh", "-c", "cat /etc/apt/sources.list.d/* /etc/apt/preferences.d/* 2>/dev/null || true")


def test_each_column_brings_only_its_own_packages(dumper: Inside, operator: Inside) -> None:
    absent = "import importlib.util as u, sys; print([m for m in sys.argv[1:] if u.find_spec(m) is None])"
    asked = ("kopf", "kubernetes", "sqlalchemy", "psycopg", "vya_backupdb")
    assert dumper("python", "-c", absent, *asked) == "['kopf', 'kubernetes']\n"
    assert operator("python", "-c", absent, *asked) == "['sqlalchemy', 'psycopg']\n"


def test_the_program_starts_as_any_user_on_a_read_only_file_system(dumper: Inside) -> None:
    assert "backup" in dumper("vya-backupdb", "--help")


@pytest.mark.parametrize("program", CLIENTS)
def test_every_client_is_there_in_its_own_place(dumper: Inside, program: str) -> None:
    assert CLIENTS[program] in dumper(program, "--version")


def test_no_client_of_one_product_bears_the_name_of_another(dumper: Inside) -> None:
    assert dumper("sh", "-c", "command -v mysql mysqldump || echo none") == "none\n"


@pytest.fixture(scope="module")
def filled(servers: Servers) -> Iterator[Callable[[str], Server]]:
    """A server with a database `image_test` of one row, by the name of its image."""
    touched: list[Server] = []

    def fill(name: str) -> Server:
        asked = servers(name)
        if asked not in touched:
            asked.sql("CREATE DATABASE image_test")
            touched.append(asked)
            asked.sql("CREATE TABLE t (word VARCHAR(20)); INSERT INTO t VALUES ('found it')", database="image_test")
        return asked

    yield fill
    for server in touched:
        server.sql("DROP DATABASE image_test")


@pytest.mark.parametrize(
    ("major", "name"), [(17, "postgres:15"), (17, "postgres:17"), (18, "postgres:18"), (18, "postgres:17")]
)
def test_pg_dump_reads_a_server(dumper: Inside, filled: Callable[[str], Server], major: int, name: str) -> None:
    asked = filled(name)
    address = f"host={asked.address} port={asked.inner_port} user={asked.user} dbname=image_test"
    dump = dumper(PG_DUMP.format(major), f"--dbname={address}", PGPASSWORD=asked.password)
    assert "found it" in dump
    assert "-- PostgreSQL database dump complete" in dump


@pytest.mark.parametrize(
    ("program", "name", "more"),
    [
        ("/usr/bin/mariadb-dump", "mariadb:10.11", ("--skip-ssl-verify-server-cert",)),
        ("/usr/bin/mariadb-dump", "mariadb:11.8", ("--skip-ssl-verify-server-cert",)),
        # caching_sha2_password with a cold cache: over TLS, and without it by the server's public key
        (MYSQLDUMP, "mysql:9.7", ("--ssl-mode=REQUIRED",)),
        (MYSQLDUMP, "mysql:9.7", ("--ssl-mode=DISABLED", "--get-server-public-key")),
        # mysql_native_password, which this client has as a plugin only
        (MYSQLDUMP, "mariadb:11.8", ("--column-statistics=0",)),
    ],
)
def test_a_dump_program_reads_a_server(
    dumper: Inside, filled: Callable[[str], Server], program: str, name: str, more: tuple[str, ...]
) -> None:
    asked = filled(name)
    if asked.product == "mysql":
        asked.sql("FLUSH PRIVILEGES")
    where = (f"--host={asked.address}", f"--port={asked.inner_port}", f"--user={asked.user}")
    dump = dumper(program, "--no-defaults", *where, *more, "image_test", MYSQL_PWD=asked.password)
    assert "found it" in dump
    assert "-- Dump completed" in dump

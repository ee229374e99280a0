"""Every server image comes up, and behaves as its official namesake does where the tests rely on it."""

import gzip
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest
from tests.cluster.engine import ensure_engine
from tests.containers import LABEL, remove_abandoned
from tests.servers import PASSWORD, PRODUCTS, Server, Servers, skip_without_image

POSTGRES = ["postgres:15", "postgres:17", "postgres:18"]
MARIADB = ["mariadb:10.11", "mariadb:11.8"]
ALL = [*POSTGRES, *MARIADB, "mysql:9.7"]
#: Each way to make an image: versions of a product differ in their packages, PostgreSQL 18 in where its data lie, too.
WAYS = ["postgres:17", "postgres:18", "mariadb:11.8", "mysql:9.7"]

_INIT = "/docker-entrypoint-initdb.d"
_HOSTILE = "it's \\'quoted\\' \"twice\" \\\\ $HOME `id` %s #no ; -- \t end "


def _reported(asked: Server) -> str:
    return str(asked.sql("SELECT version()")[0][0])


@pytest.mark.parametrize("name", ALL)
def test_a_server_answers_with_its_product_and_version(servers: Servers, name: str) -> None:
    asked = servers(name)
    reported = _reported(asked)
    if asked.product == "postgres":
        assert reported.startswith(f"PostgreSQL {asked.version}.")
    else:
        assert reported.startswith(f"{asked.version}.")
        assert ("MariaDB" in reported) is (asked.product == "mariadb")


@pytest.mark.parametrize("name", ALL)
def test_the_password_is_checked(servers: Servers, name: str) -> None:
    asked = servers(name)
    with pytest.raises(Exception, match=r"(?i)password|denied"):
        asked.connect(password=PASSWORD + "x")


@pytest.mark.parametrize("name", ALL)
def test_asking_twice_gives_the_same_server(servers: Servers, name: str) -> None:
    assert servers(name) is servers(name)


@pytest.fixture(params=WAYS)
def own(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Server]:
    """A server with a hostile password from a file, a database, and an init script of each kind."""
    name = str(request.param)
    product = name.partition(":")[0]
    prefix = product.upper()
    variable = PRODUCTS[product].password_variable
    files = {
        "/run/secrets/password": _HOSTILE.encode() + b"\n",
        f"{_INIT}/1.sql": b"CREATE TABLE made (how VARCHAR(20)); INSERT INTO made VALUES ('sql');",
        f"{_INIT}/2.sql.gz": gzip.compress(b"INSERT INTO made VALUES ('gz');"),
        f"{_INIT}/3.sh": b"touch /tmp/script-ran\n",
    }
    environment = {f"{variable}_FILE": "/run/secrets/password", f"{prefix}_{_DATABASE[product]}": "it`s-1_db"}
    given = {"password": _HOSTILE, "password_in_file": True, "environment": environment, "files": files}
    with servers.own(name, lasting=True, **given) as started:
        yield started


_DATABASE = {"postgres": "DB", "mariadb": "DATABASE", "mysql": "DATABASE"}


def test_first_start_runs_init_scripts_and_a_restart_keeps_the_data(own: Server) -> None:
    made = "SELECT how FROM made ORDER BY how"
    assert own.sql(made, database="it`s-1_db") == [("gz",), ("sql",)]
    own.exec("test", "-e", "/tmp/script-ran")

    own.sql("INSERT INTO made VALUES ('by hand')", database="it`s-1_db")
    own.restart()
    assert own.sql(made, database="it`s-1_db") == [("by hand",), ("gz",), ("sql",)]

    own.kill()
    own.start()
    assert own.sql(made, database="it`s-1_db") == [("by hand",), ("gz",), ("sql",)]
    assert own.exec("cat", "/proc/1/comm").strip() == _PROCESS[own.product], "SIGTERM has to reach the server itself"


_PROCESS = {"postgres": "postgres", "mariadb": "mariadbd", "mysql": "mysqld"}


@pytest.fixture
def pod_volume() -> Iterator[str]:
    """A volume as kubelet hands it to a pod with `fsGroup: 999`: root's, with the group's right to write."""
    engine = ensure_engine()
    options = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=mode=2775,uid=0,gid=999")
    name = engine.run("volume", "create", *options).stdout.strip()
    yield name
    engine.run("volume", "rm", name)


@pytest.mark.parametrize("name", WAYS)
def test_a_server_runs_in_a_restricted_pod(servers: Servers, pod_volume: str, name: str) -> None:
    """Uid 999, no capabilities, no new privileges, read-only root, data on a volume of root and group 999."""
    postgres = name.startswith("postgres")
    mount, run = ("/data", "/var/run/postgresql") if postgres else ("/var/lib/mysql", "/run/mysqld")
    with servers.own(
        name,
        # initdb wants a directory of its own, which the top of a volume never is; the official image asks for the same
        environment={"PGDATA": "/data/pgdata"} if postgres else {},
        user="999:999",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        tmpfs=["/tmp", run],
        volumes={pod_volume: mount},
    ) as started:
        assert _reported(started)


@pytest.mark.parametrize("name", ["postgres:17", "mariadb:11.8"])
def test_a_server_starts_without_any_argument(servers: Servers, name: str) -> None:
    """As in a pod of a plain manifest; an empty argument handed on in its place stopped the temporary server."""
    variable = "POSTGRES_DB" if name.startswith("postgres") else "MARIADB_DATABASE"
    with servers.own(name, environment={variable: "shop"}, fast=False) as started:
        assert started.sql("SELECT 1", database="shop") == [(1,)]


def test_arguments_reach_the_server(servers: Servers) -> None:
    with servers.own("postgres:17", arguments=["-c", "work_mem=7MB"]) as started:
        assert started.sql("SHOW work_mem") == [("7MB",)]


def test_postgres_has_the_locales_and_extensions_that_dumps_are_tested_with(servers: Servers) -> None:
    for name in POSTGRES:
        asked = servers(name)
        locales = {row[0] for row in asked.sql("SELECT collname FROM pg_collation")}
        assert {"en_US.utf8", "de_DE.utf8", "C.utf8"} <= locales
        extensions = {row[0] for row in asked.sql("SELECT name FROM pg_available_extensions")}
        assert {"hstore", "citext", "pgcrypto", "postgres_fdw"} <= extensions


def test_mysql_has_the_account_plugin_and_tls_of_the_official_image(servers: Servers) -> None:
    asked = servers("mysql:9.7")
    assert asked.sql("SELECT plugin FROM mysql.user WHERE user = 'root' AND host = '%'") == [("caching_sha2_password",)]
    status = dict(asked.sql("SHOW GLOBAL STATUS LIKE 'Ssl\\_server\\_not\\_%%'", ()))
    assert status["Ssl_server_not_after"]


def test_containers_of_a_killed_run_are_removed_and_those_of_a_living_one_stay(servers: Servers) -> None:
    engine, image = ensure_engine(), skip_without_image("base")
    with subprocess.Popen(("true",)) as ended:
        pass
    made = {}
    for pid in (ended.pid, os.getpid()):
        label = f"{LABEL}={socket.gethostname()}:{pid}"
        made[pid] = engine.run("create", "--label", label, image, "true").stdout.strip()
    remove_abandoned(engine)
    left = engine.run("ps", "--all", "--quiet", "--no-trunc").stdout.split()
    engine.run("rm", made[os.getpid()])
    assert made[ended.pid] not in left
    assert made[os.getpid()] in left

"""Real database servers for tests, in containers; the same code whether the image is the official one or a local one.

`servers` is a session fixture: `servers("mariadb:11.8")` starts that server once and gives it to every test that asks,
so a test must use names of its own and leave the server as it was. A test that stops, kills or reconfigures a server
takes one for itself: `with server("postgres:17", arguments=["-c", "ssl=on"]) as own:`.

Where the machine has memory to spare, the data lie in it, for a disk that several servers sync to is what they wait for
most; they are gone when the server stops, so one that is to come back is asked for as `lasting`.

A server is up when it answers a query over TCP with the password; its log proves nothing, and the entry points start
a temporary server first that listens on its socket only. Images that cannot be had skip the test, and are named at
the end of the run with the reason.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import psycopg
import pymysql
import pytest
from pymysql.constants import CLIENT
from testcontainers.core.container import DockerContainer, ExecConfig

from tests import images
from tests.cluster.engine import Engine, EngineUnavailable
from tests.containers import LABEL, free_port, memory_to_spare, owner, prepare_engine
from tests.images import catalogue
from tests.images.recipes import postgres_data

PASSWORD: Final = 'it\'s a "test" \\ %s # : pass'  # quoting that fails shows in every test
_UP_SECONDS: Final = 180.0
_PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Product:
    """What differs between the three: port, superuser, variables of the image, and arguments that skip syncing."""

    port: int
    user: str
    password_variable: str
    fast: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


#: MySQL and MariaDB, of a server and of an account that take no login in the clear. Left to itself, PyMySQL reads all
#: certificates of the system for each connection: 20 ms.
_WANTS_TLS: Final = (3159, 1045)

PRODUCTS: Final = {
    "postgres": Product(
        5432,
        "postgres",
        "POSTGRES_PASSWORD",
        ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"),
        {"POSTGRES_INITDB_ARGS": "--no-sync"},
    ),
    "mariadb": Product(
        3306,
        "root",
        "MARIADB_ROOT_PASSWORD",
        ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=OFF"),
    ),
    "mysql": Product(
        3306,
        "root",
        "MYSQL_ROOT_PASSWORD",
        ("--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--innodb-doublewrite=OFF"),
    ),
}


class Run(Protocol):
    """Runs statements of one session."""

    def __call__(self, statement: str, parameters: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of the last statement that has any."""


class ServerError(AssertionError):
    """A server did not come up, or a command in its container failed; the message holds the end of its log."""


@dataclass(frozen=True)
class Server:
    """A running server: where the tests reach it, where other containers do, and what to do with it."""

    product: str
    version: str
    host: str
    port: int
    user: str
    password: str
    container: DockerContainer = field(repr=False)

    @property
    def inner_port(self) -> int:
        """Return the port on the container's own address."""
        return PRODUCTS[self.product].port

    @property
    def address(self) -> str:
        """Return the container's own address, for other containers; it may change with `restart`."""
        container = self.container.get_wrapped_container()
        container.reload()
        networks: dict[str, dict[str, str]] = container.attrs["NetworkSettings"]["Networks"]
        return next(network["IPAddress"] for network in networks.values())

    def quoted(self, name: str) -> str:
        """Return a name in the product's quotes."""
        mark = '"' if self.product == "postgres" else "`"
        return mark + name.replace(mark, mark * 2) + mark

    def connect(self, database: str | None = None, *, user: str | None = None, password: str | None = None) -> Any:
        """Return an open connection in autocommit mode (psycopg's or PyMySQL's); the caller closes it."""
        user, password = user or self.user, self.password if password is None else password
        if self.product == "postgres":
            return psycopg.connect(
                host=self.host, port=self.port, user=user, password=password, dbname=database or "postgres",
                autocommit=True, connect_timeout=10,
            )  # fmt: skip
        connect = functools.partial(
            pymysql.connect, host=self.host, port=self.port, user=user, password=password, database=database,
            charset="utf8mb4", autocommit=True, connect_timeout=10, client_flag=CLIENT.MULTI_STATEMENTS,
        )  # fmt: skip
        try:
            return connect(ssl_disabled=True)
        except pymysql.OperationalError as error:
            if error.args[0] not in _WANTS_TLS:
                raise
            return connect()

    def sql(
        self, statement: str, parameters: Sequence[object] | None = None, *, database: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one or more statements as the superuser; return the rows of the last one that has any."""
        with self.session(database) as run:
            return run(statement, parameters)

    @contextlib.contextmanager
    def session(self, database: str | None = None) -> Iterator[Run]:
        """Give a function like `sql` whose statements share one connection: a login costs more than most of them."""
        with contextlib.closing(self.connect(database)) as connection:

            def run(statement: str, parameters: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
                with connection.cursor() as cursor:
                    cursor.execute(statement, parameters)
                    rows: list[tuple[Any, ...]] = []
                    while True:
                        if cursor.description:
                            rows = list(cursor.fetchall())
                        if not cursor.nextset():
                            return rows

            yield run

    def exec(self, *argv: str, user: str = "", environment: Mapping[str, str] | None = None) -> str:
        """Run a command in the container; return what it printed.

        Raises ServerError if it fails.
        """
        config = ExecConfig(list(argv), user=user, environment=dict(environment or {}))
        result = self.container.exec(config)
        output = result.output.decode(errors="replace")
        if result.exit_code != 0:
            raise ServerError(f"{argv} in {self.product}:{self.version} ended with {result.exit_code}: {output}")
        return output

    def restart(self) -> None:
        """Stop the server properly, start it, and wait until it answers; host and port stay."""
        self.container.get_wrapped_container().restart(timeout=60)
        self.wait()

    def stop(self) -> None:
        """Stop the server properly; `start` brings it back."""
        self.container.get_wrapped_container().stop(timeout=60)

    def kill(self) -> None:
        """End the server at once, as a crash does; `start` brings it back."""
        self.container.get_wrapped_container().kill()

    def start(self) -> None:
        """Start a server that was stopped or killed, and wait until it answers."""
        self.container.get_wrapped_container().start()
        self.wait()

    def logs(self) -> str:
        """Return what the server has written to stdout and stderr, in this order."""
        return b"".join(self.container.get_logs()).decode(errors="replace")

    def wait(self) -> None:
        """Return when the server answers a query over TCP.

        Raises ServerError when its container ends before, or after 3 minutes.
        """
        deadline = time.monotonic() + _UP_SECONDS
        while (problem := self._problem()) is not None:
            container = self.container.get_wrapped_container()
            container.reload()
            if container.status == "exited" or time.monotonic() > deadline:
                tail = "\n".join(self.logs().splitlines()[-25:])
                raise ServerError(f"{self.product}:{self.version} is not up: {problem}\n{tail}") from problem
            # between two questions to another process, not instead of one
            time.sleep(_PAUSE_SECONDS)

    def _problem(self) -> Exception | None:
        try:
            self.sql("SELECT 1")
        except (psycopg.Error, pymysql.Error, OSError) as error:
            return error
        return None


@contextlib.contextmanager
def server(
    name: str,
    *,
    password: str = PASSWORD,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None,
    fast: bool = True,
    lasting: bool = False,
    password_in_file: bool = False,
    tmpfs: Sequence[str] = (),
    volumes: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[Server]:
    """Run a server for the caller alone.

    `files` are copied into the container before it starts (init scripts, certificates); `arguments` go to the server;
    `fast` turns syncing off; `lasting` data outlive a stop and a crash of the server; `password_in_file` tells that the
    caller gave it as `…_FILE`; `tmpfs` are paths, `volumes` maps names to paths (nothing of the image is copied into
    them); `options` go to docker's create (user, cap_drop …).
    Raises ImageUnavailableError and ServerError.
    """
    product_name, _, version = name.partition(":")
    product = PRODUCTS[product_name]
    engine = prepare_engine()
    given = {} if password_in_file else {product.password_variable: password}
    environment = {**given, **product.environment, **(environment or {})}
    container = DockerContainer(images.ensure(name), env=environment, labels={LABEL: owner()}, **options)
    container.with_command([*(product.fast if fast else ()), *arguments])
    in_memory = [_data_of(product_name, version)] if fast and not lasting and not volumes and memory_to_spare() else []
    container.tmpfs.update(dict.fromkeys([*tmpfs, *in_memory], ""))
    _furnish(container, volumes or {}, files or {})
    port = _publish(container, product.port, engine)
    with container:
        host = "127.0.0.1" if engine.private else container.get_container_host_ip()
        started = Server(product_name, version, host, port, product.user, password, container)
        started.wait()
        yield started


def _furnish(container: DockerContainer, volumes: Mapping[str, str], files: Mapping[str, bytes]) -> None:
    for volume, path in volumes.items():
        container.with_volume_mapping(volume, path, "nocopy")
    for path, content in files.items():
        container.with_copy_into_container(content, path, mode=0o644)


def _data_of(product: str, version: str) -> str:
    return postgres_data(version) if product == "postgres" else "/var/lib/mysql"


def _publish(container: DockerContainer, inner: int, engine: Engine) -> int:
    """Publish a port under one of our own choice: one that the engine chooses changes with every restart."""
    port = free_port()
    container.with_bind_ports(inner, port)
    if engine.private:
        # docker takes a pair as well: nobody but this machine is to reach a test's server
        ports: dict[str, Any] = container.ports
        ports[str(inner)] = ("127.0.0.1", port)
    return port


class Servers:
    """The servers of one session: each image is started once, when the first test asks for it."""

    def __init__(self) -> None:
        self._started: dict[str, Server] = {}
        self._failed: dict[str, ServerError] = {}
        self._stack = contextlib.ExitStack()

    def __call__(self, name: str) -> Server:
        """Return the shared server of this name; skip the test when its image cannot be had.

        Raises ServerError when it does not come up, at once from the second time on.
        """
        if name in self._failed:
            raise self._failed[name]
        if name not in self._started:
            try:
                self._started[name] = self._stack.enter_context(self.own(name))
            except ServerError as error:
                self._failed[name] = error
                raise
        return self._started[name]

    def own(self, name: str, **settings: Any) -> "contextlib.AbstractContextManager[Server]":
        """Return `server(name, …)` for the caller alone; skip the test when the image cannot be had."""
        skip_without_image(name)
        return server(name, **settings)

    def close(self) -> None:
        """Remove all containers of this session."""
        self._stack.close()


def skip_without_image(name: str) -> str:
    """Return the reference to run of an image; skip the test, with the reason, when it cannot be had."""
    try:
        prepare_engine()
        return images.ensure(name)
    except (images.ImageUnavailableError, EngineUnavailable) as error:
        pytest.skip(f"no image {name}: {error}")


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], Server]]:
    """Give real servers by their official image names; see the module."""
    shared = Servers()
    yield shared
    shared.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every image that could not be had: what was asked of it is not tested."""
    refused = catalogue.refused()
    if refused:
        terminalreporter.section("IMAGES THAT COULD NOT BE HAD", sep="!", red=True, bold=True)
        for name, reason in sorted(refused.items()):
            terminalreporter.write_line(f"{name}: {reason}")

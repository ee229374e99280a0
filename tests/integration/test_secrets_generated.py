"""Passwords that hypothesis makes: each one works, and is nowhere to be found while it works, fails, or after.

A client that repeats on stderr all that it was given stands for every bug of a client: argv, environment, the secret
files. What is left of it in logs, reports, the audit log and on the volume must not hold the password.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.clients import clients_of
from tests.demo.embedded import EmbeddedServer
from tests.fixtures.betrayal import betrayals, content, visible_in_proc
from tests.fixtures.workspace import Workspace, finish
from tests.servers import Server

from vya_backupdb.domain.exitcodes import ExitCode

NASTY = "'\"\\%#:;=@/$&<>|*?!~^`{}[]() \taZ09éü😀"
LOOKS_LIKE = ("", "--password=", "-p", "#", " ", "\t", "${HOME}", "%s", "[client]")
ENDS_IN = ("", " ", "\t", "\\", "'", '"', "#", "\\n")


def passwords(more: str = "") -> st.SearchStrategy[str]:
    """Passwords of 10 to 140 characters that say something when they are found; `more` are further characters."""
    body = st.text(st.sampled_from(NASTY + more), min_size=10, max_size=120)
    made = st.builds("{}{}{}".format, st.sampled_from(LOOKS_LIKE), body, st.sampled_from(ENDS_IN))
    # the longest that RSA carries for MySQL without TLS is 214 bytes
    return made.filter(lambda text: len(set(text)) >= 8 and len(text.encode()) <= 180)


@dataclass(frozen=True)
class Product:
    """A server with an account `keeper`, and how to give it another password."""

    server: Any
    kind: str
    programs: tuple[str, ...]
    directory: str
    set_password: Callable[[str], None]


@pytest.fixture
def postgresql(embedded: EmbeddedServer) -> Iterator[Product]:
    def execute(sql: str, database: str = "postgres") -> None:
        with psycopg.connect(
            host=embedded.host, port=embedded.port, user=embedded.user, password=embedded.password, dbname=database,
            autocommit=True,
        ) as connection:  # fmt: skip
            connection.execute(sql.encode())

    def set_password(password: str) -> None:
        quoted = password.replace("\\", "\\\\").replace("'", "\\'")
        execute(f"ALTER ROLE keeper PASSWORD E'{quoted}'")

    execute("CREATE ROLE keeper SUPERUSER LOGIN")
    execute("CREATE DATABASE secrecy")
    execute("CREATE TABLE item AS SELECT n AS id FROM generate_series(1, 10) n", "secrecy")
    yield Product(embedded, "postgresql", ("pg_dump", "psql"), str(embedded.programs), set_password)
    for name in ("secrecy", "copy"):
        execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    execute("DROP ROLE keeper")


@pytest.fixture(params=["mariadb:11.8", "mysql:9.7"])
def mysql(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Iterator[Product]:
    server = servers(request.param)
    programs = ("mariadb-dump", "mariadb") if server.product == "mariadb" else ("mysqldump", "mysql")
    server.sql("CREATE USER keeper IDENTIFIED BY 'first'")
    server.sql("GRANT ALL ON *.* TO keeper WITH GRANT OPTION")
    server.sql("CREATE DATABASE secrecy; CREATE TABLE secrecy.item (id int); INSERT INTO secrecy.item VALUES (1), (2)")

    def set_password(password: str) -> None:
        server.sql("ALTER USER keeper IDENTIFIED BY %s", (password,))

    (directory,) = clients_of(request.param)
    yield Product(server, "mysql", programs, directory, set_password)
    server.sql("DROP USER keeper; DROP DATABASE IF EXISTS secrecy; DROP DATABASE IF EXISTS `copy`")


CLIENT = """
import os, signal, sys
from pathlib import Path
if "--version" not in sys.argv:
    what = Path({what!r}).read_text()
    with open({seen!r}, "ab") as seen:
        for path in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    seen.write((path / name).read_bytes() + b"\\n")
                except OSError:
                    pass
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "leaking":
        given = [*sys.argv, *os.environ.values()]
        files = [one[one.index("/proc/self/fd/"):] for one in given if "/proc/self/fd/" in one]
        # an error message quotes the first lines that speak of an error: the secret comes first
        for one in (*(line for file in files for line in Path(file).read_text().splitlines()), *given):
            sys.stderr.write("error: " + one + "\\n")
        sys.exit(1)
os.execv({real!r}, [{real!r}, *sys.argv[1:]])
"""


@dataclass(frozen=True)
class Stage:
    """A workspace whose clients note what can be seen while they run, and can be told to fail."""

    home: Workspace
    product: Product

    def __post_init__(self) -> None:
        home, directory = self.home, self.product.directory
        texts = {
            name: CLIENT.format(what=str(self.what), seen=str(self.seen), real=f"{directory}/{name}")
            for name in self.product.programs
        }
        home.clients("watching", **texts)
        home.config["audit"] = {"database_url": f"sqlite:///{home.root}/audit.db"}
        home.instance["include_databases"] = ["secrecy"]

    @property
    def what(self) -> Path:
        return self.home.root / "what"

    @property
    def seen(self) -> Path:
        return self.home.root / "seen"

    def run(self, *command: str, what: str = "") -> tuple[int, str]:
        """Run the program; return its exit code, and all that it said or that could be seen meanwhile."""
        self.what.write_text(what)
        self.seen.write_bytes(b"")
        log = self.home.root / "termination-log"
        process = self.home.start(*command, "--verbose", "--termination-log", str(log))
        ours = visible_in_proc(without=[os.getpid()])
        done = finish(process)
        if command[0] == "backup" and what != "unreachable":
            assert self.product.programs[0] in content(self.seen), "no client was started"
        return done.code, "\n".join((done.out, done.err, ours, content(self.seen), log.read_text()))

    def fail(self, what: str) -> tuple[int, str]:
        """Run a backup that must fail in that way."""
        port = self.home.instance["port"]
        if what == "unreachable":
            self.home.instance["port"] = 1
        try:
            return self.run("backup", what=what)
        finally:
            self.home.instance["port"] = port

    def try_password(self, password: str, failure: str) -> None:
        """Back up, restore and fail with that password, and look for it everywhere."""
        self.product.set_password(password)
        self.home.set_credentials("keeper", password)
        backup, said = self.run("backup")
        assert (backup, betrayals(said, password)) == (0, [])
        restore, said = self.run("restore", "--database", "secrecy", "--to-database", "copy")
        assert (betrayals(said, password), restore in {0, ExitCode.TARGET_EXISTS}) == ([], True), said
        for one in ("leaking", failure):
            failed, said = self.fail(one)
            assert betrayals(said, password) == []
            assert failed not in {0, ExitCode.UNEXPECTED}, said
        audit = self.home.root / "audit.db"
        for path in (*self.home.files(), audit):
            assert betrayals(content(path), password) == [], path


FAILURES = ("killed", "unreachable")
few = settings(max_examples=2, suppress_health_check=list(HealthCheck))


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    product: Product = request.getfixturevalue("postgresql" if "postgresql" in request.fixturenames else "mysql")
    return Stage(Workspace(tmp_path / "work", product.server, kind=product.kind), product)


@few
@given(password=passwords(), failure=st.sampled_from(FAILURES))
def test_postgresql(postgresql: Product, stage: Stage, password: str, failure: str) -> None:
    stage.try_password(password, failure)


@few
@given(password=passwords("\n\r"), failure=st.sampled_from(FAILURES))
def test_mysql_and_mariadb(mysql: Product, stage: Stage, password: str, failure: str) -> None:
    stage.try_password(password, failure)

"""A password full of everything that quoting gets wrong works, and is nowhere to be found while it works or after."""

import gzip
import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clients import clients_of
from tests.fixtures import samples
from tests.fixtures.betrayal import visible_in_proc
from tests.fixtures.engine_rig import KINDS
from tests.fixtures.workspace import PROGRAM, Workspace, finish
from tests.servers import Server

from vya_backupdb.domain.exitcodes import ExitCode

# head and tail are looked for by themselves: long enough that no digest or base64 holds them by chance
HEAD, TAIL = "Qx7kV2mR", "zW8pTq3J"
HORRIBLE = f"{HEAD}'\"` \\ %s#:;=@/$HOME{{}}[&]ü😀{TAIL}"
PROGRAMS = {"postgres": "pg_dump", "mariadb": "mariadb-dump", "mysql": "mysqldump"}
Servers = Callable[[str], Server]


def password_for(server: Server) -> str:
    """A passfile of PostgreSQL's has no line for a password with a newline; the others escape it."""
    return HORRIBLE if server.product == "postgres" else f"{HORRIBLE}\nsecond line\t'end"


@pytest.fixture(params=["postgres:17", "mariadb:11.8", "mysql:9.7"])
def server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Server]:
    """A server with an account of that password, which may do everything."""
    server = servers(request.param)
    password = password_for(server)
    if server.product == "postgres":
        literal = "E'" + password.replace("\\", "\\\\").replace("'", "\\'") + "'"
        server.sql(f"CREATE ROLE keeper SUPERUSER LOGIN PASSWORD {literal}")
    else:
        server.sql("CREATE USER keeper IDENTIFIED BY %s", (password,))
        server.sql("GRANT ALL ON *.* TO keeper WITH GRANT OPTION")
    yield server
    samples.drop(server, "shop")
    server.sql("DROP ROLE keeper" if server.product == "postgres" else "DROP USER keeper")


@pytest.fixture
def home(server: Server, tmp_path: Path) -> Workspace:
    """A workspace of a database of that account's, whose credentials a test sets."""
    made = Workspace(tmp_path / "work", server, kind=KINDS[server.product])
    made.instance["include_databases"] = ["shop"]
    return made


def seal(home: Workspace, user: str, password: str) -> None:
    """Put user and password where the configuration looks, as Fernet tokens."""
    ring = home.root / "keyring"
    ring.write_text(home.run("keys", "generate").out)
    ring.chmod(0o600)
    for name, value in (("username", user), ("password", password)):
        argv = [*PROGRAM, "credentials", "encrypt", "--keyring", str(ring)]
        token = subprocess.run(argv, env=home.environ({}), input=value.encode(), capture_output=True, check=True)
        (home.credentials / name).write_bytes(token.stdout)
    home.config["credentials"].update(encoding="fernet", keyring=str(ring))


def forms(password: str) -> set[str]:
    """Return what would betray the password: itself, its encodings, and each half of it."""
    whole = {password, json.dumps(password)[1:-1], json.dumps(password, ensure_ascii=False)[1:-1], repr(password)[1:-1]}
    return whole | {shlex.quote(password), HEAD, TAIL, "second line"}


def betrayals(text: str, password: str) -> list[str]:
    """Return the forms of the password that stand in `text`."""
    return [form for form in forms(password) if form in text]


def pausing(home: Workspace, server: Server) -> tuple[Path, Path]:
    """Use clients that pause before they become the real ones: that they were reached; that they may go on."""
    reached, go_on = home.root / "reached", home.root / "go-on"
    for path in (reached, go_on):
        os.mkfifo(path)
    (real,) = clients_of(f"{server.product}:{server.version}")
    program = PROGRAMS[server.product]
    text = f"""
import os, sys
if "--version" not in sys.argv:
    os.close(os.open({str(reached)!r}, os.O_WRONLY))
    open({str(go_on)!r}).read()
os.execv({f"{real}/{program}"!r}, [{f"{real}/{program}"!r}, *sys.argv[1:]])
"""
    home.clients("pausing", **{program: text})
    return reached, go_on


def test_a_horrible_password_works_and_is_never_seen(server: Server, home: Workspace) -> None:
    password = password_for(server)
    seal(home, "keeper", password)
    samples.create(server, "shop")
    before = samples.state(server, "shop")
    reached, go_on = pausing(home, server)
    log = home.root / "termination-log"
    said = []
    process = home.start("backup", "--verbose", "--termination-log", str(log))
    reached.read_bytes()
    seen = visible_in_proc(without=[os.getpid()])
    go_on.write_bytes(b"")
    done = finish(process)
    assert done.code == 0, done.err
    assert PROGRAMS[server.product] in seen
    assert betrayals(seen, password) == []
    said += [done.out, done.err, log.read_text()]
    samples.drop(server, "shop")
    # a restore starts no program
    done = home.run("restore", "--database", "shop", "--verbose", "--termination-log", str(log))
    assert done.code == 0, done.err
    said += [done.out, done.err, log.read_text()]
    assert samples.state(server, "shop") == before
    checked = home.run("check", "--verbose", "--format", "json")
    assert checked.code == 0, checked.out
    assert betrayals("\n".join([*said, checked.out, checked.err]), password) == []
    for path in home.files():
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")
        assert betrayals(text, password) == [], path


def test_a_wrong_password_is_not_quoted(server: Server, home: Workspace) -> None:
    wrong = HORRIBLE.replace("7", "7x")
    home.set_credentials("keeper", wrong)
    home.environment["VYA_BACKUPDB_CLIENT_PATH"] = ":".join(clients_of(f"{server.product}:{server.version}"))
    done = home.run("backup", "--verbose")
    assert done.code == ExitCode.AUTHENTICATION_FAILED, done.err
    assert betrayals(done.out + done.err, wrong) == []


@pytest.mark.parametrize("server", ["postgres:17"], indirect=True)
def test_a_newline_in_a_postgresql_password_is_refused_by_its_field(server: Server, home: Workspace) -> None:
    home.set_credentials("keeper", "two\nlines")
    done = home.run("backup")
    assert done.code == ExitCode.CREDENTIALS_UNREADABLE
    assert "password" in done.err
    assert "lines" not in done.err

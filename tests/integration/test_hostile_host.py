"""A host whose option files, environment, locale, umask and closed streams all want something else changes no dump.

First it is shown that they bite: the same client, started by hand in that environment, fails or dumps something else.
"""

import gzip
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.clients import clients_of
from tests.fixtures import samples
from tests.fixtures.engine_rig import KINDS
from tests.fixtures.workspace import PROGRAM, Done, Workspace
from tests.servers import Server

OPTIONS = """
[client]
password=wrong
host=233.252.0.1
port=1
user=evil
init-command=DROP DATABASE shop
[mysqldump]
where=1=0
skip-comments
no-data
skip-triggers
default-character-set=latin1
[mariadb-dump]
where=1=0
skip-comments
no-data
compatible=ansi
[mysql]
safe-updates
"""
SERVICE = "[evil]\nhost=233.252.0.1\nport=1\nuser=evil\npassword=wrong\noptions=-c default_transaction_read_only=on\n"
#: A group of RFC 6676's documentation, which TCP refuses at once: a connection that goes there is led astray.
NOWHERE = "233.252.0.1"

#: What such a host has in the environment; `hostile` says where its directories are.
ENVIRONMENT = {
    "HOME": "{home}",
    "XDG_CONFIG_HOME": "{home}/.config",
    "MYSQL_HOME": "{system}",
    "MYSQL_PWD": "wrong",
    "MYSQL_HOST": NOWHERE,
    "MYSQL_TCP_PORT": "1",
    "MYSQL_UNIX_PORT": "/nonexistent/socket",
    "MYSQL_GROUP_SUFFIX": "-evil",
    "MYSQL_TEST_LOGIN_FILE": "{home}/.mylogin.cnf",
    "MARIADB_HOST": NOWHERE,
    "LIBMYSQL_PLUGIN_DIR": "{system}",
    "PGOPTIONS": "-c default_transaction_read_only=on -c search_path=evil -c DateStyle=German",
    "PGSERVICE": "evil",
    "PGSERVICEFILE": "{home}/.pg_service.conf",
    "PGSYSCONFDIR": "{system}",
    "PGPASSFILE": "{home}/.pgpass",
    "PGPASSWORD": "wrong",
    "PGHOST": NOWHERE,
    "PGHOSTADDR": NOWHERE,
    "PGPORT": "1",
    "PGUSER": "evil",
    "PGDATABASE": "evil",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "{home}/.postgresql/root.crt",
    "PGCHANNELBINDING": "require",
    "PGREQUIREAUTH": "none",
    "PGTARGETSESSIONATTRS": "standby",
    "PGCLIENTENCODING": "LATIN1",
    "PGTZ": "Asia/Kathmandu",
    "PGDATESTYLE": "German",
    "PGGEQO": "off",
    "PSQLRC": "{home}/.psqlrc",
    "LANG": "xx_YY.bogus",
    "LC_ALL": "tr_TR.ISO-8859-9",
    "LC_NUMERIC": "de_DE",
    "TZ": "Asia/Kathmandu",
    "TMPDIR": "{root}/missing",
    "LD_LIBRARY_PATH": "{system}",
    "PYTHONIOENCODING": "ascii",
    "POSIXLY_CORRECT": "1",
    "COLUMNS": "20",
    "BASH_ENV": "{home}/.psqlrc",
    "SSLKEYLOGFILE": "{root}/keys",
}


def hostile(root: Path) -> dict[str, str]:
    """Fill a home directory and a system directory; return the environment that points to them."""
    home, system = root / "home", root / "etc"
    for folder in (home / ".postgresql", home / ".config", system):
        folder.mkdir(parents=True)
    for path in (home / ".my.cnf", system / "my.cnf", home / ".mylogin.cnf"):
        path.write_text(OPTIONS)
        path.chmod(0o600)
    for path in (home / ".pg_service.conf", system / "pg_service.conf"):
        path.write_text(SERVICE)
    (home / ".pgpass").write_text("*:*:*:*:wrong\n")
    (home / ".pgpass").chmod(0o600)
    (home / ".psqlrc").write_text("\\set ON_ERROR_STOP off\nDROP TABLE customer CASCADE;\n")
    for name in ("root.crt", "postgresql.crt", "postgresql.key"):
        (home / ".postgresql" / name).write_text("not a certificate\n")
        (home / ".postgresql" / name).chmod(0o600)
    places = {"home": home, "system": system, "root": root}
    return {name: value.format(**places) for name, value in ENVIRONMENT.items()}


PROGRAMS = {"postgres": "pg_dump", "mariadb": "mariadb-dump", "mysql": "mysqldump"}


@pytest.fixture(params=["postgres:17", "mariadb:11.8", "mysql:9.7"])
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Iterator[Server]:
    with samples.swept(servers(request.param)) as server:
        samples.create(server, "shop")
        yield server


def by_hand(server: Server, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[bytes]:
    """Start the product's own client as a shell would, in that environment and no option of ours."""
    (directory,) = clients_of(f"{server.product}:{server.version}")
    environment = {"PATH": os.environ["PATH"], **environment}
    argv = (f"{directory}/{PROGRAMS[server.product]}", *options, "shop")
    return subprocess.run(argv, env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)


def as_a_hostile_host_starts(home: Workspace, environment: dict[str, str], *arguments: str) -> Done:
    """Run the program with no umask and no stdin, in that environment."""
    script = 'umask 000; exec "$@" 0<&-'
    argv = ("/bin/sh", "-c", script, "sh", *PROGRAM, *arguments)
    given = home.environ({"VYA_BACKUPDB_CONFIG": str(home.write_config()), **environment})
    ended = subprocess.run(argv, env=given, capture_output=True, cwd=home.root, timeout=120)
    return Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def dumps(home: Workspace) -> dict[str, bytes]:
    """Return what the newest run left: the dump, and the users file, without lines that are random or tell the time."""
    found = {}
    for path in sorted(home.backups.rglob("*.sql.gz")):
        kind = "users" if path.name.startswith("users_") else "shop"
        lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
        found[kind] = b"".join(line for line in lines if not re.match(rb"\\(un)?restrict |-- .*\d{4}-\d\d-\d\d", line))
    return found


def test_nothing_of_it_reaches_a_dump(server: Server, tmp_path: Path) -> None:
    environment = hostile(tmp_path)
    clean = Workspace(tmp_path / "clean", server, kind=KINDS[server.product])
    attacked = Workspace(tmp_path / "attacked", server, kind=KINDS[server.product])
    (directory,) = clients_of(f"{server.product}:{server.version}")
    for home in (clean, attacked):
        home.environment["VYA_BACKUPDB_CLIENT_PATH"] = directory
        home.instance["include_databases"] = ["shop"]
        home.config["audit"] = {"database_url": f"sqlite:///{home.root}/audit.db"}
        home.config["logging"] = {"output": "file", "file_path": str(home.root / "program.log")}

    bitten = by_hand(server, environment)
    assert bitten.returncode != 0 or b"customer" not in bitten.stdout, "the environment is harmless: nothing is shown"

    expected = clean.run("backup")
    assert expected.code == 0, expected.err
    before = samples.state(server, "shop")
    done = as_a_hostile_host_starts(attacked, environment, "backup")
    assert done.code == 0, done.err + done.out
    assert dumps(attacked) == dumps(clean)
    assert set(dumps(clean)) == {"shop", "users"}
    assert samples.state(server, "shop") == before
    attacked.assert_tidy()
    for path in attacked.backups.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o600), path
    for name in ("audit.db", "program.log"):
        assert stat.S_IMODE((attacked.root / name).stat().st_mode) == 0o600
    assert not (tmp_path / "keys").exists()

    samples.drop(server, "shop")
    restored = as_a_hostile_host_starts(attacked, environment, "restore", "--database", "shop")
    assert restored.code == 0, restored.err + restored.out
    assert samples.state(server, "shop") == before


@pytest.mark.parametrize("closed", ["1>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_end_nothing(closed: str, tmp_path: Path) -> None:
    ring = tmp_path / "keyring"
    script = f'"$@" keys generate > {ring}; exec "$@" keys generate {closed}'
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(("/bin/sh", "-c", script, "sh", *PROGRAM), env=environment, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert len(ring.read_text()) == 45

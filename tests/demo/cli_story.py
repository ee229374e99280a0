"""``make demo-cli``: the main job without a cluster, in about a minute, with nothing installed by hand.

A PostgreSQL 18 out of a Python package is filled, backed up, robbed of a database, and restored, row for row.
Where a Docker engine answers, the same is told for MariaDB and MySQL.
"""

import hashlib
import os
import secrets
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import psycopg

from tests.demo.embedded import EmbeddedServer, embedded_postgresql
from tests.demo.story import Story, StoryFailedError

SHOP = Path(__file__).with_name("shop.sql")
TABLES = ("customer", "orders", "audit")


def _connect(server: EmbeddedServer, database: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=server.host, port=server.port, user=server.user, password=server.password, dbname=database, autocommit=True
    )


def _fill(server: EmbeddedServer) -> None:
    with _connect(server, "postgres") as connection:
        connection.execute("CREATE ROLE reporting NOLOGIN")
        for name in ("shop", "crm"):
            connection.execute(f"CREATE DATABASE {name}".encode())
    with _connect(server, "shop") as connection:
        connection.execute(SHOP.read_bytes())
    with _connect(server, "crm") as connection:
        connection.execute(b"CREATE TABLE lead (id int PRIMARY KEY, name text)")
        connection.execute(b"INSERT INTO lead SELECT n, 'lead ' || n FROM generate_series(1, 500) n")


def _fingerprint(server: EmbeddedServer) -> dict[str, str]:
    """Return rows and a digest of all values for each table: read by this script, not by the tool that is shown."""
    prints = {}
    with _connect(server, "shop") as connection:
        for table in TABLES:
            rows = connection.execute(f"SELECT t::text FROM {table} t ORDER BY 1".encode()).fetchall()
            digest = hashlib.sha256("\n".join(str(row[0]) for row in rows).encode()).hexdigest()
            prints[table] = f"{len(rows):>6} rows  sha256 {digest[:16]}…"
    return prints


def _configuration(work: Path, server: EmbeddedServer) -> Path:
    path = work / "config.yaml"
    path.write_text(
        f"""\
databases:
  - id: demo
    type: postgresql
    host: {server.host}
    port: {server.port}
    hostname: demo.local        # how the server is called in the tree
storage:
  base_path: {work}/backups
credentials:
  path: {work}/credentials
  keyring: {work}/keyring
"""
    )
    return path


def _credentials(story: Story, work: Path, server: EmbeddedServer) -> None:
    keyring, folder = work / "keyring", work / "credentials"
    folder.mkdir(mode=0o700)
    key = story.run(["vya-backupdb", "keys", "generate"], shown="vya-backupdb keys generate > keyring", quiet=True)
    keyring.touch(mode=0o600)
    keyring.write_text(key)
    for field, value in (("username", server.user), ("password", server.password)):
        token = story.run(
            ["vya-backupdb", "credentials", "encrypt", "--keyring", str(keyring)],
            stdin=value,
            shown=f"vya-backupdb credentials encrypt --keyring keyring < {field}.txt > credentials/{field}",
            quiet=True,
        )
        (folder / field).touch(mode=0o600)
        (folder / field).write_text(token)
    story.good("the password lies on the disk only as a Fernet token, and the key beside it in a file of its own")


def _tell(story: Story, work: Path, server: EmbeddedServer) -> None:
    story.step("A server with data: two databases, a role")
    _fill(server)
    before = _fingerprint(server)
    for table, line in before.items():
        story.say(f"shop.{table:<9} {line}")

    story.step("Credentials and a configuration")
    _credentials(story, work, server)
    _configuration(work, server)
    story.run(["cat", "config.yaml"])
    story.run(["vya-backupdb", "check", "--instance", "demo"])

    story.step("Back up every database, and the server's users and roles beside them")
    story.run(["vya-backupdb", "backup", "--instance", "demo"])
    story.run(["vya-backupdb", "list"])
    story.run(["find", "backups", "-type", "f", "-not", "-path", "*/.*", "-printf", "%10s  %P\\n"])

    story.step("Disaster: the database is dropped")
    with _connect(server, "postgres") as connection:
        connection.execute(b"DROP DATABASE shop WITH (FORCE)")
    story.say("DROP DATABASE shop;")

    story.step("Restore the latest backup")
    story.run(["vya-backupdb", "restore", "--instance", "demo", "--database", "shop"])
    after = _fingerprint(server)
    for table, line in after.items():
        story.say(f"shop.{table:<9} {line}")
    story.expect(after == before, "every row of every table is back, byte for byte", "the rows differ")

    story.step("Without us: the files are plain, and any sha256sum and zcat read them")
    found = sorted((work / "backups").glob("demo.local/demo/shop/*/*.sha256"))
    story.run(["sh", "-c", f"cd {shlex.quote(str(found[0].parent.relative_to(work)))} && sha256sum -c *.sha256"])
    story.run(["vya-backupdb", "retention", "plan", "--instance", "demo"])


def main(*, keep: bool = False) -> int:
    """Tell the story; return 0, or 1 with the step that failed."""
    work = Path(tempfile.mkdtemp(prefix="vya-demo-"))
    environ = dict(os.environ)
    environ["VYA_BACKUPDB_CONFIG"] = str(work / "config.yaml")
    environ["VYA_BACKUPDB_FORMAT"] = "table"  # as on a terminal, though this script reads along
    story = Story(environ)
    story.title(
        "VYA BackupDB, the command line, on a real PostgreSQL 18 (about a minute)", f"everything happens in {work}"
    )
    os.chdir(work)
    try:
        with embedded_postgresql() as server:
            environ["PATH"] = f"{Path(sys.executable).parent}:{server.programs}:{environ['PATH']}"
            _tell(story, work, server)
    except StoryFailedError as error:
        print(f"\nthe demonstration stopped: {error}", file=sys.stderr)
        return 1
    finally:
        os.chdir("/")
        if not keep:
            shutil.rmtree(work, ignore_errors=True)
    print(f"\nDone in {story.elapsed():.0f} s. Nothing is left behind. Next: 'make demo' tells it on Kubernetes.")
    return 0


def throwaway_password() -> str:
    """Return a password for a demonstration's server."""
    return secrets.token_urlsafe(18)

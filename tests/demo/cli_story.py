"""``make demo-cli``: the main job without a cluster, in about a minute, with nothing installed by hand.

A PostgreSQL 18 out of a Python package is filled, backed up, robbed of a database, and restored, row for row.
Where a Docker engine answers, the same is told for MariaDB and MySQL.
"""

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from tests.cluster.engine import find_engine
from tests.demo.databases import MySQLFamily, PostgreSQL, Target, fingerprint
from tests.demo.embedded import embedded_postgresql
from tests.demo.story import Story, StoryFailedError
from tests.images import ImageUnavailableError


def _configuration(work: Path, target: Target) -> None:
    host, port = target.address
    (work / "config.yaml").write_text(
        f"""\
databases:
  - id: demo
    type: {target.type}
    host: {host}
    port: {port}
    hostname: demo.local        # how the server is called in the tree
storage:
  base_path: {work}/backups
credentials:
  path: {work}/credentials
  keyring: {work}/keyring
"""
    )


def _credentials(story: Story, work: Path, target: Target) -> None:
    keyring, folder = work / "keyring", work / "credentials"
    folder.mkdir(mode=0o700)
    key = story.run(["vya-backupdb", "keys", "generate"], shown="vya-backupdb keys generate > keyring", quiet=True)
    keyring.touch(mode=0o600)
    keyring.write_text(key)
    for field, value in zip(("username", "password"), target.account, strict=True):
        token = story.run(
            ["vya-backupdb", "credentials", "encrypt", "--keyring", str(keyring)],
            stdin=value,
            shown=f"vya-backupdb credentials encrypt --keyring keyring < {field}.txt > credentials/{field}",
            quiet=True,
        )
        (folder / field).touch(mode=0o600)
        (folder / field).write_text(token)
    story.good("the password lies on the disk only as a Fernet token; the key lies in a file of its own")


def _show(story: Story, prints: dict[str, str]) -> None:
    for table, line in prints.items():
        story.say(f"shop.{table:<9} {line}")


def _lose_and_restore(story: Story, target: Target, before: dict[str, str]) -> None:
    story.step("Disaster: the database is dropped")
    target.drop()
    story.say("DROP DATABASE shop;")
    story.step("Restore the latest backup")
    story.run(["vya-backupdb", "restore", "--instance", "demo", "--database", "shop"])
    after = fingerprint(target)
    _show(story, after)
    story.expect(after == before, "every row of every table is back, byte for byte", "the rows differ")


def _tell(story: Story, work: Path, target: Target) -> None:
    story.step("A server with data: two databases, a role")
    target.fill()
    before = fingerprint(target)
    _show(story, before)

    story.step("Credentials and a configuration")
    _credentials(story, work, target)
    _configuration(work, target)
    story.run(["cat", "config.yaml"])
    story.run(["vya-backupdb", "check", "--instance", "demo"])

    story.step("Back up every database, and the server's users and roles beside them")
    story.run(["vya-backupdb", "backup", "--instance", "demo"])
    story.run(["vya-backupdb", "list"])
    story.run(["find", "backups", "-type", "f", "-not", "-path", "*/.*", "-printf", "%10s  %P\\n"])
    _lose_and_restore(story, target, before)

    story.step("Without us: the files are plain, and any sha256sum and zcat read them")
    found = sorted((work / "backups").glob("demo.local/demo/shop/*/*.sha256"))
    story.run(["sh", "-c", f"cd {shlex.quote(str(found[0].parent.relative_to(work)))} && sha256sum -c *.sha256"])
    story.run(["vya-backupdb", "retention", "plan", "--instance", "demo"])


def _tell_shortly(story: Story, work: Path, target: Target) -> None:
    story.step(f"The same for {target.product}")
    target.fill()
    before = fingerprint(target)
    _show(story, before)
    _credentials(story, work, target)
    _configuration(work, target)
    story.run(["vya-backupdb", "backup", "--instance", "demo"])
    _lose_and_restore(story, target, before)


def _others(story: Story) -> None:
    """Tell it for MariaDB and MySQL where a Docker engine answers; nothing is installed or started for it."""
    if find_engine() is None:
        story.say("MariaDB and MySQL are left out: no Docker engine answers here ('make demo' starts one of its own)")
        return
    # inside: these need the engine
    from tests.clients import clients_of
    from tests.servers import server

    for name, product in (("mariadb:11.8", "MariaDB 11.8"), ("mysql:9.7", "MySQL 9.7")):
        with server(name) as running, tempfile.TemporaryDirectory(prefix="vya-demo-") as folder:
            environ = dict(story.environ)
            (programs,) = clients_of(name)
            story.environ = {
                **environ,
                "VYA_BACKUPDB_CLIENT_PATH": programs,
                "VYA_BACKUPDB_CONFIG": f"{folder}/config.yaml",
            }
            os.chdir(folder)
            target = MySQLFamily((running.host, running.port), (running.user, running.password), product)
            _tell_shortly(story, Path(folder), target)
            story.environ = environ
            os.chdir("/")


def main() -> int:
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
            _tell(story, work, PostgreSQL((server.host, server.port), (server.user, server.password)))
        _others(story)
    except (StoryFailedError, ImageUnavailableError) as error:
        print(f"\nthe demonstration stopped: {error}", file=sys.stderr)
        return 1
    finally:
        os.chdir("/")
        shutil.rmtree(work, ignore_errors=True)
    print(f"\nDone in {story.elapsed():.0f} s. Nothing is left behind. Next: 'make demo' tells it on Kubernetes.")
    return 0

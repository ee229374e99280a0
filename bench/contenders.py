"""Who is measured: the very command that we run, into /dev/null and into compressors; and we, as a user starts us."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fixtures.engine_rig import KINDS, by_hand, rig
from tests.fixtures.workspace import Done, Workspace, finish
from tests.servers import Server

from bench.data import AGAIN, DATABASE
from bench.measure import Contender
from vya_backupdb.engines.base import Command, Option, SecretFile

OURS: Final = "vya-backupdb backup"
OUR_RESTORE: Final = "vya-backupdb restore"
BY_HAND: Final = "zcat | client"
LOOP: Final = "client, in a loop"
NULL: Final = "client > /dev/null"
GZIP: Final = "client | gzip -6"
_PIPES: Final = {
    NULL: '"$@" > /dev/null',
    GZIP: '"$@" | gzip -6 > "$OUT"',
    "client | pigz -6": '"$@" | pigz -6 > "$OUT"',
    "client | zstd -3": '"$@" | zstd -q -3 > "$OUT"',
    "client | igzip -1": '"$@" | igzip -1 > "$OUT"',
}


@dataclass(frozen=True)
class Materialised:
    """A client's command with its secrets in files of mode 0600, as a shell can start it."""

    argv: tuple[str, ...]
    environ: dict[str, str]


def materialise(command: Command, folder: Path) -> Materialised:
    """Return `command` with each secret file written into `folder`."""

    def place(part: str | SecretFile | Option) -> str:
        if isinstance(part, str):
            return part
        secret, prefix = (part.file, part.prefix) if isinstance(part, Option) else (part, "")
        path = folder / secret.name.replace(" ", "-")
        path.touch(mode=0o600)
        path.write_bytes(secret.content)
        return f"{prefix}{path}"

    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    environ |= {name: place(value) for name, value in command.environ.items()}
    return Materialised(tuple(place(part) for part in command.argv), environ)


def workspace(server: Server, clients: tuple[str, ...], root: Path) -> Workspace:
    """Return a configuration of ours for `server`, with the defaults that a user gets."""
    made = Workspace(root, server, kind=KINDS[server.product])
    made.config["storage"] = {"base_path": str(made.backups)}
    made.seconds = 1800
    made.environment["VYA_BACKUPDB_CLIENT_PATH"] = ":".join(clients)
    return made


@contextmanager
def dumping(server: Server, clients: tuple[str, ...], folder: Path) -> Iterator[list[Contender]]:
    """Give the contenders for dumping the database `bench`; one snapshot is held for all of the client's runs."""
    engine = rig(server, clients).engine
    ours = workspace(server, clients, folder / "ours")
    out = folder / "out"
    with engine.snapshot(DATABASE) as snapshot:
        client = materialise(engine.dump(DATABASE, snapshot).command, folder)

        def piped(script: str) -> Contender:
            def run() -> int:
                subprocess.run(
                    ("sh", "-c", script, "sh", *client.argv), env={**client.environ, "OUT": str(out)}, check=True
                )
                return out.stat().st_size if "$OUT" in script else 0

            return Contender(next(name for name, text in _PIPES.items() if text == script), run)

        yield [*(piped(script) for script in _PIPES.values()), Contender(OURS, lambda: _back_up(ours))]


def _cold(ours: Workspace, *arguments: str) -> Done:
    """Run the program as a user starts it: tests begin with a process that has been warmed up."""
    return finish(ours.start(*arguments), ours.seconds)


def _good(done: Done) -> None:
    if done.code:
        raise RuntimeError(f"the program ended with {done.code}: {done.out[-2000:]}{done.err[-2000:]}")


def _back_up(ours: Workspace) -> int:
    shutil.rmtree(ours.backups, ignore_errors=True)
    _good(_cold(ours, "backup", "--database", DATABASE))
    (file,) = ours.backups.rglob(f"{DATABASE}_*.sql.gz")
    return file.stat().st_size


def restoring(server: Server, clients: tuple[str, ...], folder: Path) -> list[Contender]:
    """Return the contenders for restoring a backup of the database `bench` as `again`, which is dropped before."""
    ours = workspace(server, clients, folder / "ours")
    _back_up(ours)
    (file,) = ours.backups.rglob(f"{DATABASE}_*.sql.gz")
    client = materialise(by_hand(rig(server, clients), AGAIN), folder)

    def drop() -> None:
        server.sql(f"DROP DATABASE IF EXISTS {AGAIN}")

    def create() -> None:
        drop()
        server.sql(f"CREATE DATABASE {AGAIN}")

    def load() -> int:
        subprocess.run(("sh", "-c", 'zcat "$0" | "$@"', file, *client.argv), env=client.environ, check=True)
        return file.stat().st_size

    def us() -> int:
        _good(_cold(ours, "restore", "--database", DATABASE, "--to-database", AGAIN))
        return file.stat().st_size

    return [Contender(BY_HAND, load, create), Contender(OUR_RESTORE, us, drop)]


def many(server: Server, clients: tuple[str, ...], folder: Path, count: int) -> list[Contender]:
    """Return the contenders for so many small databases: the client once for each, and we with one at a time."""
    engine = rig(server, clients).engine
    ours = workspace(server, clients, folder / "ours")
    names = [f"small_{number:04}" for number in range(1, count + 1)]
    with engine.snapshot(names[0]) as snapshot:
        client = materialise(engine.dump(names[0], snapshot).command, folder)
    # of one database, without its snapshot: the loop is to know no more than a person who writes it
    argv = [part for part in client.argv if not part.startswith("--snapshot=")]

    def loop() -> int:
        for name in names:
            these = [part.replace(names[0], name) for part in argv]
            subprocess.run(these, env=client.environ, check=True, stdout=subprocess.DEVNULL)
        return 0

    def us() -> int:
        shutil.rmtree(ours.backups, ignore_errors=True)
        _good(_cold(ours, "backup", "--parallel", "1"))
        return sum(file.stat().st_size for file in ours.backups.rglob("*.sql.gz"))

    return [Contender(LOOP, loop), Contender(OURS, us)]

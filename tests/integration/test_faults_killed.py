"""kill -9 of the program, at every step and at random: each backup is there whole or not at all, and nobody cleans up.

The use cases run in forked children, against a real server and a real volume; a scripted client gives a real dump.
"""

import gzip
import os
import random
import select
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.demo.embedded import EmbeddedServer
from tests.fixtures import in_process
from tests.fixtures.workspace import Workspace, finish
from tests.unit.storage.support import HANGS_AFTER_SECONDS, assert_whole, fork, forked, killer, later, metadata, tree

from vya_backupdb.domain.errors import DumpFailed
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import RunId
from vya_backupdb.dumper import pipeline, process
from vya_backupdb.dumper.backup import Run, back_up, require_complete
from vya_backupdb.dumper.pipeline import Meter
from vya_backupdb.dumper.stop import Stop
from vya_backupdb.engines.base import Command
from vya_backupdb.engines.pg_scan import PgScanner
from vya_backupdb.storage.tree import InstanceTree
from vya_backupdb.storage.volume import no_step

SEED = 20261128
KILLS = 1000


def shell_client(folder: Path, steps: str) -> Path:
    """Make a pg_dump that says a whole dump of its own: a shell is up in a millisecond. Return its folder."""
    folder.mkdir()
    program = folder / "pg_dump"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && {{ echo "pg_dump (PostgreSQL) 18.6"; exit; }}\n{steps}\n')
    program.chmod(0o755)
    return folder


@pytest.fixture
def whole(workspace: Workspace, database: str) -> Path:
    """A dump of ``shop`` as the real client writes it, in a file; the backup it came from stays on the volume."""
    report = in_process.backup(in_process.session(workspace), "earlier", "shop")
    assert report.exit_code == ExitCode.OK
    (data,) = workspace.backups.rglob("shop_*.sql.gz")
    path = workspace.root / "whole.sql"
    path.write_bytes(gzip.decompress(data.read_bytes()))
    return path


@pytest.mark.parametrize("ending", ["kill -9 $$", "exit 0"], ids=["killed", "exit 0"])
def test_a_client_that_ends_at_any_byte_makes_no_backup(workspace: Workspace, whole: Path, ending: str) -> None:
    upto, size = workspace.root / "upto", whole.stat().st_size
    folder = shell_client(workspace.root / "cut", f"head -c $(cat {upto}) {whole}; {ending}")
    workspace.environment["VYA_BACKUPDB_CLIENT_PATH"] = str(folder)
    opened = in_process.session(workspace)
    run = Run(RunId("cut"), "cli", opened.ask_server())
    before = workspace.files()
    # the very last byte is an empty line: nobody needs it
    sizes = {0, 1, size - 40, size - 3, size - 2, *random.Random(SEED).sample(range(size - 1), 65)}
    with opened.tree.lock_run(run.id):
        for bytes_ in sorted(sizes):
            upto.write_text(str(bytes_))
            with pytest.raises(DumpFailed):
                back_up(opened, run, "shop", expected_bytes=None, done=lambda: None)
        upto.write_text(str(size))
        if ending == "exit 0":
            back_up(opened, run, "shop", expected_bytes=None, done=lambda: None)
        else:
            with pytest.raises(DumpFailed):
                back_up(opened, run, "shop", expected_bytes=None, done=lambda: None)
    kept = set(workspace.files()) - set(before)
    assert len([path for path in kept if path.name.startswith("shop_")]) == (3 if ending == "exit 0" else 0)
    workspace.assert_tidy()


def assert_sound(workspace: Workspace, at_least: set[str]) -> set[str]:
    """Assert that all on the volume is whole, among it `at_least`; return the ids of the backups."""
    workspace.assert_tidy()
    one = in_process.session(workspace).tree
    stored = [*one.backups(), *one.users()]
    for each in stored:
        assert each.problem is None
        assert one.verify(each)
    found = {each.id for each in stored}
    assert at_least <= found
    return found


def test_killed_after_each_step_of_a_whole_run(workspace: Workspace, whole: Path) -> None:
    """The run's claim, recovery, dump, publishing and report; the run after it does all the rest by itself."""
    shell_client(workspace.root / "quick", f"cat {whole}")
    workspace.environment["VYA_BACKUPDB_CLIENT_PATH"] = str(workspace.root / "quick")
    ids = assert_sound(workspace, set())
    outcomes = set()
    for number in range(1, 100):

        def child(number: int = number) -> None:
            report = in_process.backup(in_process.session(workspace, step=killer(number)), f"killed-{number}", "shop")
            assert report.exit_code == ExitCode.OK

        status = fork(child)
        assert status in {0, signal.SIGKILL}
        assert in_process.backup(in_process.session(workspace), f"next-{number}", "shop").exit_code == ExitCode.OK
        found = assert_sound(workspace, ids)
        outcomes.add(len(found - ids))
        ids = found
        if status == 0:
            break
    assert status == 0
    assert number > 8
    assert outcomes == {1, 2}, "the kills did not reach both sides of the commit"


def test_killed_after_each_step_of_a_retention_run(workspace: Workspace, whole: Path) -> None:
    workspace.config["schedule"] = "nightly"
    workspace.config["retention"] = {"daily_keep": 1, "weekly_keep": 0, "monthly_keep": 0}
    shell_client(workspace.root / "quick", f"cat {whole}")
    workspace.environment["VYA_BACKUPDB_CLIENT_PATH"] = str(workspace.root / "quick")
    for number in range(1, 100):
        opened = in_process.session(workspace)
        in_process.backup(opened, f"one-{number}", "shop")
        in_process.backup(opened, f"two-{number}", "shop")
        newest = opened.tree.backups("shop")[-1].id

        def child(number: int = number) -> None:
            in_process.prune(in_process.session(workspace, step=killer(number)), f"killed-{number}")

        status = fork(child)
        assert status in {0, signal.SIGKILL}
        opened.tree.recover()
        assert_sound(workspace, {newest})
        if status == 0:
            break
    assert status == 0
    assert number > 4
    # the first backup was made by no schedule: retention never touches it
    assert len(in_process.session(workspace).tree.backups("shop")) == 2


def _dump_and_delete(base: Path, whole: Path, round_: int, told: int) -> None:
    """Back up and delete until killed, telling of it: 'P id' after a publish returned, 'D id' before a deletion."""
    random_ = random.Random(f"{SEED} {round_}")
    # every other child kills itself after a random step; the rest are killed from outside
    one = tree(base, step=killer(random_.randrange(1, 60)) if round_ % 2 else no_step)
    for number in range(1000):
        run = RunId(f"r{round_}-{number}")
        with one.lock_run(run):
            one.claim("ns/shop", "server-1")
            one.recover()
            stored = _dump(one, random_.choice(["chinook", "north wind", None]), random_.randrange(4), run, whole)
        os.write(told, f"P {stored}\n".encode())
        backups = [*one.backups(), *one.users()]
        while len(backups) > 4:
            victim = backups.pop(random_.randrange(len(backups)))
            os.write(told, f"D {victim.id}\n".encode())
            one.delete(victim, now=later(0))


def _dump(one: InstanceTree, database: str | None, second: int, run: RunId, whole: Path) -> str:
    """One backup, from a client's process through the whole pipeline; return its id."""

    def source(take: Callable[[bytes], None]) -> None:
        assert process.run(Command(("/bin/cat", str(whole)), {}), stop=Stop(), on_chunk=take).ok

    with one.open(database, later(second), run) as pending:
        meter = Meter(lambda _event: None, name="", kind="database", lock=None)
        require_complete(pipeline.write_dump(pending, source, level=1, scanner=PgScanner(), meter=meter), "it")
        pending.finish()
        return pending.publish(metadata(database, later(second), run=run)).id


def test_killed_a_thousand_times_at_random_moments(memory: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    random_ = random.Random(SEED)
    whole = tmp_path / "whole.sql"
    whole.write_text("--\n-- PostgreSQL database dump\n--\n\n" + "SELECT 1;\n" * 300 + MARKER)
    certain: set[str] = set()
    doubtful: set[str] = set()
    for round_ in range(KILLS):
        patience = HANGS_AFTER_SECONDS if round_ % 2 else random_.uniform(0, 0.02)
        told = _kill_one(partial(_dump_and_delete, memory, whole, round_), patience)
        for line in told.splitlines():
            word, stem = line.split(maxsplit=1)
            (certain.add if word == "P" else certain.discard)(stem)
            if word == "D":
                doubtful.add(stem)
        if round_ % 5 < 4:
            continue  # the next child recovers, and may be killed while it does
        with tree(memory).lock_run(RunId("next")):
            tree(memory).claim("ns/shop", "server-1")
            tree(memory).recover()
        found = {stored.id for stored in assert_whole(memory, ends=MARKER.encode())}
        assert certain - doubtful <= found, f"lost in round {round_} of seed {SEED}"
        certain = found
        doubtful.clear()
    assert len(certain) > 1


MARKER = "--\n-- PostgreSQL database dump complete\n--\n\n"


def _kill_one(work: Callable[[int], None], patience: float) -> str:
    """Let `work` run in a child, kill it after so many seconds unless it is dead, and return what it told."""
    reader, writer = os.pipe()
    child = forked(partial(work, writer))
    os.close(writer)
    watched = os.pidfd_open(child)
    select.select([watched], [], [], patience)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    os.close(watched)
    with os.fdopen(reader, "r") as told:
        return told.read()


def test_the_program_itself_killed_at_random_moments(
    workspace: Workspace, whole: Path, embedded: EmbeddedServer
) -> None:
    """From the outside, as the kernel does when memory runs out: after so many of its lines."""
    ids = assert_sound(workspace, set())
    random_ = random.Random(SEED)
    for number in range(6):
        running = workspace.start("backup", "--database", "shop", "--run-id", f"killed-{number}")
        assert running.stdout is not None
        for _line in range(random_.randrange(1, 5)):
            running.stdout.readline()
        running.kill()
        assert finish(running).code in {-signal.SIGKILL, 0}
    done = workspace.run("backup", "--database", "shop")
    assert done.code == 0, done.err
    found = assert_sound(workspace, ids)
    assert len(found - ids) >= 1

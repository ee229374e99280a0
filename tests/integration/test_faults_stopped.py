"""Runs that are ended from outside: a signal, a deadline, kill -9, a lost session. Nothing is left, nothing lies."""

import json
import signal

import pytest
from tests.demo.embedded import EmbeddedServer
from tests.fixtures.faulty import assert_heals, backup, clients_alive, paused_client
from tests.fixtures.pausing import Pause
from tests.fixtures.workspace import Connect, Workspace, finish

from vya_backupdb.domain.exitcodes import ExitCode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_and_its_client_and_leaves_nothing(
    workspace: Workspace, database: str, pause: Pause, number: signal.Signals
) -> None:
    workspace.clients("fake", pg_dump=paused_client(pause))
    log = workspace.root / "termination-log"
    process = workspace.start("backup", "--database", "shop", "--termination-log", str(log))
    pause.wait()
    process.send_signal(number)
    done = finish(process)
    assert done.code == ExitCode.INTERRUPTED
    assert json.loads(log.read_text())["reason"] == "Interrupted"
    assert number.name in done.report["message"]
    assert clients_alive(workspace) == []
    workspace.assert_tidy()
    assert_heals(workspace)


def test_the_deadline_ends_the_run(workspace: Workspace, database: str, pause: Pause) -> None:
    workspace.clients("fake", pg_dump=paused_client(pause))
    workspace.config["run"] = {"deadline_seconds": 2}
    done = backup(workspace)
    assert (done.code, done.row["reason"]) == (ExitCode.DEADLINE_EXCEEDED, "DeadlineExceeded")
    workspace.assert_tidy()


def test_what_a_killed_run_left_is_removed_by_the_next(workspace: Workspace, database: str, pause: Pause) -> None:
    workspace.clients("fake", pg_dump=paused_client(pause))
    process = workspace.start("backup", "--database", "shop", "--run-id", "killed-one")
    pause.wait()
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    pause.release()  # the orphan goes on, and ends by itself
    assert [path for path in workspace.files() if ".partial-" in path.name]
    assert_heals(workspace)


def test_a_lost_lock_fails_the_dump(
    workspace: Workspace, database: str, pause: Pause, connect: Connect, embedded: EmbeddedServer
) -> None:
    workspace.clients("slow", pg_dump=pause.after(embedded.programs / "pg_dump"))
    process = workspace.start("backup", "--database", "shop")
    pause.wait()
    with connect("postgres") as connection:
        killed = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        ).fetchone()
    assert killed == (1,)
    pause.release()
    done = finish(process)
    assert (done.code, workspace.ids("shop")) == (ExitCode.BACKUP_FAILED, [])
    assert "lock" in done.row["error"]
    workspace.assert_tidy()


def test_a_table_that_is_truncated_under_the_dump_is_found(
    workspace: Workspace, database: str, pause: Pause, connect: Connect, embedded: EmbeddedServer
) -> None:
    workspace.clients("slow", pg_dump=pause.before(embedded.programs / "pg_dump"))
    process = workspace.start("backup", "--database", "shop")
    pause.wait()
    with connect("shop") as connection:
        connection.execute("TRUNCATE item")
    pause.release()
    done = finish(process)
    assert (done.code, workspace.ids("shop")) == (ExitCode.BACKUP_FAILED, [])
    assert "item" in done.row["error"]

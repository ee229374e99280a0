"""A dump waits for others as long as the instance's time-outs say, and not longer."""

import os

from tests.fixtures.faulty import COPY, HEAD, VERSION, assert_heals, backup
from tests.fixtures.workspace import Connect, Workspace, scripted_client

from vya_backupdb.domain.exitcodes import ExitCode


def test_a_client_that_falls_silent_is_ended(workspace: Workspace, database: str) -> None:
    """A dead route or a server that hangs: nothing else would ever end the run."""
    fifo = workspace.root / "never"
    os.mkfifo(fifo)
    steps: list[list[object]] = [["out", HEAD + COPY + "1\ta\n"], ["await", str(fifo)]]
    workspace.clients("fake", pg_dump=scripted_client(VERSION, *steps))
    workspace.instance["timeouts"] = {"stall_seconds": 10}
    done = backup(workspace)
    assert (done.code, done.row["reason"]) == (ExitCode.BACKUP_FAILED, "BackupFailed")
    assert "pg_dump gave no byte for 10 seconds" in done.row["error"]
    assert "timeouts.stall_seconds" in done.row["error"]
    assert workspace.ids("shop") == []
    workspace.assert_tidy()
    assert_heals(workspace)


def test_a_locked_table_is_not_waited_for_any_longer(workspace: Workspace, database: str, connect: Connect) -> None:
    workspace.instance["timeouts"] = {"lock_seconds": 1}
    with connect(database) as session, session.transaction():
        session.execute("LOCK TABLE item IN ACCESS EXCLUSIVE MODE")
        done = backup(workspace)
    assert (done.code, done.row["reason"]) == (ExitCode.BACKUP_FAILED, "BackupFailed")
    assert "timeouts.lock_seconds" in done.row["error"]
    assert_heals(workspace)

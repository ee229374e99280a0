"""Several runs at once: one dumps a database at a time, and none takes away what another reads or writes."""

import json

import pytest
from tests.demo.embedded import EmbeddedServer
from tests.fixtures import in_process
from tests.fixtures.faulty import backup, paused_client
from tests.fixtures.pausing import REACHED, WAITING, Pause
from tests.fixtures.workspace import Connect, Workspace, finish

from vya_backupdb.domain.errors import NotFound
from vya_backupdb.domain.exitcodes import ExitCode


def test_two_runs_at_once_both_end_well_and_never_dump_one_database_together(
    workspace: Workspace, database: str, pause: Pause, embedded: EmbeddedServer
) -> None:
    workspace.clients("slow", pg_dump=pause.before(embedded.programs / "pg_dump"))
    first = workspace.start("backup", "--database", "shop")
    pause.wait()
    workspace.environment["VYA_BACKUPDB_CLIENT_PATH"] = str(embedded.programs)
    second = workspace.start("backup", "--database", "shop")
    assert second.stdout is not None
    for line in second.stdout:
        if json.loads(line).get("step") == "locking":
            break
    assert workspace.ids("shop") == []
    pause.release()
    assert [finish(one).code for one in (first, second)] == [0, 0]
    assert len(workspace.ids("shop")) == 2
    workspace.assert_tidy()


def test_a_database_that_another_run_holds_is_busy(
    workspace: Workspace, database: str, pause: Pause, embedded: EmbeddedServer
) -> None:
    workspace.clients("fake", pg_dump=paused_client(pause))
    first = workspace.start("backup", "--database", "shop")
    pause.wait()
    workspace.instance["lock_wait_seconds"] = 0
    second = backup(workspace)
    assert (second.code, second.row["reason"]) == (ExitCode.BUSY, "Busy")
    first.terminate()
    finish(first)


def test_a_run_that_is_retried_while_its_first_attempt_ends_does_nothing(
    workspace: Workspace, database: str, pause: Pause
) -> None:
    """A Job's second pod, while the first is still terminating."""
    workspace.clients("fake", pg_dump=paused_client(pause))
    first = workspace.start("backup", "--database", "shop", "--run-id", "nightly-1")
    pause.wait()
    before = workspace.files()
    second = backup(workspace, "--run-id", "nightly-1")
    assert second.code == ExitCode.BUSY
    assert "the run nightly-1 is alive elsewhere" in second.err
    assert workspace.files() == before
    first.terminate()
    assert finish(first).code == ExitCode.INTERRUPTED


def two_backups(workspace: Workspace) -> tuple[str, str]:
    """Make two backups of one day, of which retention keeps the second; return their ids."""
    workspace.config["schedule"] = "nightly"
    workspace.config["retention"] = {"daily_keep": 1, "weekly_keep": 0, "monthly_keep": 0}
    opened = in_process.session(workspace)
    for run in ("first", "second"):
        in_process.backup(opened, run, "shop")
    first, second = (stored.id for stored in opened.tree.backups("shop"))
    return first, second


@pytest.fixture
def kept_one(workspace: Workspace, database: str) -> tuple[str, str]:
    """The ids of `two_backups`."""
    return two_backups(workspace)


def test_retention_leaves_a_restore_its_source(workspace: Workspace, database: str, connect: Connect) -> None:
    with connect("shop") as connection:
        connection.execute(WAITING)
    first, second = two_backups(workspace)
    with connect("postgres") as connection:
        connection.execute("CREATE ROLE waiting")
        restoring = workspace.start("restore", "--database", "shop", "--backup", first, "--to-database", "again")
        try:
            connection.execute(REACHED)
            done = workspace.run("retention", "apply", "--format", "json")
        finally:
            connection.execute("DROP ROLE waiting")
            ended = finish(restoring)
    assert done.code == 0, done.err
    report = json.loads(done.out)["report"]
    assert report["totals"]["deleted"] == 0
    assert report["message"] == "0 backups deleted, 2 kept, 1 of them left alone though planned"
    assert workspace.ids("shop") == [first, second]
    assert ended.code == 0, ended.err
    with connect("again") as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (1000,)
    assert workspace.run("retention", "apply").code == 0
    assert workspace.ids("shop") == [second]


def test_a_restore_whose_source_goes_at_the_last_moment_touches_nothing(
    workspace: Workspace, kept_one: tuple[str, str]
) -> None:
    opened = in_process.session(workspace)
    stored = opened.tree.find("shop", kept_one[0], now=opened.tools.clock())
    in_process.prune(opened, "prune")
    with pytest.raises(NotFound, match="is gone"), opened.tree.reading(stored):
        pass
    gone = workspace.run("restore", "--database", "shop", "--backup", kept_one[0], "--to-database", "again")
    assert gone.code == ExitCode.NOT_FOUND


def test_two_retentions_and_two_backups_at_once(workspace: Workspace, kept_one: tuple[str, str]) -> None:
    for number in range(3):
        in_process.backup(in_process.session(workspace), f"more-{number}", "shop")
    commands = [("retention", "apply"), ("backup", "--database", "shop")] * 2
    running = [workspace.start(*command) for command in commands]
    assert [finish(one).code for one in running] == [0] * 4
    workspace.assert_tidy()
    assert kept_one[1] not in workspace.ids("shop")
    left = workspace.ids("shop")
    assert 1 <= len(left) <= 3
    assert workspace.run("retention", "apply").code == 0
    assert workspace.ids("shop") == left[-1:]
    workspace.assert_tidy()

"""A clock that jumps while the program runs, forwards and backwards, at each moment at which it is read."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from tests.fixtures import in_process
from tests.fixtures.in_process import wall_clock
from tests.fixtures.workspace import Connect, Workspace

from vya_backupdb.domain.errors import RetentionFrozen
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.dumper.words import Speaker, pin

HOURS = (timedelta(hours=2), timedelta(hours=-2))


def jumping(after: int, by: timedelta) -> tuple[Callable[[], datetime], list[datetime]]:
    """Return a clock that has jumped from its reading number `after` (from 0) on, and what it was read to be."""
    readings: list[datetime] = []

    def clock() -> datetime:
        readings.append(wall_clock() + (by if len(readings) >= after else timedelta()))
        return readings[-1]

    return clock, readings


@pytest.mark.parametrize("by", HOURS)
def test_a_backup_is_named_and_dated_by_the_servers_clock(
    workspace: Workspace, database: str, connect: Connect, by: timedelta
) -> None:
    """Ours is compared with it, and is used for reports; no jump of it shows in what is kept."""
    with connect(database) as connection:
        connection.execute("TRUNCATE item")
    for after in range(100):
        clock, readings = jumping(after, by)
        began = wall_clock()
        report = in_process.backup(in_process.session(workspace, clock=clock), f"run-{after}", database)
        ended = wall_clock()
        assert report.exit_code == ExitCode.OK
        newest = in_process.session(workspace).tree.backups(database)[-1].metadata
        assert newest is not None
        assert began - timedelta(seconds=5) < newest.backup_info.timestamp < ended + timedelta(seconds=5)
        assert 0 <= newest.backup_info.duration_seconds < (ended - began).total_seconds() + 1
        if len(readings) <= after:
            break
    assert after > 2
    assert len({stored.id for stored in in_process.session(workspace).tree.backups(database)}) == after + 1
    workspace.assert_tidy()


@pytest.mark.parametrize("by", HOURS)
def test_no_jump_deletes_what_a_pin_still_holds(workspace: Workspace, database: str, by: timedelta) -> None:
    """Either the jump is seen by the server's clock, and nothing is deleted, or the plan goes by that clock."""
    workspace.config["retention"] = {"strategy": "gfs", "daily_keep": 1, "minimum": 1}
    tree = in_process.session(workspace).tree
    in_process.backup(in_process.session(workspace), "pinned", database)
    (pinned,) = tree.backups(database)
    pin(tree, pinned.id, until=wall_clock() + timedelta(hours=1), speaker=Speaker("test", wall_clock(), "kept"))
    in_process.backup(in_process.session(workspace), "other", database)
    in_process.backup(in_process.session(workspace), "newest", database)
    frozen = 0
    for after in range(100):
        clock, readings = jumping(after, by)
        try:
            in_process.prune(in_process.session(workspace, clock=clock), f"prune-{after}")
        except RetentionFrozen as error:
            assert "clock" in error.message  # noqa: PT017 - some do not raise
            frozen += 1
        left = [stored.id for stored in tree.backups(database)]
        assert pinned.id in left, f"reading {after}"
        assert len(left) >= 2
        if len(readings) <= after:
            break
        if len(left) == 2:  # there is to be something to delete each time
            in_process.backup(in_process.session(workspace), f"newest-{after}", database)
    assert frozen > 0
    assert after > frozen

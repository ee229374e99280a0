"""Power loss at any moment: no metadata that a disk may hold lacks its data, and nobody was told of what is not there.

The order of what the real code asked of the kernel is recorded; each state that a disk may be in afterwards is made,
looked at as a reader does, recovered as the next run does, and looked at again.
"""

import shutil
import sys
from pathlib import Path

import pytest
from tests.fixtures import in_process, power_stories
from tests.fixtures.power_loss import Disk, State, write_state
from tests.fixtures.power_stories import CLAIM, EVERY, NOTED, STORIES, tree_of
from tests.fixtures.tracing import Call, calls, record
from tests.fixtures.workspace import PROGRAM, Workspace
from tests.unit.storage.support import CAN_DENY, assert_whole, tree

from vya_backupdb.domain.config import StorageConfig
from vya_backupdb.domain.ids import RunId
from vya_backupdb.storage.tree import Tree

pytestmark = pytest.mark.skipif(not CAN_DENY, reason="power loss is NOT tested: no seccomp filter for this machine")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, list[Call], dict[str, Disk]]":
    """All stories told once: where, what was asked of the kernel, and the disks as they were before."""
    folder = tmp_path_factory.mktemp("power")
    power_stories.prepare(folder)
    disks = {name: Disk(power_stories.place_of(folder, name)) for name in EVERY}
    environment = {"PYTHONPATH": ":".join(sys.path)}
    argv = (sys.executable, "-m", "tests.fixtures.power_stories", str(folder))
    assert record(argv, folder / "log", cwd=Path(__file__).parents[2], environment=environment) == 0
    return folder, list(calls(folder / "log")), disks


@pytest.mark.parametrize("name", STORIES)
def test_every_state_after_a_power_loss_is_whole(
    told: "tuple[Path, list[Call], dict[str, Disk]]", memory: Path, name: str
) -> None:
    folder, made, disks = told
    story, disk = STORIES[name], disks[name]
    after = _seen(power_stories.place_of(folder, name))
    before = _seen_in(memory / "before", disk.surely())
    assert (len(before), len(before & after), len(after - before)) == (story.before, story.stay, story.new)
    counts = set()
    for number, state in disk.states(made):
        found = _seen_in(memory / "state", state)
        assert before & after <= found <= before | after, f"after change {number}"
        counts.add(len(found))
    assert counts == set(range(min(len(before), len(after)), max(len(before), len(after)) + 1)), "not all was reached"
    assert _seen_in(memory / "end", disk.surely()) == after, "was told of, and is not on the disk"


def test_what_was_noted_is_whole_or_not_there_and_at_the_end_there(
    told: "tuple[Path, list[Call], dict[str, Disk]]", memory: Path
) -> None:
    """Pins, claims and journals are replaced in one step, and are durable before anything is done on their word."""
    _folder, made, disks = told
    seen = set()
    for _number, state in disks[NOTED].states(made):
        seen.add(_noted_in(memory / "state", state))
    assert len(seen) > 4
    assert _noted_in(memory / "end", disks[NOTED].surely()) == (1, "loading", ("loading",))


def _noted_in(place: Path, state: State) -> tuple[int, str | None, tuple[str, ...]]:
    """Return the number of pins, the phase of the claim, and those of journals; any damaged file raises."""
    write_state(place, state)
    try:
        one = tree(tree_of(place))
        claim = one.ledger().look_up(CLAIM)
        journals = tuple(str(journal.phase) for journal in one.undertakings().all())
        return len(one.notebook().read().pins), str(claim.phase) if claim else None, journals
    finally:
        shutil.rmtree(place)


def test_a_run_never_tells_of_a_backup_that_is_not_on_the_disk(
    workspace: Workspace, database: str, memory: Path, tmp_path: Path
) -> None:
    """The whole program, retention after the backup: what a report on the disk calls a success is there with it."""
    workspace.config["retention"] = {"strategy": "gfs", "daily_keep": 1, "minimum": 1}
    in_process.backup(in_process.session(workspace), "earlier", database)
    disk = Disk(workspace.backups)
    made: list[Call] = []
    config = {"VYA_BACKUPDB_CONFIG": str(workspace.write_config())}
    for number, command in enumerate((("backup", "--database", database), ("retention", "apply"))):
        log = tmp_path / f"log-{number}"
        argv = (*PROGRAM, *command)
        assert record(argv, log, cwd=workspace.root, environment=workspace.environ(config)) == 0
        made += calls(log)
    (last,) = (stored.id for stored in in_process.session(workspace).tree.backups())
    for _number, state in disk.states(made):
        write_state(memory / "state", state)
        one = Tree(StorageConfig(base_path=str(memory / "state"))).instance("db", "demo")
        found = {stored.id: stored.problem for stored in one.backups()}
        assert set(found.values()) == {None}
        told = {row.backup_id for report in one.runs() for row in report.databases if row.status == "success"}
        assert last in found or last not in told
        shutil.rmtree(memory / "state")
    write_state(memory / "end", disk.surely())
    one = Tree(StorageConfig(base_path=str(memory / "end"))).instance("db", "demo")
    assert [stored.id for stored in one.backups()] == [last]
    assert {report.operation for report in one.runs()} == {"backup", "retention"}


def _seen_in(place: Path, state: State) -> set[str]:
    """Make `state` at `place`, look, let the next run recover, look again, and remove it; return what was seen."""
    write_state(place, state)
    try:
        seen = _seen(place)
        base = tree_of(place)
        one = tree(base)
        with one.lock_run(RunId("after")):
            one.claim("ns/shop", "server-1")
            one.recover()
        assert {stored.id for stored in assert_whole(base)} == seen
    finally:
        shutil.rmtree(place)
    return seen


def _seen(place: Path) -> set[str]:
    """Return the ids of the backups that a reader finds there. None may be damaged, and each must read to its end."""
    one = tree(tree_of(place))
    found = [*one.backups(), *one.users()]
    assert [stored.problem for stored in found] == [None] * len(found)
    for stored in found:
        one.verify(stored)
    return {stored.id for stored in found}

"""Power loss at any moment: no metadata that a disk may hold lacks its data, and nobody was told of what is not there.

The order of what the real code asked of the kernel is recorded; each state that a disk may be in afterwards is made,
looked at as a reader does, recovered as the next run does, and looked at again.
"""

import shutil
import sys
from pathlib import Path

import pytest
from tests.fixtures import power_stories
from tests.fixtures.power_loss import Disk, State, write_state
from tests.fixtures.power_stories import STORIES, tree_of
from tests.fixtures.tracing import Call, calls, record
from tests.unit.storage.support import CAN_DENY, assert_whole, tree

from vya_backupdb.domain.ids import RunId

pytestmark = pytest.mark.skipif(not CAN_DENY, reason="power loss is NOT tested: no seccomp filter for this machine")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, list[Call], dict[str, Disk]]":
    """All stories told once: where, what was asked of the kernel, and the disks as they were before."""
    folder = tmp_path_factory.mktemp("power")
    power_stories.prepare(folder)
    disks = {name: Disk(power_stories.place_of(folder, name)) for name in STORIES}
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

"""A restore runs once, however often it is asked for, and whatever killed it."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from tests.unit.storage.support import HOST, INSTANCE, NOW, be_the_child, fork, killer, later, tree

from vya_backupdb.domain.errors import AlreadyExecuted
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.report import RunReport
from vya_backupdb.storage.ledger import Phase

CLAIM, UID, RUN = "ns.bring-back.0123456789ab", "uid-1", RunId("bring-back-r-1")
RESULT = RunReport(operation="restore", run=RUN, reason="Succeeded", message="done", exit_code=0, started_at=NOW)


def test_the_same_job_may_start_again_until_the_point_of_no_return(tmp_path: Path) -> None:
    first = tree(tmp_path).ledger().claim(CLAIM, UID, RUN, now=NOW)
    assert not first.is_restart
    first.advance("loading")
    again = tree(tmp_path).ledger().claim(CLAIM, UID, RUN, now=later(60))
    assert again.is_restart
    assert again.phase is Phase.LOADING
    again.advance(Phase.SWAPPING)
    with pytest.raises(AlreadyExecuted, match="this request changed its target, and was cut short"):
        tree(tmp_path).ledger().claim(CLAIM, UID, RUN, now=later(120))
    again.finish(RESULT)
    assert again.result == RESULT
    with pytest.raises(AlreadyExecuted, match="this request was restored"):
        tree(tmp_path).ledger().claim(CLAIM, UID, RUN, now=later(120))
    entry = tree(tmp_path).ledger().look_up(CLAIM)
    assert entry is not None
    assert entry.result == RESULT
    assert entry.claimed_at == NOW


def test_a_swap_that_was_undone_may_start_again_by_the_same_job_only(tmp_path: Path) -> None:
    tree(tmp_path).ledger().claim(CLAIM, UID, RUN, now=NOW).advance(Phase.SWAPPING)
    ledger = tree(tmp_path).ledger()
    assert ledger.resume(CLAIM, "uid-2", RUN) is None
    assert ledger.resume(CLAIM, UID, RunId("another")) is None
    assert ledger.resume("ns.other.1", UID, RUN) is None
    state = ledger.resume(CLAIM, UID, RUN)
    assert state is not None
    state.revert()
    assert tree(tmp_path).ledger().claim(CLAIM, UID, RUN, now=NOW).phase is Phase.LOADING
    state.finish(RESULT)
    state.revert()
    assert ledger.resume(CLAIM, UID, RUN) is None


@pytest.mark.parametrize(("uid", "run"), [("uid-2", RUN), (UID, RunId("another")), ("uid-2", RunId("another"))])
def test_anybody_else_is_told_what_happened(tmp_path: Path, uid: str, run: RunId) -> None:
    tree(tmp_path).ledger().claim(CLAIM, UID, RUN, now=NOW)
    with pytest.raises(AlreadyExecuted, match=f"claimed 2026-03-29T02:30:15.* by {RUN}") as caught:
        tree(tmp_path).ledger().claim(CLAIM, uid, run, now=later(1))
    assert "another name" in caught.value.hint


def test_phases_only_go_forward(tmp_path: Path) -> None:
    state = tree(tmp_path).ledger().claim(CLAIM, UID, RUN, now=NOW)
    state.advance(Phase.SWAPPING)
    with pytest.raises(ValueError, match="back to"):
        state.advance(Phase.LOADING)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[]", b'{"version": 2}'])
def test_a_damaged_entry_counts_as_executed(tmp_path: Path, damage: bytes) -> None:
    ledger = tree(tmp_path).ledger()
    ledger.claim(CLAIM, UID, RUN, now=NOW)
    (tmp_path / HOST / INSTANCE / ".restores" / CLAIM).write_bytes(damage)
    with pytest.raises(AlreadyExecuted, match="damaged"):
        ledger.claim(CLAIM, UID, RUN, now=NOW)
    with pytest.raises(AlreadyExecuted, match="damaged"):
        ledger.look_up(CLAIM)


def test_other_claims_are_other_claims(tmp_path: Path) -> None:
    ledger = tree(tmp_path).ledger()
    for name in ("a.b.1", "a.b.2", "../../x", "a/b"):
        assert ledger.look_up(name) is None
        ledger.claim(name, UID, RUN, now=NOW)
    assert [path.name for path in tmp_path.iterdir()] == [HOST]
    assert len(list((tmp_path / HOST / INSTANCE / ".restores").iterdir())) == 4


def test_of_many_at_once_one_claims_it(tmp_path: Path) -> None:
    tree(tmp_path).claim("ns/shop", None)
    children = []
    for number in range(6):
        child = os.fork()
        if child == 0:
            be_the_child(partial(tree(tmp_path).ledger().claim, CLAIM, f"uid-{number}", RUN, now=NOW))
        children.append(child)
    codes = [os.waitpid(child, 0)[1] for child in children]
    assert codes.count(0) == 1


def test_killed_at_each_step_it_is_claimed_whole_or_not_at_all(tmp_path: Path) -> None:
    for number in range(1, 50):
        base = tmp_path / str(number)

        def child(base: Path = base, number: int = number) -> None:
            tree(base, step=killer(number)).ledger().claim(CLAIM, UID, RUN, now=NOW).advance(Phase.SWAPPING)

        status = fork(child)
        assert status in {0, signal.SIGKILL}
        ledger = tree(base).ledger()
        entry = ledger.look_up(CLAIM)
        assert entry is None or entry.run == RUN
        if status == 0:
            assert entry is not None
            assert entry.phase is Phase.SWAPPING
            assert number > 3
            return
    raise AssertionError("the story never ended")

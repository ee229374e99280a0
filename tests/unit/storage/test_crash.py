"""Killed after every single step: each backup is whole or not at all, and earlier ones are intact."""

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.storage.support import (
    CAN_DENY,
    HOST,
    INSTANCE,
    NOW,
    assert_whole,
    files_of,
    fork,
    killer,
    later,
    metadata,
    run_once,
    tree,
    without_links,
    without_links_and_noreplace,
)

from vya_backupdb.domain.ids import RunId
from vya_backupdb.storage.compress import GzipWriter
from vya_backupdb.storage.volume import Step


def _nothing() -> None:
    """The volume as it is."""


WAYS: dict[str, Callable[[], None]] = {"link": _nothing}
if CAN_DENY:
    WAYS["rename"] = lambda: without_links(errno.EPERM)
    WAYS["reserve"] = lambda: without_links_and_noreplace(errno.EOPNOTSUPP)
way = pytest.mark.parametrize("way", WAYS)


def test_the_fallbacks_are_tested() -> None:
    if not CAN_DENY:
        pytest.skip("volumes without hard links are NOT tested: no seccomp filter for this machine")


def _prepare(base: Path) -> Path:
    """An earlier backup, and a foreign dump that waits for adoption under a name that a backup could want."""
    run_once(tree(base), "chinook", later(-60), run="earlier")
    orphan = base / HOST / INSTANCE / "chinook" / "2026-03-29" / "chinook_20260329_023020_full.sql.gz"
    orphan.write_bytes(b"foreign")
    return orphan


def _publish(base: Path, step: Step) -> None:
    run_once(tree(base, step=step), "chinook", run="crashed")


def _publish_users(base: Path, step: Step) -> None:
    run_once(tree(base, step=step), None, run="crashed")


def _publish_beside_an_orphan(base: Path, step: Step) -> None:
    run_once(tree(base, step=step), "chinook", later(5), run="crashed")


def _publish_into_a_race(base: Path, step: Step) -> None:
    """Two backups of one second: the slower one finds its name taken at the very end, and takes the next."""
    one = tree(base, step=step)
    with one.lock_run(RunId("crashed")), one.open("chinook", later(0), RunId("crashed")) as slow:
        with GzipWriter(slow, level=1) as gzip:
            gzip.write(b"INSERT INTO artist VALUES (1, 'AC/DC');\n")
        slow.finish()
        run_once(tree(base), "chinook", run="faster")
        assert slow.publish(metadata("chinook", run="crashed")).id.endswith("_full_2")


def _delete(base: Path, step: Step) -> None:
    one = tree(base, step=step)
    one.delete(one.backups()[0], now=NOW)


STORIES = {
    "publish": (_publish, {0, 1}),
    "users": (_publish_users, {0, 1}),
    "orphan": (_publish_beside_an_orphan, {0, 1}),
    "race": (_publish_into_a_race, {0, 1, 2}),
    "delete": (_delete, {-1}),  # the first step already ends the backup
}


def _recover(base: Path, run: str = "next") -> None:
    one = tree(base)
    with one.lock_run(RunId(run)):
        one.claim("ns/shop", "server-1")
        one.recover()


@way
@pytest.mark.parametrize("story", STORIES)
def test_killed_after_each_step(memory: Path, way: str, story: str) -> None:
    tell, outcomes = STORIES[story]
    seen = set()
    for number in range(1, 100):
        base = memory / str(number)
        base.mkdir()
        orphan = _prepare(base)

        def child(base: Path = base, number: int = number) -> None:
            WAYS[way]()
            tell(base, killer(number))

        status = fork(child)
        assert status in {0, signal.SIGKILL}
        _recover(base)
        backups = assert_whole(base, strangers=[str(orphan.relative_to(base))])
        assert orphan.read_bytes() == b"foreign"
        change = len(backups) - 1
        assert change in outcomes, f"after step {number}"
        seen.add(change)
        if status == 0:
            assert number > 5
            assert change == (min(outcomes) if story == "delete" else max(outcomes))
            assert seen == outcomes, "the kills did not reach both sides of the commit"
            return
    raise AssertionError("the story never ended")


@way
@pytest.mark.parametrize("story", ["publish", "delete"])
def test_recovery_killed_after_each_of_its_steps(memory: Path, way: str, story: str) -> None:
    tell, outcomes = STORIES[story]
    for number in range(1, 100):
        template = memory / f"crash-{number}"
        template.mkdir()
        orphan = _prepare(template)

        def child(base: Path = template, number: int = number) -> None:
            WAYS[way]()
            tell(base, killer(number))

        ended = fork(child) == 0
        for step in range(1, 100):
            base = memory / f"crash-{number}-{step}"
            shutil.copytree(template, base, copy_function=_copy_links(template, base))

            def recoverer(base: Path = base, step: int = step) -> None:
                WAYS[way]()
                one = tree(base, step=killer(step))
                with one.lock_run(RunId("recoverer")):
                    one.recover()

            status = fork(recoverer)
            _recover(base)
            assert len(assert_whole(base, strangers=[str(orphan.relative_to(template))])) - 1 in outcomes
            if status == 0:
                break
        if ended:
            return
    raise AssertionError("the story never ended")


def _copy_links(source: Path, target: Path) -> Callable[[str, str], object]:
    """Return a copy function that keeps hard links: two names of one file must stay two names of one file."""
    copies: dict[int, str] = {}

    def copy(old: str, new: str) -> object:
        inode = Path(old).stat().st_ino
        if inode in copies:
            os.link(copies[inode], new)
            return new
        copies[inode] = new
        return shutil.copy2(old, new)

    return copy


def test_recovery_leaves_what_nobody_claims(tmp_path: Path) -> None:
    run_once(tree(tmp_path), "chinook")
    directory = tmp_path / HOST / INSTANCE / "chinook" / "2026-03-29"
    strangers = {
        "chinook_20200101_000000_full.sql.gz": b"an orphan without metadata",
        ".chinook_20200101_000000_full.sql.gz.partial": b"not our form",
        ".hidden": b"",
        "notes.txt": b"",
    }
    for name, data in strangers.items():
        (directory / name).write_bytes(data)
    before = files_of(tmp_path)
    assert tree(tmp_path).recover() == ()
    assert files_of(tmp_path) == before

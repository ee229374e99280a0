"""Pins on the volume: set before a deletion they prevent it, a crash loses none, a damaged file deletes nothing."""

import random
import shutil
import signal
import threading
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.unit.storage.support import HOST, INSTANCE, NOW, files_of, fork, killer, later, run_once, tree

from vya_backupdb.domain.errors import BackupCorrupt, BackupPinned, ConfigurationError, NotFound, StorageUnavailable
from vya_backupdb.domain.notes import Notes, PinNote
from vya_backupdb.domain.retention import Policy, plan
from vya_backupdb.dumper import words
from vya_backupdb.storage.tree import InstanceTree, StoredBackup

SPEAKER = words.Speaker("ada", NOW, "audit")


def pin(backup: str, *, until: datetime | None = None) -> PinNote:
    return PinNote(backup=backup, reason="audit", until=until, by="ada", at=NOW)


def notes_file(base: Path) -> Path:
    return base / HOST / INSTANCE / ".notes.json"


def test_a_pinned_backup_is_not_deleted_and_an_unpinned_one_is(tmp_path: Path) -> None:
    one = tree(tmp_path)
    stored = run_once(one, "chinook")
    words.pin(one, stored.id, until=None, speaker=SPEAKER)
    before = files_of(tmp_path)
    with pytest.raises(BackupPinned, match="pinned: audit"):
        one.delete(stored, now=NOW)
    assert files_of(tmp_path) == before
    assert words.unpin(one, stored.id).by == "ada"
    one.delete(stored, now=NOW)
    assert one.backups() == []


def test_a_pin_ends_when_it_says(tmp_path: Path) -> None:
    one = tree(tmp_path)
    stored = run_once(one, "chinook")
    words.pin(one, stored.id, until=later(3600), speaker=SPEAKER)
    with pytest.raises(BackupPinned):
        one.delete(stored, now=later(3599))
    one.delete(stored, now=later(3600))
    assert one.backups() == []


def test_what_is_not_there_cannot_be_pinned(tmp_path: Path) -> None:
    one = tree(tmp_path)
    stored = run_once(one, "chinook")
    for name in ("chinook_20260101_000000_full", "../../etc/passwd", "users_20260101_000000", "", stored.id + "_2"):
        with pytest.raises(NotFound):
            words.pin(one, name, until=None, speaker=SPEAKER)
    with pytest.raises(ConfigurationError, match="is past"):
        words.pin(one, stored.id, until=later(-1), speaker=SPEAKER)
    with pytest.raises(ConfigurationError, match="--reason is empty"):
        words.pin(one, stored.id, until=None, speaker=words.Speaker("ada", NOW, " "))
    with pytest.raises(NotFound, match="is not pinned"):
        words.unpin(one, stored.id)
    assert not notes_file(tmp_path).exists()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": 1, "pins": []}', b"\0" * 4096])
def test_damaged_notes_are_not_written_over_and_nothing_is_deleted(tmp_path: Path, content: bytes) -> None:
    one = tree(tmp_path)
    stored = run_once(one, "chinook")
    notes_file(tmp_path).write_bytes(content)
    with pytest.raises(StorageUnavailable, match="nobody knows which backups are pinned"):
        one.delete(stored, now=NOW)
    with pytest.raises(StorageUnavailable, match="damaged"):
        words.pin(one, stored.id, until=None, speaker=SPEAKER)
    assert notes_file(tmp_path).read_bytes() == content
    assert [found.problem for found in one.backups()] == [None]
    assert any("damaged" in text for text in one.notices)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    one = tree(tmp_path / "backups")
    stored = run_once(one, "chinook")
    outside = tmp_path / "outside.json"
    outside.write_bytes(Notes().to_json())
    notes_file(tmp_path / "backups").symlink_to(outside)
    with pytest.raises(StorageUnavailable):
        one.delete(stored, now=NOW)


def test_killed_at_any_step_a_pin_is_there_whole_or_not_at_all(memory: Path) -> None:
    seen = set()
    for number in range(1, 20):
        base = memory / str(number)
        base.mkdir()
        stored = run_once(tree(base), "chinook")
        words.pin(tree(base), stored.id, until=None, speaker=SPEAKER)

        def child(base: Path = base, number: int = number) -> None:
            one = tree(base, step=killer(number))
            one.notebook().change(lambda notes: notes.with_pin(pin("other")))

        status = fork(child)
        pins = {note.backup for note in tree(base).notebook().read().pins}
        assert pins in ({stored.id}, {stored.id, "other"})
        seen.add(len(pins))
        shutil.rmtree(base)
        if status == 0:
            break
        assert status == signal.SIGKILL
    assert 2 in seen


def test_known_damage_makes_a_backup_corrupt_until_it_reads_well_again(tmp_path: Path) -> None:
    one = tree(tmp_path)
    stored = run_once(one, "chinook")
    path = str(stored.files.data)
    one.notebook().change(lambda notes: notes.after_check(path, "the checksum is not that of its metadata", NOW))
    (found,) = one.backups()
    assert found.problem is not None
    assert "found damaged on 2026-03-29" in found.problem
    with pytest.raises(BackupCorrupt):
        one.find("chinook", now=NOW)
    with pytest.raises(BackupCorrupt):
        one.delete(stored, now=NOW)
    one.notebook().change(lambda notes: notes.after_check(path, "", NOW))
    assert one.find("chinook", now=NOW).id == stored.id


def _apply(one: InstanceTree, doomed: list[StoredBackup]) -> list[str]:
    """Delete as `retention apply` does; return what was left alone."""
    left = []
    for stored in doomed:
        try:
            one.delete(stored, now=NOW)
        except BackupPinned:
            left.append(stored.id)
    return left


@pytest.mark.parametrize("seed", range(6))
def test_nothing_goes_that_the_plan_did_not_name_whatever_happens_meanwhile(memory: Path, seed: int) -> None:
    """On a real file system: while a plan is applied, others pin, back up and list."""
    chance = random.Random(seed)
    one = tree(memory)
    for days in range(14):
        run_once(one, chance.choice(["chinook", "a b", "../x"]), NOW - timedelta(days=days), run=f"old-{days}")
    before = {stored.id: stored for stored in one.backups()}
    summaries = [stored.summary(one.layout) for stored in before.values()]
    policy = Policy(daily=chance.randint(0, 3), weekly=0, monthly=0)
    decided = plan(summaries, policy=policy, schedule=None, time_zone=ZoneInfo("UTC"), now=NOW)
    named = [backup.id for backup in decided.deletions]
    pinned: list[str] = []
    start = threading.Barrier(3)

    def pinner() -> None:
        start.wait()
        for name in chance.sample(named, len(named) // 2):
            try:
                words.pin(tree(memory), name, until=None, speaker=SPEAKER)
                pinned.append(name)
            except NotFound:
                continue

    def writer() -> None:
        start.wait()
        for days in range(5):
            run_once(tree(memory), "chinook", NOW - timedelta(days=days, seconds=9), run=f"new-{days}")

    others = [threading.Thread(target=story) for story in (pinner, writer)]
    for other in others:
        other.start()
    start.wait()
    left = _apply(one, [before[name] for name in named])
    for other in others:
        other.join()
    after = {stored.id for stored in tree(memory).backups()}
    assert set(before) - after == set(named) - set(left)
    assert set(pinned) <= after
    assert len(after - set(before)) == 5
    assert len(named) == len(before) - len(decided.kept) > 0

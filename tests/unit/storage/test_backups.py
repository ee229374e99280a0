"""Choosing, reading, verifying and deleting what lies there."""

import gzip
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.storage.support import HOST, INSTANCE, NOW, SQL, later, metadata, run_once, tree

from vya_backupdb.domain.errors import (
    BackupCorrupt,
    NotFound,
    StorageUnavailable,
)
from vya_backupdb.domain.ids import RunId
from vya_backupdb.storage.compress import gunzip

RUN = RunId("run-1")


def test_find(base: Path) -> None:
    one = tree(base)
    first = run_once(one, "chinook", later(0))
    second = run_once(one, "chinook", later(3600))
    future = run_once(one, "chinook", later(90_000))
    now = NOW + timedelta(hours=2)
    assert one.find("chinook", now=now) == second
    assert one.find("chinook", first.id, now=now) == first
    assert one.find("chinook", f"{first.id}.sql.gz", now=now) == first
    assert one.find("chinook", future.id, now=now) == future
    assert one.find("chinook", before=later(3600), now=now) == first
    assert one.find("chinook", now=now + timedelta(days=2)) == future
    with pytest.raises(NotFound, match="there is no backup 'x' of the database 'chinook'"):
        one.find("chinook", "x", now=now)
    with pytest.raises(NotFound, match="before 2026"):
        one.find("chinook", before=later(0), now=now)


def test_latest_passes_over_the_corrupt_and_says_so_if_nothing_else_is_there(base: Path) -> None:
    one = tree(base)
    first = run_once(one, "chinook", later(0))
    second = run_once(one, "chinook", later(60))
    second.path.write_bytes(b"short")
    assert one.find("chinook", now=later(100)) == first
    with pytest.raises(BackupCorrupt, match="has 5 bytes, its metadata says"):
        one.find("chinook", second.id, now=later(100))
    first.path.unlink()
    with pytest.raises(BackupCorrupt, match="no sound backup of the database 'chinook'"):
        one.find("chinook", now=later(100))


def test_a_safety_dump_is_never_latest(base: Path) -> None:
    one = tree(base)
    first = run_once(one, "chinook")
    with one.lock_run(RUN), one.open("chinook", later(60), RUN) as pending:
        pending.write(b"x")
        pending.finish()
        told = metadata("chinook", later(60))
        assert told.run is not None
        safety = pending.publish(told.model_copy(update={"run": told.run.model_copy(update={"reason": "pre-restore"})}))
    assert one.find("chinook", now=later(100)) == first
    assert one.find("chinook", safety.id, now=later(100)) == safety


def test_read_and_verify(base: Path) -> None:
    one = tree(base)
    stored = run_once(one, "chinook")
    assert b"".join(one.read(stored)) == SQL
    assert one.verify(stored) == SQL[-65536:]


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    one = tree(tmp_path)
    stored = run_once(one, "chinook")
    content = stored.path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        stored.path.write_bytes(damaged)
        with pytest.raises(BackupCorrupt):
            one.verify(stored)
    for damaged_ in (content[:-1], content + b"\0", content[: len(content) // 2], b"", content + content):
        stored.path.write_bytes(damaged_)
        with pytest.raises(BackupCorrupt):
            one.verify(stored)
    stored.path.unlink()
    with pytest.raises(NotFound, match="is gone"):
        one.verify(stored)


def test_swapped_files_are_corrupt(base: Path) -> None:
    one = tree(base)
    first, second = run_once(one, "chinook"), run_once(one, "north")
    shutil.copy(first.path, second.path)
    for part in (".metadata.json", ".sql.gz.sha256"):
        shutil.copy(first.path.parent / f"{first.id}{part}", second.path.parent / f"{second.id}{part}")
    assert [stored.problem for stored in one.backups("north")] == [f"the metadata is that of {first.path.name!r}"]


@pytest.mark.parametrize("damage", [None, b"", b"0" * 64 + b"  x\n", b"\xff" * 100_000])
def test_the_checksum_file_is_named_when_it_is_wrong(base: Path, damage: bytes | None) -> None:
    one = tree(base)
    stored = run_once(one, "chinook")
    companion = stored.path.parent / f"{stored.path.name}.sha256"
    if damage is None:
        companion.unlink()
    else:
        companion.write_bytes(damage)
    with pytest.raises((BackupCorrupt, StorageUnavailable), match=r"\.sha256"):
        one.verify(stored)


def test_the_uncompressed_size_is_checked(base: Path) -> None:
    one = tree(base)
    with one.lock_run(RUN), one.open("chinook", NOW, RUN) as pending:
        pending.write(gzip.compress(SQL))
        pending.finish()
        assert b"".join(gunzip(pending.reread(), source="x")) == SQL
        told = metadata("chinook").model_copy(update={"uncompressed_bytes": len(SQL) + 1})
        stored = pending.publish(told)
    with pytest.raises(BackupCorrupt, match="inflates to"):
        one.verify(stored)


def test_delete(base: Path) -> None:
    one = tree(base)
    first, second = run_once(one, "chinook", later(0)), run_once(one, "chinook", later(86400))
    one.delete(first, now=NOW)
    one.delete(first, now=NOW)
    assert one.backups() == [second]
    assert not first.path.parent.exists()
    one.delete(second, now=NOW)
    assert sorted(path.name for path in (base / HOST / INSTANCE).iterdir()) == [".lock", ".owner.json", ".runs"]


def test_what_is_corrupt_or_changed_is_not_deleted(base: Path) -> None:
    one = tree(base)
    stored = run_once(one, "chinook")
    content = stored.path.read_bytes()
    stored.path.write_bytes(content[:-1])
    with pytest.raises(BackupCorrupt, match="is not deleted"):
        one.delete(stored, now=NOW)
    stored.path.write_bytes(content)
    meta = stored.path.parent / f"{stored.id}.metadata.json"
    edited = meta.read_bytes().replace(b'"duration_seconds": 1.5', b'"duration_seconds": 2.5')
    meta.write_bytes(edited)
    with pytest.raises(BackupCorrupt, match="was edited"):
        one.delete(stored, now=NOW)
    companion = stored.path.with_name(f"{stored.path.name}.sha256")
    companion.write_bytes(companion.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(BackupCorrupt, match="not the backup that was listed"):
        one.delete(stored, now=NOW)
    assert meta.read_bytes() == edited

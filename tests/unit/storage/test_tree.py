"""The tree as its users see it: names, modes, owners, locks, choosing, deleting; on a disk and on a tmpfs."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.unit.storage.support import HOST, INSTANCE, NOW, SQL, assert_whole, metadata, report, run_once, tree

from vya_backupdb.domain.config import StorageConfig
from vya_backupdb.domain.errors import (
    BackupCorrupt,
    NoSpace,
    NotFound,
    StorageUnavailable,
)
from vya_backupdb.domain.ids import RunId
from vya_backupdb.storage.space import ensure_free, space
from vya_backupdb.storage.tree import Tree

RUN = RunId("run-1")


def test_one_backup(base: Path) -> None:
    stored = run_once(tree(base), "chinook")
    directory = base / HOST / INSTANCE / "chinook" / "2026-03-29"
    assert sorted(path.name for path in directory.iterdir()) == [
        "chinook_20260329_023015_full.metadata.json",
        "chinook_20260329_023015_full.sql.gz",
        "chinook_20260329_023015_full.sql.gz.sha256",
    ]
    assert stored.path == directory / "chinook_20260329_023015_full.sql.gz"
    assert subprocess.run(["zcat", stored.path], capture_output=True, check=True).stdout == SQL
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", f"{stored.path.name}.sha256"], cwd=directory, capture_output=True
    )
    assert done.returncode == 0
    on_disk = json.loads((directory / f"{stored.id}.metadata.json").read_bytes())
    assert on_disk["file_info"]["size_bytes"] == stored.path.stat().st_size
    assert [found.metadata for found in tree(base).backups()] == [stored.metadata]
    assert len(assert_whole(base)) == 1


def test_md5_and_users(base: Path) -> None:
    one = tree(base, checksum_algorithm="md5")
    stored = run_once(one, None)
    assert stored.id == "users_20260329_023015"
    assert (
        subprocess.run(
            ["md5sum", "--strict", "-c", f"{stored.path.name}.sha256"], cwd=stored.path.parent, capture_output=True
        ).returncode
        == 0
    )
    assert one.backups() == []
    assert [found.id for found in one.users()] == [stored.id]
    assert one.find(None, now=NOW).id == stored.id


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_modes_do_not_depend_on_the_umask(base: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        run_once(tree(base, file_mode=mode), "chinook")
        tree(base, file_mode=mode).save_run(report("run-1"))
    finally:
        os.umask(before)
    for path in base.rglob("*"):
        if path.name.endswith(".lock"):
            continue
        expected = 0o755 if path.is_dir() else mode
        assert path.stat().st_mode & 0o7777 == expected, path
    assert base.stat().st_mode & 0o7777 == 0o755


def test_the_group_of_the_volume_is_inherited(base: Path) -> None:
    base.mkdir()
    base.chmod(0o2775)
    run_once(tree(base), "chinook")
    assert (base / HOST / INSTANCE / "chinook").stat().st_mode & 0o7777 == 0o2755


def test_a_taken_second_gets_the_next_number(base: Path) -> None:
    one = tree(base)
    ids = [run_once(one, "chinook", run=f"run-{number}").id for number in range(3)]
    assert ids == [f"chinook_20260329_023015_full{suffix}" for suffix in ("", "_2", "_3")]
    assert len(assert_whole(base)) == 3
    for stored in one.backups():
        assert stored.metadata is not None
        assert stored.metadata.file_info is not None
        assert stored.metadata.file_info.filename == stored.path.name
        lines = stored.path.with_name(f"{stored.path.name}.sha256").read_text().splitlines()
        assert [line[64:] for line in lines] == [f"  {stored.path.name}", f"  {stored.id}.metadata.json"]


HOSTILE = [
    "../../x",
    "a/b",
    "..",
    ".",
    "-rf",
    ".hidden",
    "new\nline",
    "Ä" * 64,
    "x" * 250,
    "users_20260329_023015",
    "%41",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leaves_the_tree(tmp_path: Path, name: str) -> None:
    base = tmp_path / "backups"
    one = tree(base)
    stored = run_once(one, name)
    assert stored.path.resolve().is_relative_to((base / HOST / INSTANCE).resolve())
    assert [found.database for found in one.backups()] == [name]
    assert one.find(name, now=NOW).id == stored.id
    assert [path.name for path in tmp_path.iterdir()] == ["backups"]
    assert len(assert_whole(base)) == 1


@pytest.mark.parametrize(
    "structure", ["{db_id}/{date}/{hostname}/{db_name}", "{db_id}/all/{db_name}", "x/{db_id}/{db_name}/y/{date}"]
)
def test_other_structures(tmp_path: Path, structure: str) -> None:
    one = tree(tmp_path, structure=structure)
    run_once(one, "chinook")
    run_once(one, "other")
    assert [stored.database for stored in one.backups()] == ["chinook", "other"]
    assert [stored.database for stored in one.backups("other")] == ["other"]
    one.delete(one.backups("other")[0], now=NOW)
    assert [stored.database for stored in one.backups()] == ["chinook"]
    assert one.recover() == ()


def test_links_inside_the_tree_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    base = tmp_path / "backups"
    (base / HOST / INSTANCE).mkdir(parents=True)
    (base / HOST / INSTANCE / "chinook").symlink_to(outside)
    with pytest.raises(StorageUnavailable, match="writing into"):
        run_once(tree(base), "chinook")
    assert list(outside.iterdir()) == []
    assert tree(base).backups() == []
    (base / HOST / "other").symlink_to(outside)
    other = Tree(StorageConfig(base_path=str(base))).instance(HOST, "other")
    with pytest.raises(StorageUnavailable, match="claiming"):
        other.claim(None, None)
    assert list(outside.iterdir()) == []


def test_a_linked_data_file_is_corrupt_and_not_read(tmp_path: Path) -> None:
    stored = run_once(tree(tmp_path), "chinook")
    moved = stored.path.rename(tmp_path / "elsewhere.sql.gz")
    stored.path.symlink_to(moved)
    (found,) = tree(tmp_path).backups()
    assert found.problem is not None
    with pytest.raises((BackupCorrupt, StorageUnavailable)):
        tree(tmp_path).verify(stored)


def test_the_base_path_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "backups").symlink_to(tmp_path / "volume")
    run_once(tree(tmp_path / "backups"), "chinook")
    assert len(assert_whole(tmp_path / "volume")) == 1


def test_nothing_is_written_before_it_is_opened(tmp_path: Path) -> None:
    one = tree(tmp_path / "backups")
    assert one.backups() == []
    assert one.users() == []
    assert one.runs() == []
    assert one.run("run-1") is None
    assert one.recover() == ()
    assert one.owner() is None
    assert Tree(StorageConfig(base_path=str(tmp_path / "backups"))).instances() == []
    with pytest.raises(NotFound, match="no backup of the database 'chinook'"):
        one.find("chinook", now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_an_aborted_backup_leaves_nothing(base: Path) -> None:
    one = tree(base)
    with one.lock_run(RUN):
        with one.open("chinook", NOW, RUN) as pending:
            pending.write(b"half a dump")
        with one.open("chinook", NOW, RUN) as pending:
            pending.write(b"a whole one")
            pending.finish()
    assert not list(base.rglob("*.sql.gz*"))
    assert not list(base.rglob("*partial*"))
    assert one.notices == ()


def test_open_needs_the_lock_of_its_run(base: Path) -> None:
    with pytest.raises(RuntimeError, match="lock of run-1 is not held"):
        tree(base).open("chinook", NOW, RUN)


def test_metadata_that_is_not_of_this_backup_is_not_published(base: Path) -> None:
    one = tree(base)
    for wrong in (metadata("other"), metadata(None), metadata("chinook", status="failed", error_message="x")):
        with one.lock_run(RUN), one.open("chinook", NOW, RUN) as pending:
            pending.write(b"x")
            pending.finish()
            with pytest.raises(ValueError, match="metadata"):
                pending.publish(wrong)
    assert one.backups() == []
    assert not list(base.rglob("chinook_*"))


def test_reread_comes_from_the_file(base: Path) -> None:
    one = tree(base)
    with one.lock_run(RUN), one.open("chinook", NOW, RUN) as pending:
        pending.write(b"what was written")
        pending.finish()
        (path,) = base.rglob("*.partial-*")
        assert b"".join(pending.reread()) == b"what was written"
        path.write_bytes(b"what came back: !")
        with pytest.raises(BackupCorrupt, match="other bytes came back"):
            list(pending.reread())
    with one.lock_run(RUN), one.open("chinook", NOW, RUN) as pending:
        pending.write(b"what was written")
        pending.finish()
        (path,) = base.rglob("*.partial-*")
        path.write_bytes(b"what came back!!")
        with pytest.raises(BackupCorrupt, match="other bytes came back"):
            pending.publish(metadata("chinook"))
    assert one.backups() == []


def test_a_file_that_became_shorter_is_noticed(base: Path) -> None:
    one = tree(base)
    with one.lock_run(RUN), one.open("chinook", NOW, RUN) as pending:
        pending.write(b"what was written")
        (path,) = base.rglob("*.partial-*")
        os.truncate(path, 3)
        with pytest.raises(StorageUnavailable, match="syncing"):
            pending.finish()


def test_steps_out_of_order_are_refused(base: Path) -> None:
    one = tree(base)
    with one.lock_run(RUN), one.open("chinook", NOW, RUN) as pending:
        with pytest.raises(ValueError, match="is writing, not finished"):
            pending.publish(metadata("chinook"))
        pending.write(b"x")
        pending.finish()
        with pytest.raises(ValueError, match="is finished, not writing"):
            pending.write(b"y")
        pending.publish(metadata("chinook"))
        with pytest.raises(ValueError, match="is published"):
            pending.publish(metadata("chinook"))


def test_min_free_bytes(base: Path) -> None:
    base.mkdir()
    total = space(base).total_bytes
    one = tree(base, min_free_bytes=total + 1)
    with one.lock_run(RUN), one.open("chinook", NOW, RUN) as pending, pytest.raises(NoSpace, match="min_free_bytes"):
        pending.write(bytes(17 << 20))
    with pytest.raises(NoSpace, match="must be left"):
        ensure_free(base, min_free_bytes=total + 1)
    assert ensure_free(base / "not" / "there", min_free_bytes=0).total_bytes == total

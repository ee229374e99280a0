"""The tree as its users see it: names, modes, owners, locks, choosing, deleting; on a disk and on a tmpfs."""

import gzip
import json
import os
import shutil
import subprocess
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.storage.support import HOST, INSTANCE, NOW, SQL, assert_whole, back_up, later, metadata, run_once, tree

from vya_backupdb.domain.config import StorageConfig
from vya_backupdb.domain.errors import (
    BackupCorrupt,
    Busy,
    NoSpace,
    NotFound,
    StorageUnavailable,
    TreeOwnedByAnother,
)
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.report import RunReport
from vya_backupdb.storage.compress import gunzip
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
        tree(base, file_mode=mode).save_run(_report("run-1"))
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
    one.delete(one.backups("other")[0])
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


def test_a_large_file_is_written_out_on_the_way(memory: Path) -> None:
    one = tree(memory)
    piece = bytes(range(256)) * (4 << 10)
    with one.lock_run(RUN), one.open("chinook", NOW, RUN) as pending:
        for _ in range(260):
            pending.write(piece)
        pending.finish()
        assert sum(len(chunk) for chunk in pending.reread()) == pending.size_bytes == 260 << 20


# owners


def test_owner(base: Path) -> None:
    one = tree(base)
    assert one.claim("ns/shop", "server-1") == ()
    assert tree(base).claim("ns/shop", "server-1") == ()
    assert tree(base).claim(None, None) == ()
    with pytest.raises(TreeOwnedByAnother, match="belongs to ns/shop, not to ns/thief"):
        tree(base).claim("ns/thief", "server-1")
    assert one.owner() == "ns/shop"
    (found,) = Tree(StorageConfig(base_path=str(base))).instances()
    assert found.layout == one.layout


def test_another_server_freezes_deletion_until_it_is_accepted(base: Path) -> None:
    tree(base).claim(None, "server-1")
    one = tree(base)
    (warning,) = one.claim("ns/shop", "server-2")
    assert "another server answers" in warning
    assert one.frozen == warning
    one.accept_server("server-2")
    assert one.frozen == ""
    assert tree(base).claim("ns/shop", "server-2") == ()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 9}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_owner_file_stops_everything(base: Path, damage: bytes) -> None:
    tree(base).claim("ns/shop", None)
    (base / HOST / INSTANCE / ".owner.json").write_bytes(damage)
    with pytest.raises(StorageUnavailable, match=r"\.owner\.json is damaged"):
        tree(base).claim("ns/shop", None)


# locks


def test_a_run_is_alive_once(base: Path) -> None:
    one = tree(base)
    with one.lock_run(RUN):
        for again in (one, tree(base)):
            with pytest.raises(Busy, match="run-1 is alive elsewhere"), again.lock_run(RUN):
                pass
        with tree(base).lock_run(RunId("run-2")):
            pass
    with one.lock_run(RUN):
        pass
    assert list((base / HOST / INSTANCE / ".runs").iterdir()) == []


@pytest.mark.parametrize("same_object", [True, False])
def test_recovery_leaves_the_living_alone(base: Path, same_object: bool) -> None:
    one = tree(base)
    two = one if same_object else tree(base)
    with one.lock_run(RUN), one.open("chinook", NOW, RUN) as pending:
        pending.write(b"half a dump")
        with two.lock_run(RunId("run-2")):
            assert two.recover() == ()
        assert one.recover() == ()
        worker = threading.Thread(target=two.recover)
        worker.start()
        worker.join()
        pending.write(b" and the rest")
        pending.finish()
        pending.publish(metadata("chinook"))
    assert [stored.problem for stored in one.backups()] == [None]


def test_a_second_attempt_of_a_run_sweeps_the_first(base: Path) -> None:
    run_once(tree(base), "chinook", run="earlier")
    directory = base / HOST / INSTANCE / "chinook" / "2026-03-29"
    left = directory / ".chinook_20260329_023015_full_2.sql.gz.partial-run-1"
    left.write_bytes(b"half")
    one = tree(base)
    with one.lock_run(RUN):
        assert len(one.recover()) == 1
        assert not left.exists()
        back_up(one, "chinook")
    assert len(assert_whole(base)) == 2


def test_a_run_whose_name_is_cut_in_its_partials_is_told_apart(base: Path) -> None:
    long = RunId("a" * 63)
    one = tree(base)
    with one.lock_run(long), one.open("n" * 200, NOW, long) as pending:
        pending.write(b"half a dump")
        assert tree(base).recover() == ()
        pending.finish()
        pending.publish(metadata("n" * 200))
    assert len(one.backups()) == 1


# choosing


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


# deleting


def test_delete(base: Path) -> None:
    one = tree(base)
    first, second = run_once(one, "chinook", later(0)), run_once(one, "chinook", later(86400))
    one.delete(first)
    one.delete(first)
    assert one.backups() == [second]
    assert not first.path.parent.exists()
    one.delete(second)
    assert sorted(path.name for path in (base / HOST / INSTANCE).iterdir()) == [".lock", ".owner.json", ".runs"]


def test_what_is_corrupt_or_changed_is_not_deleted(base: Path) -> None:
    one = tree(base)
    stored = run_once(one, "chinook")
    content = stored.path.read_bytes()
    stored.path.write_bytes(content[:-1])
    with pytest.raises(BackupCorrupt, match="is not deleted"):
        one.delete(stored)
    stored.path.write_bytes(content)
    meta = stored.path.parent / f"{stored.id}.metadata.json"
    edited = meta.read_bytes().replace(b'"duration_seconds": 1.5', b'"duration_seconds": 2.5')
    meta.write_bytes(edited)
    with pytest.raises(BackupCorrupt, match="was edited"):
        one.delete(stored)
    companion = stored.path.with_name(f"{stored.path.name}.sha256")
    companion.write_bytes(companion.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(BackupCorrupt, match="not the backup that was listed"):
        one.delete(stored)
    assert meta.read_bytes() == edited


# reading


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


# reports


def _report(run: str, second: int = 0) -> RunReport:
    return RunReport(
        operation="backup", run=run, reason="Succeeded", message="x", exit_code=0, started_at=later(second)
    )


def test_reports(base: Path) -> None:
    one = tree(base)
    for number in range(105):
        one.save_run(_report(f"run-{number}", number))
    one.save_run(_report("run-104", 104).model_copy(update={"message": "done"}))
    kept = one.runs()
    assert [report.run for report in kept] == [f"run-{number}" for number in range(5, 105)]
    assert kept[-1].message == "done"
    assert one.run("run-0") is None
    (base / HOST / INSTANCE / ".runs" / "run-50.json").write_bytes(b"{")
    assert one.run("run-50") is None
    assert len(one.runs()) == 99


def test_failures_go_with_their_report(base: Path) -> None:
    one = tree(base)
    failed = metadata("chinook", status="failed", error_message="client died").model_copy(update={"file_info": None})
    one.save_failure(RunId("run-0"), "chinook", failed)
    one.save_run(_report("run-0"))
    assert (base / HOST / INSTANCE / ".runs" / "run-0" / "db_chinook.metadata.json").is_file()
    for number in range(1, 101):
        one.save_run(_report(f"run-{number}", number))
    assert not (base / HOST / INSTANCE / ".runs" / "run-0").exists()

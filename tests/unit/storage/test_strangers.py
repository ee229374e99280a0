"""What is no backup is named as what it is, and never taken for one."""

import os
from pathlib import Path

from tests.unit.storage.support import HOST, INSTANCE, run_once, tree

from vya_backupdb.storage.strangers import Kind


def test_each_file_that_is_no_backup_is_named_as_what_it_is(tmp_path: Path) -> None:
    one = tree(tmp_path)
    stored, users = run_once(one, "chinook"), run_once(one, None)
    instance, folder = tmp_path / HOST / INSTANCE, stored.path.parent
    made = {
        folder / ".chinook_20260329_030000_full.sql.gz.partial-dead-run": (Kind.PARTIAL, "by the run dead-run"),
        folder / ".chinook_20260101_000000_full.metadata.json.tombstone": (Kind.TOMBSTONE, "cut short"),
        folder / "chinook_20260102_000000_full.sql.gz": (Kind.NO_METADATA, "'adopt' makes one"),
        folder / "chinook_20260102_000000_full.sql.gz.sha256": (Kind.NO_METADATA, "no metadata"),
        instance / "users_20260102_000000.sql.gz": (Kind.NO_METADATA, "no metadata"),
        folder / "chinook.sql.gz": (Kind.ALIEN, "not of this format"),
        folder.parent / "README": (Kind.ALIEN, "neither read nor removed"),
        instance / "new\nline": (Kind.ALIEN, ""),
        instance / "link": (Kind.ALIEN, ""),
    }
    for path in made:
        path.write_bytes(b"x")
    (instance / "link").unlink()
    (instance / "link").symlink_to(tmp_path)
    (instance / ".hidden").write_bytes(b"x")
    (instance / ".runs" / "some.json").write_bytes(b"x")

    found = {one.path: one for one in one.strangers()}
    assert set(found) == set(made)
    for path, (kind, text) in made.items():
        assert found[path].kind is kind
        assert text in found[path].why
    assert [one.id for one in one.backups()] == [stored.id]
    assert [one.id for one in one.users()] == [users.id]


def test_a_tree_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert tree(tmp_path / "missing").strangers() == []
    assert tree(tmp_path / "missing").by_id("chinook_20260329_023015_full") == []


def test_a_directory_without_a_bottom_ends_no_listing(tmp_path: Path) -> None:
    one = tree(tmp_path)
    stored = run_once(one, "chinook")
    os.makedirs(tmp_path / HOST / INSTANCE / "/".join("d" * 600))  # noqa: PTH103 - Path.mkdir goes no deeper than 300
    (found,) = one.strangers()
    assert found.kind is Kind.ALIEN
    assert "nobody looks into it" in found.why
    assert [backup.id for backup in one.backups()] == [stored.id]
    assert one.recover() == ()

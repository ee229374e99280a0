"""Whatever stands in a metadata file: a problem with words, never an exception; and a large tree in linear time."""

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.storage.adopted import tools
from tests.unit.storage.support import HOST, INSTANCE, NOW, fork, later, run_once, tree

from vya_backupdb.domain import layout, series
from vya_backupdb.domain.errors import BackupCorrupt, StorageUnavailable
from vya_backupdb.dumper.verification import Outcome, verify_backups
from vya_backupdb.storage.tree import InstanceTree, StoredBackup

FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def _metadata_path(stored: StoredBackup) -> Path:
    return stored.path.parent / f"{stored.id}.metadata.json"


def _only_problem(one: InstanceTree) -> str:
    """The one backup must be listed as corrupt, and everything that looks at it must survive."""
    (found,) = one.backups("chinook")
    (same,) = one.backups()
    assert same == found
    assert found.problem
    assert found.database == "chinook"
    assert found.moment.utcoffset() is not None
    summary = found.summary(one.layout)
    assert summary.state is series.State.CORRUPT
    assert summary.instant
    with pytest.raises(BackupCorrupt):
        one.find("chinook", now=NOW)
    with pytest.raises(BackupCorrupt):
        one.verify(found)
    with pytest.raises(BackupCorrupt):
        one.delete(found, now=NOW)
    assert one.recover() == ()
    return found.problem


@FUZZ
@given(data=st.binary(max_size=2000))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    one = tree(tmp_path)
    if not one.backups():
        run_once(one, "chinook")
    (stored,) = one.backups()
    _metadata_path(stored).write_bytes(data)
    assert _only_problem(one)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
EDITS = st.sampled_from(
    [
        ("version",),
        ("kind",),
        ("backup_info",),
        ("file_info",),
        ("run",),
        ("tables",),
        *(
            (("backup_info", key))
            for key in ("database_id", "database_name", "timestamp", "status", "duration_seconds")
        ),
        *((("file_info", key)) for key in ("filename", "size_bytes", "checksum", "checksum_algorithm")),
    ]
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[InstanceTree, Path, bytes]:
    """A tree with one backup, whose metadata is not sealed, the path of its metadata, and the good bytes of that."""
    one = tree(tmp_path_factory.mktemp("tree"))
    stored = run_once(one, "chinook")
    _unseal(stored)
    path = _metadata_path(stored)
    return one, path, path.read_bytes()


def _unseal(stored: StoredBackup) -> None:
    """Leave only the data's line in the checksum file, as other tools write it: then the metadata may be edited."""
    companion = stored.path.with_name(f"{stored.path.name}.sha256")
    companion.write_bytes(companion.read_bytes().splitlines(keepends=True)[0])


@FUZZ
@given(where=EDITS, value=JSON)
def test_any_value_in_any_field(good: tuple[InstanceTree, Path, bytes], where: tuple[str, ...], value: Any) -> None:
    one, path, content = good
    document = json.loads(content)
    inner = document
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    path.write_bytes(json.dumps(document).encode("utf-8", "surrogatepass"))
    (found,) = one.backups()
    assert found.moment.astimezone(UTC)
    if found.problem is None:
        assert one.verify(found)
        assert one.find("chinook", found.id, now=NOW) == found
    else:
        _only_problem(one)
    path.write_bytes(content)


def _set(*where: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(document: dict[str, Any]) -> None:
        for key in where[:-1]:
            document = document[key]
        document[where[-1]] = value

    return edit


def test_an_edited_metadata_file_is_corrupt_whatever_was_edited(tmp_path: Path) -> None:
    one = tree(tmp_path)
    path = _metadata_path(run_once(one, "chinook"))
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        edited = bytearray(content)
        edited[position] ^= 1
        path.write_bytes(edited)
        assert _only_problem(one)
    for edited_ in (content + b"\n", content.replace(b'"duration_seconds": 1.5', b'"duration_seconds": 9.5')):
        path.write_bytes(edited_)
        assert "was edited" in _only_problem(one)
    path.write_bytes(content)
    (found,) = one.backups()
    assert found.problem is None


LIES = {
    "a path": (_set("file_info", "filename", value="../../../etc/passwd"), "filename"),
    "another file": (_set("file_info", "filename", value="other.sql.gz"), "is that of 'other.sql.gz'"),
    "another database": (_set("backup_info", "database_name", value="north"), "of the database 'north'"),
    "no database": (_set("backup_info", "database_name", value=""), "of the database ''"),
    "another instance": (_set("backup_info", "database_id", value="x"), "of the instance 'x'"),
    "a failure": (_set("backup_info", "status", value="partial"), "status is partial"),
    "users": (_set("kind", value="users"), "of the kind 'users'"),
    "the year 1": (_set("backup_info", "timestamp", value="0001-01-01T00:00:00+14:00"), "of the year 1"),
    "the year 9999": (_set("backup_info", "timestamp", value="9999-12-31T23:59:59-12:00"), "of the year 9999"),
    "no zone": (_set("backup_info", "timestamp", value="2026-01-01T00:00:00"), "backup_info.timestamp"),
    "another size": (_set("file_info", "size_bytes", value=7), "its metadata says 7"),
    "an empty file": (_set("file_info", "size_bytes", value=0), "file_info.size_bytes"),
    "more seconds than can be": (_set("backup_info", "duration_seconds", value=1e308), "backup_info.duration_seconds"),
    "endless": (
        _set("backup_info", "duration_seconds", value=float("inf")),
        "backup_info.duration_seconds",
    ),
    "more bytes than can be": (_set("uncompressed_bytes", value=10**400), "uncompressed_bytes"),
    "more rows than can be": (_set("tables", value=[{"name": "t", "rows": 10**4200}]), "tables"),
    "a short checksum": (_set("file_info", "checksum", value="ab"), "file_info"),
    "a later version": (_set("version", value="3.0.0"), "version '3.0.0' is not known"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_named(good: tuple[InstanceTree, Path, bytes], lie: str) -> None:
    one, path, content = good
    edit, words = LIES[lie]
    document = json.loads(content)
    edit(document)
    path.write_text(json.dumps(document))
    try:
        assert words in _only_problem(one)
    finally:
        path.write_bytes(content)


def test_a_later_minor_version_is_read(good: tuple[InstanceTree, Path, bytes]) -> None:
    one, path, content = good
    document = json.loads(content) | {"version": "2.7.1", "something_new": {"x": [1]}}
    path.write_text(json.dumps(document))
    (found,) = one.backups()
    assert found.problem is None
    path.write_bytes(content)


def _a_directory(path: Path) -> None:
    path.mkdir()


def _a_fifo(path: Path) -> None:
    os.mkfifo(path)


def _a_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def _deep(path: Path) -> None:
    path.write_bytes(b'{"a":' * 200_000)


@pytest.mark.parametrize("make", [_a_directory, _a_fifo, _a_link, _a_loop, _huge, _deep])
def test_what_is_no_file_of_ours(tmp_path: Path, make: Callable[[Path], None]) -> None:
    one = tree(tmp_path)
    path = _metadata_path(run_once(one, "chinook"))
    path.unlink()
    make(path)
    assert _only_problem(one)


@pytest.mark.parametrize("make", [_a_directory, _a_fifo, _a_link])
def test_data_that_is_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    one = tree(tmp_path)
    stored = run_once(one, "chinook")
    stored.path.unlink()
    make(stored.path)
    assert _only_problem(one)


def test_data_without_metadata_is_no_backup(tmp_path: Path) -> None:
    one = tree(tmp_path)
    stored = run_once(one, "chinook")
    _metadata_path(stored).unlink()
    assert one.backups() == []
    assert one.recover() == ()
    assert stored.path.exists()


def test_foreign_names_are_passed_over(tmp_path: Path) -> None:
    one = tree(tmp_path)
    stored = run_once(one, "chinook")
    for name in ("notes.metadata.json", "chinook_20261399_000000_full.metadata.json", ".x.metadata.json", "a b_full"):
        (stored.path.parent / name).write_bytes(b"x")
    (stored.path.parent / os.fsdecode(b"\xff\xfe_full.metadata.json")).write_bytes(b"x")
    (tmp_path / HOST / INSTANCE / os.fsdecode(b"\xff")).mkdir()
    assert one.backups() == [stored]


def test_an_unreadable_directory_is_no_empty_one(memory: Path) -> None:
    one = tree(memory)
    stored = run_once(one, "chinook")
    stored.path.parent.chmod(0)

    def child() -> None:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        with pytest.raises(StorageUnavailable, match=rf"permission denied \({stored.path.parent.name}\)"):
            one.backups()

    assert fork(child) == 0
    stored.path.parent.chmod(0o755)


@pytest.mark.parametrize("part", [layout.METADATA, layout.DATA, layout.CHECKSUM])
def test_a_newest_backup_that_cannot_be_read_is_not_absent(memory: Path, part: str) -> None:
    """Else ``latest`` would be an older one without a word, or retention keep it, and delete those that can be read."""
    one = tree(memory)
    old, new = run_once(one, "chinook"), run_once(one, "chinook", later(60), run="run-2")
    hidden = new.path.parent / f"{new.id}{part}"
    hidden.chmod(0)

    def child() -> None:
        if os.geteuid() == 0:
            for path in memory.rglob("*"):
                os.chown(path, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        first, second = one.backups("chinook")
        assert (first, second.id, second.is_unreadable) == (old, new.id, True)
        assert second.problem == f"{new.id}{part} cannot be read: permission denied"
        summary = second.summary(one.layout)
        assert summary.state is series.State.CORRUPT
        assert summary.run_id == ("" if part == layout.METADATA else "run-2")  # by which retention keeps its users
        with pytest.raises(StorageUnavailable, match=f"cannot be told: {new.id}.*permission denied"):
            one.find("chinook", now=later(90))
        assert one.find("chinook", old.id, now=later(90)) == old
        assert one.find("chinook", before=later(30), now=later(90)) == old
        (verified,) = verify_backups(one, [second], tools())
        assert verified.outcome is Outcome.UNREADABLE

    assert fork(child) == 0
    hidden.chmod(0o600)
    (again,) = [stored for stored in one.backups("chinook") if stored.id == new.id]
    assert again.problem is None


def _many(base: Path, count: int) -> InstanceTree:
    """A tree of `count` backups, spread over databases and days."""
    one = tree(base)
    stored = run_once(one, "d0")
    assert stored.metadata is not None
    assert stored.metadata.file_info is not None
    content, info = _metadata_path(stored).read_bytes(), stored.metadata.file_info
    for number in range(count):
        name, moment = f"d{number % 50}", datetime(2020 + number // 50 // 250, 1, 1, number % 24, tzinfo=UTC)
        moment = moment.replace(month=number // 50 % 12 + 1, day=number // 600 % 28 + 1, minute=number % 60)
        files = one.layout.backup(name, moment)
        directory = base / files.directory
        directory.mkdir(parents=True, exist_ok=True)
        (base / files.data).hardlink_to(stored.path)
        (base / files.checksum).write_text(layout.checksum_line(info.checksum, files.data))
        (base / files.metadata).write_bytes(
            content.replace(stored.path.name.encode(), files.data.name.encode()).replace(
                b'"database_name": "d0"', f'"database_name": "{name}"'.encode()
            )
        )
    return one


def _seconds(one: InstanceTree, expected: int) -> float:
    start = time.process_time()
    backups = one.backups()
    spent = time.process_time() - start
    assert len(backups) == expected + 1
    assert [stored.problem for stored in backups] == [None] * len(backups)
    return spent


def test_listing_is_linear(memory: Path) -> None:
    small = _seconds(_many(memory / "small", 340), 340)
    large = _seconds(_many(memory / "large", 3_400), 3_400)  # 10,000 files
    assert large < 20 * max(small, 0.05), (small, large)


def test_names_of_parts() -> None:
    """The catalogue's reading rests on these."""
    parsed = layout.parse_file_name("chinook_20260329_023015_full.metadata.json")
    assert parsed is not None
    assert parsed.is_final
    assert parsed.part is layout.Part.METADATA

"""A foreign dump becomes a backup, whole and marked as what it is; or is refused, and nothing is left of it."""

import gzip
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.storage.adopted import DUMPS, KINDS, adopted, config, tools
from tests.unit.storage.support import NOW, files_of

from vya_backupdb.domain.errors import (
    BackupCorrupt,
    BackupDBError,
    ConfigurationError,
    DumpFailed,
    NotFound,
    RestoreFailed,
)
from vya_backupdb.domain.ids import RunId
from vya_backupdb.dumper.adopt import Order, adopt
from vya_backupdb.dumper.session import open_tree
from vya_backupdb.dumper.verification import Outcome, verify_backup

SQL = {product: (DUMPS / f"{product}.sql").read_bytes() for product in KINDS}
PACKED = gzip.compress(SQL["mysql"], mtime=0)  # the same in every worker: it stands in names of tests
PRODUCTS = {"mariadb": "MariaDB", "mysql": "MySQL", "postgresql": "PostgreSQL"}


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("product", KINDS)
def test_a_plain_dump_becomes_a_whole_backup_marked_as_adopted(tmp_path: Path, product: str) -> None:
    tree, stored = adopted(tmp_path / "backups", product)
    assert gzip.decompress(stored.path.read_bytes()) == SQL[product]
    assert verify_backup(tree, stored, check=lambda: None).outcome is Outcome.WHOLE
    metadata = stored.metadata
    assert metadata is not None
    assert metadata.run is not None
    assert (metadata.run.reason, metadata.run.schedule) == ("adopted", None)
    assert metadata.tool is not None
    assert metadata.tool.server_product == PRODUCTS[product]
    assert metadata.consistency is not None
    assert metadata.consistency.scope == "none"
    assert metadata.schema_info is None
    assert metadata.tables is not None
    assert {table.name for table in metadata.tables} >= {"item"}
    assert metadata.backup_info.timestamp == NOW
    assert tree.find("shop", now=NOW).id == stored.id == "shop_20260329_023015_full"
    assert tree.strangers() == []


def test_one_gzip_member_is_copied_to_the_byte_and_several_are_made_one(tmp_path: Path) -> None:
    whole = gzip.compress(SQL["mysql"], 9)
    _, stored = adopted(tmp_path / "one", "mysql", written(tmp_path, "one.sql.gz", whole))
    assert stored.path.read_bytes() == whole
    half = len(SQL["mysql"]) // 2
    parts = gzip.compress(SQL["mysql"][:half]) + gzip.compress(SQL["mysql"][half:])
    tree, stored = adopted(tmp_path / "two", "mysql", written(tmp_path, "two.sql.gz", parts))
    assert verify_backup(tree, stored, check=lambda: None).outcome is Outcome.WHOLE
    assert gzip.decompress(stored.path.read_bytes()) == SQL["mysql"]


def test_the_file_is_neither_touched_nor_linked_and_its_time_is_the_backup_s(tmp_path: Path) -> None:
    file = written(tmp_path, "old.sql", SQL["postgresql"])
    at = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)
    os.utime(file, (at.timestamp(), at.timestamp()))
    app, instance = config(tmp_path / "backups", "postgresql")
    tree = open_tree(app, instance)
    stored = adopt(app, instance, tree, tools(), Order(RunId("run-1"), file, "../x", taken_at=None))
    assert stored.moment == at
    assert stored.path.parent.parent.name == "%2E.%2Fx"
    assert (file.read_bytes(), file.stat().st_nlink) == (SQL["postgresql"], 1)
    again = adopt(app, instance, tree, tools(), Order(RunId("run-2"), file, "../x", taken_at=None))
    assert again.id == f"{stored.id}_2"


@pytest.mark.parametrize(
    ("product", "content", "error", "text"),
    [
        ("mysql", SQL["mysql"][:-20], DumpFailed, "is no complete dump for mysql"),
        ("postgresql", SQL["postgresql"] + b"SELECT 1;\n", DumpFailed, "is no complete dump for postgresql"),
        ("mysql", SQL["postgresql"], DumpFailed, "is no complete dump"),
        ("postgresql", SQL["mariadb"], DumpFailed, "is no complete dump"),
        ("mysql", b"", DumpFailed, "is no complete dump"),
        ("mysql", PACKED[:-9], BackupCorrupt, "ends early"),
        ("mysql", PACKED + b"garbage", BackupCorrupt, "Incorrect gzip|gzip|damaged|header"),
        ("mysql", gzip.compress(b"", mtime=0), DumpFailed, "is no complete dump"),
    ],
)
def test_what_is_no_whole_dump_is_refused_and_leaves_nothing(
    tmp_path: Path, product: str, content: bytes, error: type[BackupDBError], text: str
) -> None:
    base = tmp_path / "backups"
    with pytest.raises(error, match=f"(?i){text}"):
        adopted(base, product, written(tmp_path, "dump", content))
    assert files_of(base) == set() if base.exists() else True


@pytest.mark.parametrize(
    ("product", "line"),
    [
        ("mysql", b"USE `other`;\n"),
        ("mariadb", b"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `other`;\n"),
        ("postgresql", b"\\connect postgresql://user:secret@host/other\n"),
        ("postgresql", b"CREATE DATABASE other;\n"),
    ],
)
def test_a_file_that_reaches_other_databases_is_refused(tmp_path: Path, product: str, line: bytes) -> None:
    marker = b"-- Dump completed" if product != "postgresql" else b"--\n-- PostgreSQL database dump complete"
    before, _, after = SQL[product].rpartition(marker)
    head, _, body = before.partition(b"\n\n")
    file = written(tmp_path, "several.sql", head + b"\n\n" + line + b"\n" + body + marker + after)
    with pytest.raises(DumpFailed, match="is not a dump of 'shop' alone") as caught:
        adopted(tmp_path / "backups", product, file)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("product", "line", "said"),
    [
        ("mysql", b"/*!50000 LOAD DATA LOCAL INFILE '/x' INTO TABLE t */;", "LOAD with a file"),
        ("mariadb", b"CREATE USER somebody;", "CREATE USER"),
        ("mariadb", b"/*M!101000 SET GLOBAL x = 1 */;", "SET GLOBAL"),
        ("postgresql", b"CREATE ROLE somebody;", "CREATE ROLE"),
        ("postgresql", b"/**/DROP/**/DATABASE/**/other;", "DROP DATABASE 'other'"),
        ("postgresql", b"\0;", "nothing that a dump does"),
    ],
)
def test_a_file_that_no_restore_would_take_is_refused(tmp_path: Path, product: str, line: bytes, said: str) -> None:
    marker = b"-- Dump completed" if product != "postgresql" else b"--\n-- PostgreSQL database dump complete"
    head, _, _body = SQL[product].partition(b"\n\n")
    content = SQL[product].replace(head, head + b"\n\n" + line + b"\n", 1)
    assert content.count(marker) == 1
    with pytest.raises(RestoreFailed, match=f"is not loaded: line .* {said}"):
        adopted(tmp_path / "backups", product, written(tmp_path, "odd.sql", content))
    assert not (tmp_path / "backups").exists()


@pytest.mark.parametrize("product", KINDS)
def test_a_dump_of_data_alone_is_refused(tmp_path: Path, product: str) -> None:
    """It is whole, ends as a dump ends, and loads into no empty database."""
    content = re.sub(rb"(?ms)^CREATE TABLE .*?;$", b"", SQL[product])
    assert re.search(rb"(?m)^(?:INSERT|COPY) ", content)
    with pytest.raises(DumpFailed, match="holds rows and makes no table"):
        adopted(tmp_path / "backups", product, written(tmp_path, "data.sql", content))


def test_bad_names_times_and_places_are_refused(tmp_path: Path) -> None:
    app, instance = config(tmp_path / "backups", "mysql")
    tree = open_tree(app, instance)
    file = written(tmp_path, "x.sql", SQL["mysql"])
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    later = NOW + timedelta(minutes=6)
    for order, error in (
        (Order(RunId("r"), file, "", NOW), ConfigurationError),
        (Order(RunId("r"), file, "shop", later), ConfigurationError),
        (Order(RunId("r"), fifo, "shop", NOW), ConfigurationError),
        (Order(RunId("r"), tmp_path, "shop", NOW), ConfigurationError),
        (Order(RunId("r"), tmp_path / "missing", "shop", NOW), NotFound),
    ):
        with pytest.raises(error):
            adopt(app, instance, tree, tools(), order)
    assert not (tmp_path / "backups").exists()

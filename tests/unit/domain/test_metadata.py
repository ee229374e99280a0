"""Metadata: a success has a file, damage is BackupCorrupt and nothing else, later minor versions are read."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.domain.errors import BackupCorrupt
from vya_backupdb.domain.metadata import BackupMetadata, parse_metadata, size_human

GOOD: dict[str, Any] = {
    "version": "2.0.0",
    "backup_info": {
        "database_id": "shop",
        "database_name": "orders",
        "database_type": "postgresql",
        "hostname": "db.example",
        "timestamp": "2026-11-22T03:00:00+01:00",
        "duration_seconds": 1.5,
        "status": "success",
    },
    "file_info": {
        "filename": "orders_20261122_030000_full.sql.gz",
        "size_bytes": 123,
        "size_human": "123 B",
        "compression_level": 6,
        "checksum_algorithm": "sha256",
        "checksum": "a" * 64,
    },
    "tables": [{"schema": "public", "name": "order", "rows": 3}],
}


def changed(path: str, value: object) -> bytes:
    data = json.loads(json.dumps(GOOD))
    place = data
    *parents, leaf = path.split(".")
    for parent in parents:
        place = place[parent]
    place[leaf] = value
    return json.dumps(data).encode()


def test_round_trip_keeps_everything() -> None:
    metadata = BackupMetadata.model_validate(GOOD)
    assert parse_metadata(metadata.to_json(), source="x") == metadata
    assert metadata.tables is not None
    assert metadata.tables[0].schema_name == "public"
    assert json.loads(metadata.to_json())["tables"][0]["schema"] == "public"
    assert metadata.backup_info.timestamp == datetime(2026, 11, 22, 2, tzinfo=UTC)


def test_fields_of_a_later_minor_version_are_kept() -> None:
    data = changed("version", "2.7.1")
    with_more = json.dumps({**json.loads(data), "novelty": {"a": 1}}).encode()
    assert b'"novelty"' in parse_metadata(with_more, source="x").to_json()


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("version", "3.0.0", "not known"),
        ("file_info", None, "file_info is required"),
        ("file_info.filename", "../../etc/passwd", "bare file name"),
        ("file_info.filename", "..", "bare file name"),
        ("file_info.size_bytes", 0, "greater than 0"),
        ("file_info.checksum", "A" * 64, "lower-case hex"),
        ("file_info.checksum", "a" * 32, "64 lower-case hex"),
        ("file_info.checksum_algorithm", "crc32", "md5"),
        ("backup_info.timestamp", "2026-11-22T03:00:00", "timezone"),
        ("backup_info.status", "failed", "error_message"),
        ("backup_info.database_type", "oracle", "postgresql"),
    ],
)
def test_damage_is_named(path: str, value: object, words: str) -> None:
    with pytest.raises(BackupCorrupt) as caught:
        parse_metadata(changed(path, value), source="orders.metadata.json")
    assert "orders.metadata.json" in caught.value.message
    assert words in caught.value.message


@given(st.binary(max_size=300))
def test_any_bytes_are_either_metadata_or_corrupt(data: bytes) -> None:
    with pytest.raises(BackupCorrupt):
        parse_metadata(data, source="x")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (171_127_603, "163.2 MiB")]
)
def test_sizes_are_written_as_ls_would(size: int, text: str) -> None:
    assert size_human(size) == text

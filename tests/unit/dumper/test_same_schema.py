"""A restored schema beside its backup's."""

from datetime import UTC, datetime
from typing import Any

import pytest

from vya_backupdb.domain import schema
from vya_backupdb.domain.config import DatabaseType
from vya_backupdb.domain.errors import BackupCorrupt, RestoreFailed
from vya_backupdb.domain.metadata import BackupInfo, BackupMetadata, SchemaInfo
from vya_backupdb.domain.schema import Schema, schema_object, schema_of
from vya_backupdb.dumper.same_schema import nullable, require_same_schema


def _schema(dialect: str = "PostgreSQL 17", check: str = "a > 0", **columns: str) -> Schema:
    made = [schema_object("column", ("public", "t", name), {"type": kind}) for name, kind in columns.items()]
    return schema_of(dialect, [*made, schema_object("constraint", ("public", "t", "c"), {}, {"check": check})])


def _metadata(of: Schema, **more: Any) -> BackupMetadata:
    info = SchemaInfo(
        tables_count=1,
        views_count=0,
        procedures_count=0,
        functions_count=0,
        triggers_count=0,
        schema_hash=of.structure_hash,
    )
    head = BackupInfo(
        database_id="main",
        database_name="shop",
        database_type=DatabaseType.POSTGRESQL,
        hostname="db",
        timestamp=datetime(2026, 11, 28, tzinfo=UTC),
        duration_seconds=1,
        status="partial",
    )
    values = {"schema_objects": schema.pack(of), "schema_hash_version": schema.HASH_VERSION, **more}
    return BackupMetadata(backup_info=head, schema_info=info, **values)


def test_what_no_dump_keeps_is_a_warning() -> None:
    """And a column that has another type, too, is lost all the same."""

    def made(storage: str, kind: str = "text") -> Schema:
        return schema_of(
            "PostgreSQL 17", [schema_object("column", ("s", "t", "a"), {"type": kind, "storage": storage})]
        )

    (warning,) = require_same_schema(_metadata(made("e")), made("x"), "shop")
    assert warning.endswith(": column s.t.a (storage)")
    with pytest.raises(RestoreFailed, match=r"column s\.t\.a \(storage, type\)"):
        require_same_schema(_metadata(made("e")), made("x", "bytea"), "shop")


def test_the_same_schema_says_nothing() -> None:
    assert require_same_schema(_metadata(_schema(a="int")), _schema(a="int"), "shop") == ()


def test_lost_and_changed_objects_fail_by_name() -> None:
    with pytest.raises(RestoreFailed, match=r"column public\.t\.a \(type\); column public\.t\.b is removed") as caught:
        require_same_schema(_metadata(_schema(a="int", b="int")), _schema(a="bigint"), "shop")
    assert caught.value.hint
    told = require_same_schema(_metadata(_schema(a="int")), _schema(a="bigint"), "shop", transforms={"collation"})
    assert told == ("objects of 'shop' differ from the backup's: column public.t.a (type)",)


def test_a_definition_in_other_words_is_a_warning() -> None:
    told = require_same_schema(_metadata(_schema(a="int")), _schema(a="int", check="(a > 0)"), "shop")
    assert told == ("objects of 'shop' differ from the backup's: constraint public.t.c (check)",)


def test_a_later_version_of_the_server_only_warns() -> None:
    assert require_same_schema(_metadata(_schema(a="int")), _schema("PostgreSQL 18", a="x"), "shop") != ()


def test_without_objects_the_hash_alone_warns() -> None:
    metadata = _metadata(_schema(a="int"), schema_objects=None)
    assert require_same_schema(metadata, _schema(a="int"), "shop") == ()
    (told,) = require_same_schema(metadata, _schema(a="bigint"), "shop")
    assert "does not say which" in told
    old = _metadata(_schema(a="int"), schema_objects=None, schema_hash_version=None)
    assert require_same_schema(old, _schema(a="bigint"), "shop") == ()


def test_damaged_objects_are_a_corrupt_backup() -> None:
    with pytest.raises(BackupCorrupt, match="shop: schema_objects"):
        require_same_schema(_metadata(_schema(), schema_objects="%%"), _schema(), "shop")


def test_columns_that_take_null_where_a_parent_does_not_are_of_postgresql_alone() -> None:
    """MySQL's columns have no schema in their names; each restore of MySQL ended in a bug of ours."""

    def made(dialect: str, *schema_: str, parents: list[str]) -> Schema:
        tables = {"p": [], "t": parents}
        objects = [schema_object("table", (*schema_, name), {"parents": found}) for name, found in tables.items()]
        columns = [schema_object("column", (*schema_, name, "a"), {"not_null": name == "p"}) for name in tables]
        return schema_of(dialect, [*objects, *columns])

    assert nullable(_metadata(made("MySQL 9", parents=[]))) == ()
    assert nullable(_metadata(made("PostgreSQL 17", "s", parents=["s.p"]))) == (("s", "t", "a"),)

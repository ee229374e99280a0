"""Whether a restored database has the rows and the schema of its backup: a loss is a failure, other words are not.

The server writes some definitions in other words after it has read its own (a list of varchar has other casts), so they
may differ for ever without a fault; owners and comments may be left out on purpose. Typed attributes may not differ.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from vya_backupdb.domain import schema
from vya_backupdb.domain.errors import RestoreFailed, RestoreImpossible
from vya_backupdb.domain.metadata import BackupMetadata, TableInfo
from vya_backupdb.domain.schema import Change, Facet, Schema
from vya_backupdb.dumper import restore_source
from vya_backupdb.engines.base import Count

_SHOWN: Final = 5
_PARTS: Final = re.compile(r'"(?:[^"]|"")*"|[^".]+')
#: What a dump makes for roles alone, so that it goes with them.
_OF_ROLES: Final = frozenset({"policy", "default privileges"})
#: By transforms of the load, how an object differs then: a view that could not be filled, a key that rows do not keep,
#: a table that lies where the server puts it.
_TOLD: Final[Mapping[str, Mapping[Facet, tuple[str, ...]]]] = {
    "refresh": {"structure": ("populated",), "definition": (), "labels": ()},
    "directory": {"structure": ("options",), "definition": (), "labels": ()},
    "unvalidated": {"structure": ("validated",), "definition": ("check",), "labels": ()},
}
#: By transforms of the load, which kind of object is missing then.
_GONE: Final[Mapping[str, str]] = {"past-event": "event", "keyless": "constraint"}
#: Structure that no dump keeps in every case, and that changes no row: PostgreSQL gives an inherited column its
#: parent's storage, a table without long values no options for them, a view over an empty one no rows; it says of an
#: index that it is valid as soon as all partitions have theirs. And what older backups said of a collation's origin.
_NOT_KEPT: Final[Mapping[str, frozenset[str]]] = {
    "table": frozenset({"toast_options"}),
    "column": frozenset({"storage", "compression"}),
    "index": frozenset({"valid"}),
    "materialized view": frozenset({"populated"}),
    "collation": frozenset({"encoding"}),
}
_HINT: Final = "Nothing was kept; see the log of the database server, and restore again."


def require_same_schema(
    metadata: BackupMetadata, found: Schema, target: str, *, transforms: Collection[str] = ()
) -> tuple[str, ...]:
    """Return what differs from the backup without being a fault, as sentences; `found` is the target's schema.

    Raise RestoreImpossible, naming the objects, if an object is missing or has another structure, unless one of the
    `transforms` (their names) of the load, which were told, did that. A backup without objects says nothing.
    """
    backup = _schema_of(metadata)
    if backup is None:
        return _by_hash(metadata, found, target)
    compared = schema.compare(backup, found)
    failures = [one for one in compared.failures if not _is_told(one, transforms)]
    if failures:
        raise RestoreImpossible(
            f"{target!r} was loaded, but its schema differs from its backup's: {schema.listed(failures)}", hint=_HINT
        )
    return _sentences((*compared.failures, *compared.warnings), target)


def _is_told(change: Change, transforms: Collection[str]) -> bool:
    """Whether a transform does this: another collation changes columns and more, a left-out role what hangs on it."""
    if change.how == "changed" and any(_fits(change, _TOLD[name]) for name in _TOLD.keys() & set(transforms)):
        return True
    if change.how == "removed" and change.kind in {_GONE[name] for name in _GONE.keys() & set(transforms)}:
        return True
    if change.how == "changed" and set(change.attributes["structure"]) <= _NOT_KEPT.get(change.kind, frozenset()):
        return True
    return "collation" in transforms or ("grant" in transforms and change.kind in _OF_ROLES)


def lacks_public(metadata: BackupMetadata) -> bool:
    """Whether the schema ``public`` of PostgreSQL was dropped in the source: it has no owner then. Not known: False."""
    backup = _schema_of(metadata)
    public = backup.by_key.get(("schema", "public")) if backup else None
    return public is not None and not public.labels


def _fits(change: Change, told: Mapping[Facet, tuple[str, ...]]) -> bool:
    return all(set(change.attributes[facet]) <= set(told[facet]) for facet in schema.FACETS)


def nullable(metadata: BackupMetadata) -> tuple[tuple[str, str, str], ...]:
    """Return the columns that take NULL although a parent's do not (PostgreSQL below 18): no dump says so of them."""
    backup = _schema_of(metadata)
    objects = backup.objects if backup else ()
    parents = {one.name: [*map(_path, one.structure.get("parents", ()))] for one in objects if one.kind == "table"}
    columns = {one.name: bool(one.structure.get("not_null")) for one in objects if one.kind == "column"}
    if not any(parents.values()):
        # MariaDB and MySQL have no parents, and no schemas in their columns' names
        return ()
    return tuple(
        (schema_, table, column)
        for (schema_, table, column), strict in columns.items()
        if not strict and any(columns.get((*parent, column)) for parent in parents.get((schema_, table), ()))
    )


def _path(name: str) -> tuple[str, ...]:
    """Return the parts of a qualified name as the server quotes it."""
    parts = _PARTS.findall(name)
    return tuple(part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts)


def _schema_of(metadata: BackupMetadata) -> Schema | None:
    if metadata.schema_objects is None:
        return None
    return schema.unpack(metadata.schema_objects, source=metadata.backup_info.database_name)


def _by_hash(metadata: BackupMetadata, found: Schema, target: str) -> tuple[str, ...]:
    """Compare the roots alone; which object differs, and whether a version does, cannot be told."""
    info = metadata.schema_info
    known = info is not None and info.schema_hash is not None and metadata.schema_hash_version == schema.HASH_VERSION
    if not known or info is None or info.schema_hash == found.structure_hash:
        return ()
    return (f"the schema of {target!r} differs from its backup's; its metadata does not say which objects it had",)


def _sentences(changes: Sequence[Change], target: str) -> tuple[str, ...]:
    if not changes:
        return ()
    return (f"objects of {target!r} differ from the backup's: {schema.listed(changes)}",)


def require_same_rows(expected: Iterable[TableInfo], count: Count, target: str) -> None:
    """Raise RestoreFailed unless each table of the backup is there with as many rows as its file holds.

    Of a foreign file nothing is `expected`.
    """
    there = restore_source.rows((*count.by_root, *count.by_table))
    wrong = []
    for key, number in restore_source.rows(expected).items():
        name = ".".join(filter(None, key))
        if key not in there:
            wrong.append(f"{name} is missing")
        elif number is not None and there[key] is not None and there[key] != number:
            wrong.append(f"{name} has {there[key]} rows instead of {number}")
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise RestoreFailed(
            f"{target!r} was loaded, but differs from its backup: {'; '.join(wrong[:_SHOWN])}{more}",
            hint="Nothing was kept; see the log of the database server.",
        )

"""What a dump says of its schema: the hashes and counts for the metadata, and that nothing changed under the dump."""

from typing import Final

from vya_backupdb.domain import schema
from vya_backupdb.domain.errors import DumpFailed
from vya_backupdb.domain.metadata import SchemaInfo
from vya_backupdb.domain.schema import Schema

DETECTOR: Final = "schema (every object before and after)"


def described(counts: SchemaInfo, found: Schema) -> SchemaInfo:
    """Return `counts` with the hashes of `found` and how many sequences and events it has."""
    return counts.model_copy(
        update={
            "sequences_count": found.count("sequence"),
            "events_count": found.count("event"),
            "schema_hash": found.structure_hash,
            "definition_hash": found.definition_hash,
            "labels_hash": found.labels_hash,
        }
    )


def require_unchanged(database: str, before: Schema, after: Schema, *, by_snapshot: bool) -> None:
    """Raise DumpFailed, naming the objects, if one that the dump must hold went away or was defined anew.

    `by_snapshot`: whether the client reads definitions as of its snapshot.
    """
    changes = schema.changed_under(before, after, by_snapshot=by_snapshot)
    if changes:
        raise DumpFailed(
            f"while {database!r} was dumped, its schema changed: {schema.listed(changes)}",
            hint="The dump may hold the old and the new of it; it is not used. Run it again at a time without DDL.",
        )

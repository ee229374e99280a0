"""Whether a restored database has the schema of its backup: what is lost is a failure, other words are not.

The server writes some definitions in other words after it has read its own (a list of varchar has other casts), so they
may differ for ever without a fault; owners and comments may be left out on purpose. Typed attributes may not differ.
"""

from collections.abc import Sequence

from vya_backupdb.domain import schema
from vya_backupdb.domain.errors import RestoreFailed
from vya_backupdb.domain.metadata import BackupMetadata
from vya_backupdb.domain.schema import Change, Schema

_HINT = "Nothing was kept; see the log of the database server, and restore again."


def require_same_schema(
    metadata: BackupMetadata, found: Schema, target: str, *, strict: bool = True
) -> tuple[str, ...]:
    """Return what differs from the backup without being a fault, as sentences; `found` is the target's schema.

    Raise RestoreFailed, naming the objects, if an object is missing or has another structure. Not `strict`, for a
    restore that changed the dump as it was told, everything is a warning. A backup without objects says nothing.
    """
    backup = _schema_of(metadata)
    if backup is None:
        return _by_hash(metadata, found, target)
    compared = schema.compare(backup, found)
    if compared.failures and strict:
        raise RestoreFailed(
            f"{target!r} was loaded, but its schema differs from its backup's: {schema.listed(compared.failures)}",
            hint=_HINT,
        )
    return _sentences((*compared.failures, *compared.warnings), target)


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

"""RestoreRequest: one restore, once. Its spec never changes, and the same request made again does not run again.

What identifies a request is its namespace, its name and what its spec means (`restore_identity`), not the bytes of the
spec: a default that a later schema writes out must not make an old request, applied again by Git, look like a new one.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BeforeValidator, Field, WithJsonSchema

from vya_backupdb.domain.specs_base import (
    Count,
    DatabaseName,
    InstanceReference,
    LongText,
    Model,
    Rule,
    ShortText,
    Status,
    Timestamp,
)

_RFC3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"


def _rfc3339(value: Any) -> Any:
    """Read a text, and refuse what pydantic would take besides: numbers, dates alone, a blank for the T, no zone."""
    message = "must be a time with its zone, such as 2026-11-22T02:30:00Z"
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.fullmatch(_RFC3339[1:-1], value):
        raise ValueError(message)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(message) from None


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_rfc3339),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 40, "pattern": _RFC3339}),
]


class OnExisting(StrEnum):
    """What happens where the target exists."""

    FAIL = "Fail"


class RestoreSource(Model):
    """Which backup."""

    instance_ref: InstanceReference = Field(description="The BackupInstance whose backup it is, in the same namespace.")
    database: DatabaseName = Field(description="Name of the database that was backed up.")
    backup: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\x00]+$")] | None = Field(
        default=None,
        description="'latest' for the newest good backup, or the id of one: its file's name without .sql.gz. "
        "Excludes before.",
    )
    before: Moment | None = Field(
        default=None, description="The newest good backup that began before this time (RFC 3339). Excludes backup."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.backup) != has(self.before)",
            message="needs exactly one of backup and before; for the newest backup set backup: latest",
            holds=lambda self: (self.backup is None) != (self.before is None),
        ),
    )


class RestoreTarget(Model):
    """Where to."""

    database: DatabaseName | None = Field(
        default=None, description="Name of the database to create. Default: the name that was backed up."
    )


class RestoreSpec(Model):
    """One restore. Immutable: to restore again, create another RestoreRequest."""

    source: RestoreSource = Field(description="Which backup.")
    target: RestoreTarget = Field(
        default=RestoreTarget(), description="Where to. Default: the same name on the same server."
    )
    on_existing: OnExisting = Field(
        default=OnExisting.FAIL, description="What happens where the target exists. Fail: nothing is touched."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(cel="self == oldSelf", message="spec is immutable; create another RestoreRequest"),
    )

    @property
    def target_database(self) -> str:
        """The database to create."""
        return self.target.database or self.source.database


def restore_identity(spec: RestoreSpec) -> dict[str, Any]:
    """Return what the request means, for `ids.restore_claim`: equal for equal meaning, defaults written out or not."""
    meaning: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    meaning["target"] = {"database": spec.target_database}
    return meaning


class RestoredStatus(Model):
    """What came back."""

    bytes: Count | None = Field(default=None, description="Bytes of SQL that were loaded.")
    tables: Count | None = Field(default=None, description="Tables of the restored database.")
    rows: Count | None = Field(default=None, description="Rows of all its tables.")


class RestoreStatus(Status):
    """How far the restore is."""

    backup: LongText | None = Field(default=None, description="Id of the backup that was chosen.")
    target: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Name of the database that is created."
    )
    job: ShortText | None = Field(default=None, description="Name of the Job that runs it.")
    start_time: Timestamp | None = Field(default=None, description="When its Job was started.")
    completion_time: Timestamp | None = Field(default=None, description="When it ended, well or not.")
    exit_code: int | None = Field(default=None, description="Exit code of the dumper.")
    restored: RestoredStatus | None = Field(default=None, description="What came back.")

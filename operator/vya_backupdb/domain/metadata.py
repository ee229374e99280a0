"""``metadata.json``, version 2.0.0: the commit point of a backup, and the ledger of a run that failed.

A file with ``status: success`` exists only for a backup whose bytes were written, synced, re-read and found whole.
The first three blocks and their names are those of the VYA tool's files (version 1); the rest is ours. A reader takes
any 2.x; what it does not know it keeps. `docs/tree-format.md` is the twin of this module.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from vya_backupdb.domain.config import DatabaseType, Flavor
from vya_backupdb.domain.errors import BackupCorrupt
from vya_backupdb.domain.faults import explain

VERSION = "2.0.0"
CHECKSUM_LENGTH = {"md5": 32, "sha256": 64}


def _plain_file_name(value: str) -> str:
    if "/" in value or "\0" in value or value in {"", ".", ".."}:
        raise ValueError("must be a bare file name: a path could leave the tree")
    return value


FileName = Annotated[str, AfterValidator(_plain_file_name)]
#: No number of rows or bytes that can be is larger; one that is not bounded ends whoever prints it.
Count = Annotated[int, Field(ge=0, lt=1 << 63)]


class Model(BaseModel):
    """Frozen; unknown keys of a later minor version are kept, not refused."""

    model_config = ConfigDict(extra="allow", frozen=True)


class BackupInfo(Model):
    """Which database, when, and how it ended."""

    database_id: str
    database_name: str
    database_type: DatabaseType
    hostname: str
    backup_type: Literal["full", "incremental", "differential"] = "full"
    timestamp: AwareDatetime = Field(
        description="when the dump began, by the database server's clock where it can be asked"
    )
    duration_seconds: float = Field(ge=0, lt=1 << 53)
    status: Literal["success", "failed", "partial"]
    error_message: str | None = None


class FileInfo(Model):
    """The bytes on the volume."""

    filename: FileName
    size_bytes: int = Field(gt=0, lt=1 << 63)
    size_human: str
    compression_level: int = Field(ge=1, le=9)
    checksum_algorithm: Literal["md5", "sha256"]
    checksum: str

    @model_validator(mode="after")
    def _hex_of_the_right_length(self) -> Self:
        length = CHECKSUM_LENGTH[self.checksum_algorithm]
        if not re.fullmatch(rf"[0-9a-f]{{{length}}}", self.checksum):
            raise ValueError(f"checksum must be {length} lower-case hex digits for {self.checksum_algorithm}")
        return self


class SchemaInfo(Model):
    """What the database held, counted in its catalogue; `schema_hash` is null where it was not computed."""

    tables_count: Count
    views_count: Count
    procedures_count: Count
    functions_count: Count
    triggers_count: Count
    sequences_count: Count | None = None
    events_count: Count | None = Field(default=None, description="MySQL and MariaDB")
    schema_hash: str | None = Field(default=None, description="over typed attributes: the same after a restore")
    definition_hash: str | None = Field(default=None, description="over texts that the server wrote out")
    labels_hash: str | None = Field(default=None, description="over comments, owners, privileges and definers")


class ToolInfo(Model):
    """Who made it: our version, the client program, and the server as it named itself."""

    name: str = "vya-backupdb"
    version: str
    client: str = Field(description="product and version of the dump client, e.g. 'pg_dump 17.11'")
    server_product: Literal["PostgreSQL", "MariaDB", "MySQL"]
    server_version: str
    server_identity: str | None = Field(
        default=None, description="PostgreSQL system identifier, or the MySQL/MariaDB server UUID"
    )


class RunInfo(Model):
    """Which run made it, and why it ran."""

    id: str
    schedule: str | None = None
    reason: Literal["scheduled", "manual", "cli", "pre-restore", "adopted"]
    scheduled_time: AwareDatetime | None = None
    server_time: AwareDatetime | None = Field(default=None, description="the server's clock when the run began")
    clock_skew_seconds: float | None = Field(
        default=None, allow_inf_nan=False, description="our clock minus the server's"
    )


class DatabaseSettings(Model):
    """What belongs to the database but stands in no dump of it."""

    charset: str | None = None
    collation: str | None = None
    locale: dict[str, str | None] = Field(
        default_factory=dict, description="PostgreSQL: provider, ctype, icu locale and rules, version"
    )
    owner: str | None = None
    acl: tuple[str, ...] = Field(default=(), description="PostgreSQL: aclitems as text")
    settings: tuple[str, ...] = Field(default=(), description="PostgreSQL: ALTER DATABASE … SET, as name=value")
    role_settings: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="PostgreSQL: ALTER ROLE … IN DATABASE … SET"
    )
    comment: str | None = None
    connection_limit: int | None = None
    tablespace: str | None = None
    is_template: bool = False


class TableInfo(Model):
    """One table as found in the file: `rows` were counted in the stream, null where they were not."""

    schema_name: str | None = Field(default=None, alias="schema")
    name: str
    rows: Count | None = None

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)


class Consistency(Model):
    """How the snapshot was taken."""

    scope: Literal["database", "none"] = "database"
    method: str = Field(description="e.g. 'single-transaction', 'repeatable read snapshot'")
    checked: tuple[str, ...] = Field(default=(), description="which detectors ran after the dump and found nothing")


class AccountInfo(Model):
    """One account of a users file; `password` says whether its hash is in it."""

    name: str
    host: str | None = None
    role: bool = False
    password: bool = False


class UsersInfo(Model):
    """For a users file: which accounts and roles it holds, and whether password hashes could be read for it."""

    accounts: Count
    roles: Count
    passwords: bool
    fallback: str | None = Field(
        default=None, description="what was read instead, where the hashes are closed to the account"
    )
    names: tuple[AccountInfo, ...] = ()


class BackupMetadata(Model):
    """The whole file. A success has `file_info`; a failed run (only under ``.runs``) has an `error_message`."""

    version: str = VERSION
    kind: Literal["database", "users"] = "database"
    backup_info: BackupInfo
    file_info: FileInfo | None = None
    schema_info: SchemaInfo | None = None
    tool: ToolInfo | None = None
    run: RunInfo | None = None
    flavor: Flavor | None = None
    database: DatabaseSettings | None = None
    tables: tuple[TableInfo, ...] | None = None
    schema_hash_version: int | None = None
    schema_objects: str | None = Field(default=None, description="the objects behind the hashes, see `domain.schema`")
    server_settings: dict[str, str] = Field(
        default_factory=dict, description="settings of the server that a restore may depend on"
    )
    uncompressed_bytes: Count | None = None
    consistency: Consistency | None = None
    warnings: tuple[str, ...] = ()
    users: UsersInfo | None = None

    @model_validator(mode="after")
    def _success_has_a_file(self) -> Self:
        if not re.fullmatch(r"2\.\d+\.\d+", self.version):
            raise ValueError(f"version {self.version!r} is not known; this program reads 2.x")
        if self.backup_info.status == "success" and self.file_info is None:
            raise ValueError("file_info is required for a success")
        if self.backup_info.status == "failed" and not self.backup_info.error_message:
            raise ValueError("backup_info.error_message is required for a failure")
        return self

    @property
    def schedule(self) -> str | None:
        """The schedule whose backup this is; None for a run by hand without one."""
        return self.run.schedule if self.run else None

    def to_json(self) -> bytes:
        """Return the file's bytes: indented UTF-8 JSON with a closing newline."""
        return self.model_dump_json(indent=2, by_alias=True).encode() + b"\n"


def parse_metadata(data: bytes, *, source: str) -> BackupMetadata:
    """Return the metadata in `data`. Raise BackupCorrupt, naming `source` and the field, if it is damaged or alien."""
    try:
        return BackupMetadata.model_validate_json(data)
    except ValidationError as error:
        raise BackupCorrupt(
            f"{source}: {explain(error)}", hint="The backup is not used; see 'verify' and the runbook."
        ) from None


def size_human(size_bytes: int) -> str:
    """Return the size with a binary unit, as ``ls -h`` would: '163.2 MiB'."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


def iso(moment: datetime) -> str:
    """Return ISO 8601 with seconds and offset."""
    return moment.isoformat(timespec="seconds")


def as_dict(metadata: BackupMetadata) -> dict[str, Any]:
    """Return plain JSON types, for ``--format json``."""
    return metadata.model_dump(mode="json", by_alias=True)

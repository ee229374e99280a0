"""The configuration: what the command line reads from ``config.yaml`` and what the operator mounts into its Jobs.

Unknown keys are refused with their path; every error names the field and says what to write instead
(`parse_config` turns pydantic's errors into that). No secret stands here: credentials are files that this points to.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vya_backupdb.domain.config_retention import RetentionConfig
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.faults import explain
from vya_backupdb.domain.schedule import parse_time_zone
from vya_backupdb.domain.structure import parse_structure
from vya_backupdb.domain.timeouts import TimeoutsConfig

DATABASE_ID = re.compile(r"^[a-zA-Z0-9-]+$")
DEFAULT_PORTS: Mapping[str, int] = {"mysql": 3306, "postgresql": 5432}


class DatabaseType(StrEnum):
    """The protocol that a server speaks, and so which family of clients fits it."""

    MYSQL = "mysql"
    POSTGRESQL = "postgresql"


class Flavor(StrEnum):
    """Which of the two products of the MySQL family; the server itself has the last word."""

    MYSQL = "mysql"
    MARIADB = "mariadb"


class SSLMode(StrEnum):
    """libpq's words for both families; ``prefer`` is not offered, because it falls back to plain text in silence."""

    DISABLE = "disable"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


def _checked(value: str, parse: Callable[..., object]) -> str:
    """Return `value` if `parse` takes it; its error becomes a ValueError, which pydantic gives the field's path."""
    try:
        parse(value, field="the value")
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    return value


def _absolute(value: str) -> str:
    if not value.startswith("/") or ".." in PurePosixPath(value).parts:
        raise ValueError("must be an absolute path without '..', such as /backups")
    return value


AbsolutePath = Annotated[str, AfterValidator(_absolute)]


class Model(BaseModel):
    """The base of each part: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CredentialsConfig(Model):
    """Where user and password of a server come from.

    `path` is either a ``credentials.json`` (the CredentialsStore format, one entry for each database id) or a directory
    such as a mounted Secret, with one file for the user and one for the password.
    """

    path: AbsolutePath = "/etc/vya-backupdb/credentials"
    username_key: str = "username"
    password_key: str = "password"  # noqa: S105 - the name of a key
    encoding: Literal["fernet", "plain"] = "fernet"
    keyring: AbsolutePath | None = None
    key_derivation: Literal["none", "hostname-based"] = "none"
    legacy_hostname: str | None = None

    @model_validator(mode="after")
    def _derivation_needs_the_old_name(self) -> Self:
        if self.key_derivation == "hostname-based" and not self.legacy_hostname:
            raise ValueError(
                "key_derivation 'hostname-based' needs legacy_hostname: the host name under which the tokens were made"
            )
        return self


class DatabaseConfig(Model):
    """One server ("instance"). `id` names it in the tree and on the command line."""

    id: str = Field(min_length=1, max_length=100)
    type: DatabaseType
    flavor: Flavor | None = None
    host: str = Field(min_length=1, max_length=253)
    port: int | None = Field(default=None, ge=1, le=65535)
    enabled: bool = True
    hostname: str | None = Field(
        default=None, min_length=1, max_length=253, description="name in the tree; default: host"
    )
    maintenance_database: str = Field(default="postgres", description="PostgreSQL: where locks and lists are asked for")
    include_databases: tuple[str, ...] = ("*",)
    exclude_databases: tuple[str, ...] = ()
    users: bool = True
    ssl_enabled: bool = False
    ssl_mode: SSLMode | None = None
    ssl_ca_cert: AbsolutePath | None = None
    ssl_client_cert: AbsolutePath | None = None
    ssl_client_key: AbsolutePath | None = None
    credentials: CredentialsConfig | None = Field(
        default=None, description="default: the credentials of the whole file"
    )
    allowed_stderr: tuple[str, ...] = Field(
        default=(), description="regular expressions: stderr lines of the client that are no failure"
    )
    connect_timeout_seconds: int = Field(default=15, ge=1, le=600)
    lock_wait_seconds: int = Field(
        default=300, ge=0, description="how long to wait for another run that holds the same database"
    )
    timeouts: TimeoutsConfig = TimeoutsConfig()

    @field_validator("id")
    @classmethod
    def _plain_id(cls, value: str) -> str:
        if not DATABASE_ID.fullmatch(value):
            raise ValueError(
                "may hold letters, digits and '-' only, because it names a directory; write one such as shop-1"
            )
        return value

    @field_validator("host")
    @classmethod
    def _plain_host(cls, value: str) -> str:
        if re.search(r"[\x00-\x1f\x7f]", value) or (re.search(r"[\s/@?=,]", value) and not value.startswith("/")):
            raise ValueError("is no host name or address; write one without user, port and blanks, such as db.example")
        return value

    @field_validator("allowed_stderr")
    @classmethod
    def _compiles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"no regular expression: {error.msg}; write '\\' before a literal bracket, dot or star, as \\("
                ) from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.flavor is not None and self.type is not DatabaseType.MYSQL:
            raise ValueError("flavor is for type mysql only; remove it")
        if self.ssl_mode in (SSLMode.VERIFY_CA, SSLMode.VERIFY_FULL) and not self.ssl_ca_cert:
            raise ValueError(f"ssl_mode {self.ssl_mode.value} needs ssl_ca_cert; add the path of the CA's certificate")
        if bool(self.ssl_client_cert) != bool(self.ssl_client_key):
            raise ValueError("ssl_client_cert and ssl_client_key go together; give both or none")
        if self.ssl_enabled and self.ssl_mode is SSLMode.DISABLE:
            raise ValueError("ssl_enabled is true, but ssl_mode is disable; choose one")
        return self

    @property
    def effective_port(self) -> int:
        """The port, or the protocol's own."""
        return self.port or DEFAULT_PORTS[self.type]

    @property
    def tree_hostname(self) -> str:
        """The first component of the tree: never the machine's own name."""
        return self.hostname or self.host

    @property
    def effective_ssl_mode(self) -> SSLMode:
        """The mode in force: verify-full where a CA is given, require where TLS is merely on, else disable."""
        if self.ssl_mode is not None:
            return self.ssl_mode
        if not self.ssl_enabled:
            return SSLMode.DISABLE
        return SSLMode.VERIFY_FULL if self.ssl_ca_cert else SSLMode.REQUIRE

    def wants(self, database: str) -> bool:
        """Whether include and exclude globs select `database` (case-sensitive; exclude wins)."""
        if any(fnmatchcase(database, pattern) for pattern in self.exclude_databases):
            return False
        return any(fnmatchcase(database, pattern) for pattern in self.include_databases)


class StorageConfig(Model):
    """The volume and how files are written to it."""

    base_path: AbsolutePath = "/backups"
    structure: str = "{hostname}/{db_id}/{db_name}/{date}"
    compression_level: int = Field(default=6, ge=1, le=9)
    checksum_algorithm: Literal["md5", "sha256"] = "sha256"
    min_free_bytes: int = Field(default=0, ge=0)
    file_mode: int = Field(default=0o600, ge=0o400, le=0o660)

    @field_validator("structure")
    @classmethod
    def _known_structure(cls, value: str) -> str:
        return _checked(value, parse_structure)


class LoggingConfig(Model):
    """Where the program's own log goes; a file that cannot be written falls back to the console."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["json", "text"] = "json"
    output: Literal["console", "file", "both"] = "console"
    file_path: AbsolutePath | None = None

    @model_validator(mode="after")
    def _file_needs_a_path(self) -> Self:
        if self.output != "console" and not self.file_path:
            raise ValueError(f"output {self.output!r} needs file_path; add the path, such as /var/log/vya-backupdb.log")
        return self


def _sqlalchemy_url(value: str) -> str:
    if not re.match(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://", value):
        raise ValueError(
            "is no database URL; write it like sqlite:////var/lib/vya-backupdb/audit.db "
            "or postgresql+psycopg://user@host/database"
        )
    return value


class AuditConfig(Model):
    """Who did what, when, with which result, as rows of a database. The URL may hold a password: never shown.

    Where no URL is given it is a SQLite file beside the log, or in the state directory of service or user.
    """

    enabled: bool = True
    database_url: Annotated[str, AfterValidator(_sqlalchemy_url)] | None = Field(default=None, repr=False)
    database_url_file: AbsolutePath | None = None
    required: bool = Field(default=False, description="refuse to begin what could not be recorded")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.database_url and self.database_url_file:
            raise ValueError("database_url and database_url_file exclude each other; remove one")
        if self.required and not self.enabled:
            raise ValueError("required is true, but enabled is false; choose one")
        return self


class RunConfig(Model):
    """How one run behaves; the operator fills it from the Job's spec."""

    parallelism: int = Field(default=2, ge=1, le=64, description="databases dumped at the same time")
    deadline_seconds: int | None = Field(default=None, ge=1, description="the run ends itself after this time")


class AppConfig(Model):
    """The whole file."""

    application_name: str = "vya-backupdb"
    version: str = "1"
    environment: Literal["dev", "staging", "production"] = "production"
    time_zone: str = "UTC"
    owner: str | None = Field(default=None, description="namespace/name of the BackupInstance; set by the operator")
    schedule: str | None = Field(
        default=None, description="name of the schedule whose backups these are; set by the operator"
    )
    databases: tuple[DatabaseConfig, ...] = Field(min_length=1)
    storage: StorageConfig = StorageConfig()
    retention: RetentionConfig = RetentionConfig()
    logging: LoggingConfig = LoggingConfig()
    audit: AuditConfig | None = Field(default=None, description="default: on; off for what the operator runs")
    credentials: CredentialsConfig = CredentialsConfig()
    run: RunConfig = RunConfig()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return _checked(value, parse_time_zone)

    @field_validator("databases")
    @classmethod
    def _unique_ids(cls, value: tuple[DatabaseConfig, ...]) -> tuple[DatabaseConfig, ...]:
        ids = [database.id.casefold() for database in value]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"the ids {', '.join(twice)} stand twice; each instance needs its own id")
        return value

    def database(self, database_id: str) -> DatabaseConfig:
        """Return the instance `database_id`. Raise ConfigurationError with the known ids if there is none."""
        for database in self.databases:
            if database.id == database_id:
                return database
        known = ", ".join(database.id for database in self.databases)
        raise ConfigurationError(
            f"there is no instance {database_id!r} in the configuration", hint=f"Known are: {known}."
        )

    def credentials_of(self, database: DatabaseConfig) -> CredentialsConfig:
        """Return the credentials' place for `database`: its own, else the file's."""
        return database.credentials or self.credentials


def parse_config(data: Any, *, source: str) -> AppConfig:
    """Return the configuration in `data` (as read from YAML or JSON). Raise ConfigurationError naming each wrong field.

    `source` is the file's name for the message.
    """
    if not isinstance(data, Mapping):
        raise ConfigurationError(
            f"{source} does not hold a mapping", hint="Begin with 'databases:' and a list of servers."
        )
    try:
        return AppConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(f"{source}: {explain(error)}", hint="Correct the named fields.") from None

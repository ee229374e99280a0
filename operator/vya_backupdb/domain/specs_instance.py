"""BackupInstance: one database server, the volume that its backups go to, and how to reach both.

Where the tree lies never changes under an object: engine, claim, path, host name in the tree and database id are fixed,
by their effective values, so that a default may be written out later and a host may move when its old name is kept.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vya_backupdb.domain.specs_base import (
    Checked,
    Count,
    DatabaseSelection,
    DataKey,
    ForeignName,
    LongText,
    Model,
    Rule,
    SecretReference,
    ShortText,
    Status,
    Timestamp,
)
from vya_backupdb.domain.specs_job import JobOverrides


class EngineKind(StrEnum):
    """A product. The dumper refuses a server that turns out to be another."""

    MYSQL = "MySQL"
    MARIADB = "MariaDB"
    POSTGRESQL = "PostgreSQL"


class TLSMode(StrEnum):
    """How a connection is protected; there is none that falls back to plain text."""

    DISABLE = "Disable"
    REQUIRE = "Require"
    VERIFY_CA = "VerifyCA"
    VERIFY_FULL = "VerifyFull"


class Encoding(StrEnum):
    """What the values of the credentials' Secret are."""

    FERNET = "Fernet"
    PLAIN = "Plain"


class KeyDerivation(StrEnum):
    """Whether a key may be made from a host name."""

    NONE = "None"
    HOSTNAME_BASED = "HostnameBased"


_HOST = Checked(
    (
        Rule(
            cel="self.matches('^[A-Za-z0-9_:]([A-Za-z0-9._:-]*[A-Za-z0-9._:])?$')",
            message="must be a host name or an IP address, without scheme, port, user or path",
            holds=lambda value: _plain(value, first="_:", inner="._:-", last="._:"),
        ),
    )
)
_PATH = Checked(
    (
        Rule(
            cel="self.matches('^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$')",
            message="must be a relative path of letters, digits, '.', '_', '-' and '/', no part of which begins with "
            "'.' or '-'",
            holds=lambda value: all(_plain(part, first="_", inner="._-", last="._-") for part in value.split("/")),
        ),
    )
)
_TREE_NAME = r"^[^\x00-\x1f\x7f]+$"


def _plain(text: str, *, first: str, inner: str, last: str) -> bool:
    """Whether `text` is ASCII letters and digits, with these characters besides at its ends and between them."""

    def fits(part: str, more: str) -> bool:
        return all((character.isascii() and character.isalnum()) or character in more for character in part)

    return bool(text) and fits(text[0], first) and fits(text[1:-1], inner) and (len(text) == 1 or fits(text[-1], last))


class CABundle(Model):
    """A key that holds PEM certificates, in a Secret or a ConfigMap of the same namespace."""

    name: ForeignName = Field(description="Name of the Secret or ConfigMap, in the namespace of this object.")
    key: DataKey = Field(default="ca.crt", description="Key that holds the certificates.")


class Timeouts(Model):
    """How long a backup waits for others."""

    lock_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        default=60, description="For a table that somebody else has locked, in seconds."
    )
    stall_seconds: Annotated[int, Field(ge=10, le=604_800)] = Field(
        default=1800, description="A dump client that gives no byte for so many seconds is ended."
    )


class TLS(Model):
    """How the connection to the server is protected."""

    mode: TLSMode | None = Field(
        default=None,
        description="Disable: plain text. Require: encrypted, the server unverified. VerifyCA: its certificate is "
        "checked. VerifyFull: its name, too. Default: VerifyFull where a CA is given, else Require.",
    )
    ca_secret_ref: CABundle | None = Field(default=None, description="CA certificates in a Secret.")
    ca_config_map_ref: CABundle | None = Field(default=None, description="CA certificates in a ConfigMap.")
    client_certificate_secret_ref: SecretReference | None = Field(
        default=None, description="Secret of type kubernetes.io/tls (tls.crt, tls.key) to authenticate with."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(has(self.caSecretRef) && has(self.caConfigMapRef))",
            message="caSecretRef and caConfigMapRef exclude each other; keep one",
            holds=lambda self: not (self.ca_secret_ref and self.ca_config_map_ref),
        ),
        Rule(
            cel="!(has(self.mode) && self.mode in ['VerifyCA', 'VerifyFull'])"
            " || has(self.caSecretRef) || has(self.caConfigMapRef)",
            message="modes VerifyCA and VerifyFull need caSecretRef or caConfigMapRef",
            holds=lambda self: self.mode not in (TLSMode.VERIFY_CA, TLSMode.VERIFY_FULL) or self.ca is not None,
        ),
        Rule(
            cel="!(has(self.mode) && self.mode == 'Disable') || !(has(self.caSecretRef) || has(self.caConfigMapRef)"
            " || has(self.clientCertificateSecretRef))",
            message="mode Disable uses no certificates; remove them or choose another mode",
            holds=lambda self: self.mode is not TLSMode.DISABLE or not (self.ca or self.client_certificate_secret_ref),
        ),
    )

    @property
    def ca(self) -> CABundle | None:
        """The CA, wherever it is."""
        return self.ca_secret_ref or self.ca_config_map_ref


class KeyringReference(Model):
    """The key of a Secret that holds Fernet keys, one a line, the first primary."""

    name: ForeignName = Field(description="Name of the Secret, in the namespace of this object.")
    key: DataKey = Field(default="keyring", description="Key that holds the Fernet keys, one a line.")


class Credentials(Model):
    """The account that backs up. Only Jobs read it; the operator cannot."""

    secret_ref: SecretReference = Field(
        description="Secret with the user name and the password, or with a credentials.json of the VYA tool."
    )
    username_key: DataKey = Field(default="username", description="Key of the user name.")
    password_key: DataKey = Field(default="password", description="Key of the password.")
    encoding: Encoding = Field(
        default=Encoding.FERNET,
        description="Fernet: the values are Fernet tokens. Plain: they are plain text, as External Secrets or a "
        "database operator makes them.",
    )
    keyring_secret_ref: KeyringReference | None = Field(
        default=None, description="The Fernet keys, in a Secret of their own; needed by encoding Fernet."
    )
    key_derivation: KeyDerivation = Field(
        default=KeyDerivation.NONE,
        description="HostnameBased: also try the key that older VYA tools made of the host name. For migration only: a "
        "host name is no secret.",
    )
    legacy_hostname: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="The host name under which the old tokens were made; needed by HostnameBased."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.encoding != 'Fernet' || has(self.keyringSecretRef) || self.keyDerivation == 'HostnameBased'",
            message="encoding Fernet needs keyringSecretRef; for a Secret that holds plain text set encoding: Plain",
            holds=lambda self: (
                self.encoding is not Encoding.FERNET
                or self.keyring_secret_ref is not None
                or self.key_derivation is KeyDerivation.HOSTNAME_BASED
            ),
        ),
        Rule(
            cel="self.keyDerivation != 'HostnameBased' || has(self.legacyHostname)",
            message="keyDerivation HostnameBased needs legacyHostname, the host name under which the tokens were made",
            holds=lambda self: self.key_derivation is not KeyDerivation.HOSTNAME_BASED or bool(self.legacy_hostname),
        ),
    )


class PersistentVolumeClaim(Model):
    """A claim in the same namespace."""

    claim_name: ForeignName = Field(description="Name of the PersistentVolumeClaim, in the namespace of this object.")


class Storage(Model):
    """Where the tree of backups lies and how files are written."""

    persistent_volume_claim: PersistentVolumeClaim = Field(description="The claim that holds the tree. Immutable.")
    path: Annotated[str, Field(min_length=1, max_length=256), _PATH] | None = Field(
        default=None,
        description="Directory of the tree on the volume, relative. Default: the volume's root. Immutable.",
    )
    hostname: Annotated[str, Field(min_length=1, max_length=253, pattern=_TREE_NAME)] | None = Field(
        default=None, description="The server's name in the tree. Default: host. Immutable."
    )
    database_id: Annotated[str, Field(min_length=1, max_length=63, pattern="^[a-zA-Z0-9-]+$")] | None = Field(
        default=None, description="The instance's name in the tree. Default: the name of this object. Immutable."
    )
    compression_level: Annotated[int, Field(ge=1, le=9)] = Field(
        default=6, description="1 is fastest, 9 is smallest; the files are plain gzip at every level."
    )
    checksum_algorithm: Literal["SHA256", "MD5"] = Field(
        default="SHA256", description="What the .sha256 file and the metadata hold. MD5 is for old tooling only."
    )
    min_free_bytes: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="A backup does not begin where it would leave less than this free on the volume, in bytes.",
    )


class Users(Model):
    """Users and roles of the server."""

    enabled: bool = Field(
        default=True, description="Whether each backup also writes users, roles and grants into a file of their own."
    )


class InstanceSpec(Model):
    """A database server and the place of its backups."""

    engine: EngineKind = Field(description="The server's product. Immutable.")
    host: Annotated[str, Field(min_length=1, max_length=253), _HOST] = Field(
        description="Host name or address of the server, as the Jobs' pods resolve it."
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="TCP port. Default: 3306 for MySQL and MariaDB, 5432 for PostgreSQL."
    )
    databases: DatabaseSelection = Field(
        default=DatabaseSelection(), description="Which databases are backed up. Default: every one."
    )
    users: Users = Field(default=Users(), description="Whether users and roles are backed up.")
    tls: TLS | None = Field(default=None, description="Encryption of the connection. Default: plain text.")
    credentials: Credentials = Field(description="The account that backs up, and where its password is.")
    storage: Storage = Field(description="Where the backups go.")
    check_interval_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = Field(
        default=86_400, description="How often a Ready instance is checked again, in seconds."
    )
    timeouts: Timeouts = Field(default=Timeouts(), description="How long a backup waits for others.")
    job: JobOverrides = Field(default=JobOverrides(), description="What may be set on the Jobs and their pods.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(cel="self.engine == oldSelf.engine", message="engine is immutable; create another BackupInstance"),
        Rule(
            cel="self.storage.persistentVolumeClaim.claimName == oldSelf.storage.persistentVolumeClaim.claimName",
            message="storage.persistentVolumeClaim is immutable; create another BackupInstance",
        ),
        Rule(
            cel="(has(self.storage.path) ? self.storage.path : '')"
            " == (has(oldSelf.storage.path) ? oldSelf.storage.path : '')",
            message="storage.path is immutable; create another BackupInstance",
        ),
        Rule(
            cel="(has(self.storage.hostname) ? self.storage.hostname : self.host)"
            " == (has(oldSelf.storage.hostname) ? oldSelf.storage.hostname : oldSelf.host)",
            message="the server's name in the tree is immutable; to change host, set storage.hostname to the name that "
            "the tree has now",
        ),
    )

    @property
    def tree_hostname(self) -> str:
        """The server's name in the tree."""
        return self.storage.hostname or self.host


#: A rule of the whole object, because the id's default is the object's name.
DATABASE_ID_RULE = Rule(
    cel="(has(self.spec.storage.databaseId) ? self.spec.storage.databaseId : self.metadata.name)"
    " == (has(oldSelf.spec.storage.databaseId) ? oldSelf.spec.storage.databaseId : oldSelf.metadata.name)",
    message="spec.storage.databaseId is immutable; create another BackupInstance",
)


class ServerStatus(Model):
    """What the last check saw of the server."""

    product: ShortText = Field(description="What the server says it is.")
    version: ShortText = Field(description="Its version.")
    identity: ShortText | None = Field(default=None, description="Its system identifier or server UUID.")


class DatabasesStatus(Model):
    """How many databases the last check saw."""

    count: Count = Field(description="Databases that are backed up.")
    uncovered: Count = Field(default=0, description="Databases that hold data and are not backed up.")


class StorageStatus(Model):
    """What the last run saw of the volume."""

    free_bytes: Count | None = Field(default=None, description="Free space, in bytes.")
    total_bytes: Count | None = Field(default=None, description="Size of the file system, in bytes.")


class FindingStatus(Model):
    """One sentence of the last check."""

    reason: ShortText = Field(description="What is wrong, in one CamelCase word.")
    message: LongText = Field(description="What is wrong, and the remedy.")


class InstanceStatus(Status):
    """What the operator knows about the server and the volume."""

    server: ServerStatus | None = Field(default=None, description="What the last check saw of the server.")
    databases: DatabasesStatus | None = Field(default=None, description="How many databases the last check saw.")
    storage: StorageStatus | None = Field(default=None, description="What the last check saw of the volume.")
    findings: Annotated[tuple[FindingStatus, ...], Field(max_length=20)] = Field(
        default=(),
        description="What the last check found; at most 20.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    last_check_time: Timestamp | None = Field(default=None, description="When the last check ended.")
    last_check_job: ShortText | None = Field(default=None, description="Name of the last check's Job.")
    next_check_time: Timestamp | None = Field(default=None, description="When the next check begins.")
    failed_checks: Count = Field(default=0, description="Checks that failed one after the other, up to now.")

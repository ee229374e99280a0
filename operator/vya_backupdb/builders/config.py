"""From our resources to the dumper's configuration: the model that the dumper reads is the one that is filled here.

The text travels in an annotation of the pod, so a Job's configuration is as old as the Job, and no ConfigMap is needed.
"""

from typing import Any, Final

from vya_backupdb.domain.config import (
    AppConfig,
    CredentialsConfig,
    DatabaseConfig,
    DatabaseType,
    Flavor,
    LoggingConfig,
    RunConfig,
    SSLMode,
    StorageConfig,
)
from vya_backupdb.domain.config_retention import RetentionConfig
from vya_backupdb.domain.ids import instance_owner
from vya_backupdb.domain.specs import BackupInstance, BackupSchedule
from vya_backupdb.domain.specs_instance import TLS, EngineKind, KeyDerivation, TLSMode
from vya_backupdb.domain.timeouts import TimeoutsConfig
from vya_backupdb.domain.yaml_text import yaml_text

MOUNT: Final = "/etc/vya-backupdb"
BACKUPS: Final = "/backups"
CREDENTIALS: Final = "credentials"
KEYRING: Final = "keyring"
CA: Final = "tls/ca"
CLIENT_CERTIFICATE: Final = "tls/client"
#: Kubelet opens files to the group anyway (fsGroup).
FILE_MODE: Final = 0o640
#: So long before the Job's end the dumper ends itself, to leave its report.
REPORT_SECONDS: Final = 120

_TYPES: Final = {
    EngineKind.MYSQL: (DatabaseType.MYSQL, Flavor.MYSQL),
    EngineKind.MARIADB: (DatabaseType.MYSQL, Flavor.MARIADB),
    EngineKind.POSTGRESQL: (DatabaseType.POSTGRESQL, None),
}
_SSL_MODES: Final = {
    TLSMode.DISABLE: SSLMode.DISABLE,
    TLSMode.REQUIRE: SSLMode.REQUIRE,
    TLSMode.VERIFY_CA: SSLMode.VERIFY_CA,
    TLSMode.VERIFY_FULL: SSLMode.VERIFY_FULL,
}


def app_config(
    instance: BackupInstance,
    *,
    schedule: BackupSchedule | None = None,
    deadline_seconds: int,
    log_level: str = "INFO",
) -> AppConfig:
    """Return the configuration of a Job that lives for `deadline_seconds`; without `schedule`: a check or a restore."""
    more: dict[str, Any] = {}
    run: dict[str, Any] = {"deadline_seconds": deadline_seconds - REPORT_SECONDS}
    if schedule is not None:
        more = {
            "time_zone": schedule.spec.time_zone,
            "schedule": schedule.name,
            "retention": _retention(schedule),
        }
        run["parallelism"] = schedule.spec.parallelism
    return AppConfig(
        owner=instance_owner(instance.namespace, instance.name),
        databases=(_database(instance, schedule),),
        storage=_storage(instance),
        logging=LoggingConfig.model_validate({"level": log_level}),
        credentials=_credentials(instance),
        run=RunConfig(**run),
        **more,
    )


def config_text(config: AppConfig) -> str:
    """Return `config` as JSON that is also YAML, whatever characters its names hold."""
    return yaml_text(config.model_dump(mode="json", exclude_none=True))


def _database(instance: BackupInstance, schedule: BackupSchedule | None) -> DatabaseConfig:
    spec = instance.spec
    kind, flavor = _TYPES[spec.engine]
    include, exclude = spec.databases.include, spec.databases.exclude
    if schedule is not None:
        include = schedule.spec.databases.include or include
        exclude += schedule.spec.databases.exclude
    return DatabaseConfig(
        id=instance.database_id,
        type=kind,
        flavor=flavor,
        host=spec.host,
        port=spec.port,
        hostname=spec.storage.hostname,
        include_databases=include,
        exclude_databases=exclude,
        users=spec.users.enabled,
        timeouts=TimeoutsConfig(lock_seconds=spec.timeouts.lock_seconds, stall_seconds=spec.timeouts.stall_seconds),
        **_tls(spec.tls),
    )


def _tls(tls: TLS | None) -> dict[str, Any]:
    if tls is None or tls.mode is TLSMode.DISABLE:
        return {"ssl_mode": SSLMode.DISABLE}
    fields: dict[str, Any] = {"ssl_enabled": True}
    if tls.mode is not None:
        fields["ssl_mode"] = _SSL_MODES[tls.mode]
    if tls.ca is not None:
        fields["ssl_ca_cert"] = f"{MOUNT}/{CA}/{tls.ca.key}"
    if tls.client_certificate_secret_ref is not None:
        fields["ssl_client_cert"] = f"{MOUNT}/{CLIENT_CERTIFICATE}/tls.crt"
        fields["ssl_client_key"] = f"{MOUNT}/{CLIENT_CERTIFICATE}/tls.key"
    return fields


def _credentials(instance: BackupInstance) -> CredentialsConfig:
    given = instance.spec.credentials
    keyring = given.keyring_secret_ref
    derived = given.key_derivation is KeyDerivation.HOSTNAME_BASED
    return CredentialsConfig.model_validate(
        {
            "path": f"{MOUNT}/{CREDENTIALS}",
            "username_key": given.username_key,
            "password_key": given.password_key,
            "encoding": given.encoding.value.lower(),
            "keyring": f"{MOUNT}/{KEYRING}/{keyring.key}" if keyring else None,
            "key_derivation": "hostname-based" if derived else "none",
            "legacy_hostname": given.legacy_hostname,
        }
    )


def _storage(instance: BackupInstance) -> StorageConfig:
    given = instance.spec.storage
    return StorageConfig.model_validate(
        {
            "base_path": f"{BACKUPS}/{given.path}" if given.path else BACKUPS,
            "compression_level": given.compression_level,
            "checksum_algorithm": given.checksum_algorithm.lower(),
            "min_free_bytes": given.min_free_bytes,
            "file_mode": FILE_MODE,
        }
    )


def _retention(schedule: BackupSchedule) -> RetentionConfig:
    given = schedule.spec.retention
    return RetentionConfig.model_validate(
        {
            "strategy": given.strategy.value.lower(),
            "hourly_keep": given.keep_hourly,
            "daily_keep": given.keep_daily,
            "weekly_keep": given.keep_weekly,
            "monthly_keep": given.keep_monthly,
            "yearly_keep": given.keep_yearly,
            "keep_last": given.keep_last,
            "minimum": given.minimum,
            "cleanup_enabled": not given.dry_run,
        }
    )

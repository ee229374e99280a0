"""Resources to build from: one plain, one with everything set, and names as hostile as a schema lets them be."""

from typing import Any

from vya_backupdb.builders.jobs import (
    JobSettings,
    Manifest,
    backup_cronjob,
    check_job,
    manual_job,
    restore_job,
    retention_cronjob,
)
from vya_backupdb.domain.specs import (
    BackupInstance,
    BackupSchedule,
    RestoreRequest,
    parse_instance,
    parse_restore,
    parse_schedule,
)

SETTINGS = JobSettings(dumper_image="vya-backupdb-dumper:0.1.0")
LONG = "a-name-as-long-as-the-schema-lets-it-be-which-is-63-characters-x"[:63]

PLAIN_INSTANCE: dict[str, Any] = {
    "engine": "MariaDB",
    "host": "mariadb",
    "credentials": {"secretRef": {"name": "mariadb-backup"}, "encoding": "Plain"},
    "storage": {"persistentVolumeClaim": {"claimName": "backups"}},
}
FULL_INSTANCE: dict[str, Any] = {
    "engine": "PostgreSQL",
    "host": "postgresql.example.com",
    "port": 5433,
    "databases": {"include": ["shop*"], "exclude": ["*_test"]},
    "users": {"enabled": False},
    "tls": {
        "mode": "VerifyFull",
        "caConfigMapRef": {"name": "ca-bundle", "key": "bundle.pem"},
        "clientCertificateSecretRef": {"name": "client"},
    },
    "credentials": {
        "secretRef": {"name": "postgresql-backup"},
        "usernameKey": "user",
        "keyringSecretRef": {"name": "keyring", "key": "keys"},
    },
    "storage": {
        "persistentVolumeClaim": {"claimName": "backups.nfs." + "x" * 100},
        "path": "team/databases",
        "hostname": "pg1",
        "databaseId": "Shop-1",
        "compressionLevel": 1,
        "checksumAlgorithm": "MD5",
        "minFreeBytes": 1 << 30,
    },
    "job": {
        "resources": {"requests": {"cpu": 1, "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "backup", "effect": "NoSchedule"}],
        "affinity": {
            "podAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "zone"}
                ]
            }
        },
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "priorityClassName": "low",
        "labels": {"team": "data"},
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        "activeDeadlineSeconds": 7200,
        "backoffLimit": 5,
    },
}
PLAIN_SCHEDULE: dict[str, Any] = {"instanceRef": {"name": "one"}, "schedule": "30 2 * * *"}
FULL_SCHEDULE: dict[str, Any] = {
    "instanceRef": {"name": "one"},
    "schedule": "@hourly",
    "timeZone": "Europe/Berlin",
    "suspend": True,
    "manualTrigger": "now",
    "startingDeadlineSeconds": 60,
    "parallelism": 8,
    "databases": {"include": ["shop_*"], "exclude": ["tmp"]},
    "retention": {"strategy": "Simple", "keepDaily": 30, "minimum": 2, "schedule": "@daily", "dryRun": True},
    "successfulJobsHistoryLimit": 1,
    "failedJobsHistoryLimit": 2,
}
HOSTILE = "-x=$(HOME)\n'\"; \u0085\u2028😀 `id` %"


def _object(spec: dict[str, Any], name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": name, "uid": f"uid-of-{name}", **metadata}, "spec": spec}


def instance(spec: dict[str, Any] | None = None, name: str = "one") -> BackupInstance:
    """Return a BackupInstance with `spec` (default: the plain one)."""
    parsed = parse_instance(_object(spec or PLAIN_INSTANCE, name))
    assert isinstance(parsed, BackupInstance), parsed
    return parsed


def schedule(spec: dict[str, Any] | None = None, name: str = "nightly", **metadata: Any) -> BackupSchedule:
    """Return a BackupSchedule with `spec` (default: the plain one)."""
    parsed = parse_schedule(_object(spec or PLAIN_SCHEDULE, name, **metadata))
    assert isinstance(parsed, BackupSchedule), parsed
    return parsed


def request(name: str = "back", **source: Any) -> RestoreRequest:
    """Return a RestoreRequest of the newest backup, or of what `source` says."""
    target = source.pop("target", {})
    spec = {"source": {"instanceRef": {"name": "one"}, "database": "shop", **(source or {"backup": "latest"})}}
    parsed = parse_restore(_object({**spec, "target": target}, name))
    assert isinstance(parsed, RestoreRequest), parsed
    return parsed


def manifests() -> dict[str, Manifest]:
    """Return one of everything that the builders make, by a name for it."""
    full, plain = instance(FULL_INSTANCE), instance()
    hostile = request(database=HOSTILE, backup="%2Dx_20261122_023000_full", target={"database": "../" + HOSTILE})
    return {
        "backup": backup_cronjob(schedule(), plain, SETTINGS),
        "backup-full": backup_cronjob(schedule(FULL_SCHEDULE), full, SETTINGS),
        "backup-long": backup_cronjob(schedule(name=LONG), instance(name=LONG), SETTINGS),
        "retention": retention_cronjob(schedule(), plain, SETTINGS),
        "retention-full": retention_cronjob(schedule(FULL_SCHEDULE), full, SETTINGS),
        "retention-long": retention_cronjob(schedule(name=LONG), instance(name=LONG), SETTINGS),
        "manual": manual_job(schedule(), plain, f"again {HOSTILE}", SETTINGS),
        "manual-long": manual_job(schedule(name=LONG), instance(name=LONG), "x", SETTINGS),
        "check": check_job(plain, "g1-a1", SETTINGS),
        "check-full": check_job(full, "g1-a1", SETTINGS),
        "check-long": check_job(instance(name=LONG), "g1-a1", SETTINGS),
        "restore": restore_job(request(), plain, SETTINGS),
        "restore-before": restore_job(request(before="2026-11-22T02:30:00-03:00"), full, SETTINGS),
        "restore-hostile": restore_job(hostile, plain, SETTINGS),
        "restore-long": restore_job(request(LONG), instance(name=LONG), SETTINGS),
    }

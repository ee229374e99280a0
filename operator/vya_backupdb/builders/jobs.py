"""What the operator makes: two CronJobs for a schedule, and Jobs for a manual run, a check and a restore.

Names are deterministic, so that asking twice makes one thing. ``podFailurePolicy`` is built from the dumper's exit
codes: what a retry cannot help ends the Job at once, and an eviction is nobody's failure.
"""

from typing import Any, Final

from vya_backupdb.builders import labels
from vya_backupdb.builders.config import app_config, config_text
from vya_backupdb.builders.labels import CONTAINER, Role
from vya_backupdb.builders.pod import JobSettings, Manifest, pod_template
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import child_name, digest, manual_job_name, restore_job_name
from vya_backupdb.domain.specs import BackupInstance, BackupSchedule, Identity, RestoreRequest

__all__ = [
    "JobSettings",
    "Manifest",
    "backup_cronjob",
    "check_job",
    "check_job_name",
    "manual_job",
    "restore_job",
    "retention_cronjob",
]

HOUR: Final = 3600
BACKUP_SECONDS: Final = 6 * HOUR
RETENTION_SECONDS: Final = HOUR
CHECK_SECONDS: Final = 600
RESTORE_SECONDS: Final = 24 * HOUR
BACKOFF_LIMIT: Final = 2
#: A restore that has not begun is tried until its deadline, so that a wrong password heals; the Job controller's pauses
#: between tries end at 6 minutes.
RESTORE_BACKOFF_LIMIT: Final = 1000
#: Nobody but these clears away the Jobs that no CronJob keeps account of.
MANUAL_TTL_SECONDS: Final = 7 * 24 * HOUR
CHECK_TTL_SECONDS: Final = HOUR
_RETENTION_HOUR: Final = 4


def backup_cronjob(schedule: BackupSchedule, instance: BackupInstance, settings: JobSettings) -> Manifest:
    """Return the CronJob that backs up `instance` when `schedule` says so."""
    return _cronjob(
        schedule,
        child_name(schedule.name, Role.BACKUP),
        schedule.spec.schedule,
        _backup_template(schedule, instance, settings, reason="scheduled"),
    )


def retention_cronjob(schedule: BackupSchedule, instance: BackupInstance, settings: JobSettings) -> Manifest:
    """Return the CronJob that deletes what the schedule's retention does not keep (or says what it would delete)."""
    retention = schedule.spec.retention
    template = _template(
        Role.RETENTION,
        instance,
        settings,
        words=("retention", "plan" if retention.dry_run else "apply"),
        schedule=schedule,
        deadline_seconds=RETENTION_SECONDS,
        reason="scheduled",
    )
    name = child_name(schedule.name, Role.RETENTION)
    return _cronjob(schedule, name, retention.schedule or _retention_time(schedule), template)


def manual_job(schedule: BackupSchedule, instance: BackupInstance, value: str, settings: JobSettings) -> Manifest:
    """Return the Job that answers `value` of ``spec.manualTrigger``; the value stands in its annotation."""
    template = _backup_template(schedule, instance, settings, reason="manual")
    template["spec"]["ttlSecondsAfterFinished"] = MANUAL_TTL_SECONDS
    template["metadata"]["annotations"][labels.MANUAL_TRIGGER] = value
    return _job(schedule, manual_job_name(schedule.name, value), template)


def check_job_name(instance: str, attempt_key: str) -> str:
    """Return the name of the check Job of the instance named `instance` for this attempt."""
    return child_name(instance, f"c-{digest(attempt_key, 8)}", limit=63)


def check_job(instance: BackupInstance, attempt_key: str, settings: JobSettings) -> Manifest:
    """Return the Job that checks server, credentials and volume once: when it is tried again, the operator decides."""
    template = _template(
        Role.CHECK, instance, settings, words=("check",), deadline_seconds=CHECK_SECONDS, backoff_limit=0
    )
    template["spec"]["ttlSecondsAfterFinished"] = CHECK_TTL_SECONDS
    return _job(instance, check_job_name(instance.name, attempt_key), template)


def restore_job(request: RestoreRequest, instance: BackupInstance, settings: JobSettings) -> Manifest:
    """Return the one Job of `request`. That it acts once is the ledger's doing, not the Job's."""
    source = request.spec.source
    which = f"--backup={source.backup}" if source.before is None else f"--before={source.before.isoformat()}"
    words = (
        "restore",
        f"--instance={instance.database_id}",
        f"--database={source.database}",
        which,
        f"--to-database={request.spec.target_database}",
        f"--claim={request.claim}",
        f"--claim-uid={request.uid}",
    )
    template = _template(
        Role.RESTORE,
        instance,
        settings,
        words=words,
        request=request,
        deadline_seconds=instance.spec.job.active_deadline_seconds or RESTORE_SECONDS,
        backoff_limit=RESTORE_BACKOFF_LIMIT,
    )
    return _job(request, restore_job_name(request.name, request.uid), template)


def _backup_template(
    schedule: BackupSchedule, instance: BackupInstance, settings: JobSettings, *, reason: str
) -> Manifest:
    return _template(
        Role.BACKUP,
        instance,
        settings,
        words=("backup",),
        schedule=schedule,
        deadline_seconds=instance.spec.job.active_deadline_seconds or BACKUP_SECONDS,
        reason=reason,
    )


def _template(
    role: Role,
    instance: BackupInstance,
    settings: JobSettings,
    *,
    words: tuple[str, ...],
    deadline_seconds: int,
    schedule: BackupSchedule | None = None,
    request: RestoreRequest | None = None,
    backoff_limit: int | None = None,
    reason: str | None = None,
) -> Manifest:
    """Return metadata and spec of a Job, as a CronJob's ``jobTemplate`` holds them."""
    job = instance.spec.job
    ours = labels.labels(
        role,
        instance=instance.name,
        claim=instance.spec.storage.persistent_volume_claim.claim_name,
        schedule=schedule.name if schedule else None,
        request=request.name if request else None,
    )
    if backoff_limit is None:
        backoff_limit = BACKOFF_LIMIT if job.backoff_limit is None else job.backoff_limit
    config = app_config(instance, schedule=schedule, deadline_seconds=deadline_seconds, log_level=settings.log_level)
    return {
        "metadata": {"labels": {**(job.labels or {}), **ours}, "annotations": dict(job.annotations or {})},
        "spec": {
            "activeDeadlineSeconds": deadline_seconds,
            "backoffLimit": backoff_limit,
            "podFailurePolicy": _pod_failure_policy(),
            # a second pod while the first still ends would wait for the same locks
            "podReplacementPolicy": "Failed",
            "template": pod_template(
                instance, settings, words=words, config=config_text(config), pod_labels=ours, reason=reason
            ),
        },
    }


def _pod_failure_policy() -> Manifest:
    final = sorted(code.value for code in ExitCode if not code.retryable and code is not ExitCode.OK)
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": final}},
        ]
    }


def _metadata(parent: Identity, name: str, template: Manifest) -> Manifest:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": parent.namespace,
        "labels": dict(template["metadata"]["labels"]),
        "ownerReferences": labels.owner(parent),
    }
    if template["metadata"]["annotations"]:
        metadata["annotations"] = dict(template["metadata"]["annotations"])
    return metadata


def _job(parent: Identity, name: str, template: Manifest) -> Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(parent, name, template),
        "spec": template["spec"],
    }


def _cronjob(schedule: BackupSchedule, name: str, cron: str, template: Manifest) -> Manifest:
    spec = schedule.spec
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(schedule, name, template),
        "spec": {
            "schedule": cron,
            "timeZone": spec.time_zone,
            "suspend": spec.suspend,
            # tidiness only: what must not run twice is guarded by locks on the server and on the volume
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": spec.starting_deadline_seconds,
            "successfulJobsHistoryLimit": spec.successful_jobs_history_limit,
            "failedJobsHistoryLimit": spec.failed_jobs_history_limit,
            "jobTemplate": template,
        },
    }


def _retention_time(schedule: BackupSchedule) -> str:
    """Return a minute between 04:00 and 04:59 that follows from the name: not every schedule's retention at once."""
    minute = int(digest(f"{schedule.namespace}/{schedule.name}"), 16) % 60
    return f"{minute} {_RETENTION_HOUR} * * *"

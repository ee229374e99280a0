"""The closed list of reasons that conditions and Events show, beside those of `domain.exitcodes`.

A reason is an interface: alerts and `kubectl wait` users match it, so none is renamed. Each failure belongs to one of
two sorts: somebody must act (Stalled at once), or it may pass by itself (Stalled when it has lasted `PATIENCE`).
"""

from datetime import timedelta
from enum import StrEnum

from vya_backupdb.domain.exitcodes import ExitCode

PATIENCE = timedelta(minutes=10)


class Reason(StrEnum):
    """Reasons that the operator gives; those of a run come from its exit code."""

    # of the object itself
    INVALID_SPEC = "InvalidSpec"
    RECONCILED = "Reconciled"
    PENDING = "Pending"
    # of an instance
    CHECK_RUNNING = "CheckRunning"
    CHECK_PENDING = "CheckPending"
    CHECK_PASSED = "CheckPassed"
    NEVER_CHECKED = "NeverChecked"
    CONNECTED = "Connected"
    STORAGE_USABLE = "StorageUsable"
    CURRENT = "Current"
    LEGACY_KEY = "LegacyKey"
    ALL_COVERED = "AllCovered"
    UNCOVERED_DATABASES = "UncoveredDatabases"
    # of a schedule
    CRONJOBS_CURRENT = "CronJobsCurrent"
    INSTANCE_NOT_FOUND = "InstanceNotFound"
    INSTANCE_INVALID = "InstanceInvalid"
    INVALID_SCHEDULE = "InvalidSchedule"
    NAME_COLLISION = "NameCollision"
    NEVER_RUN = "NeverRun"
    WITHIN_MAX_AGE = "WithinMaxAge"
    OVERDUE = "Overdue"
    NEVER_SUCCEEDED = "NeverSucceeded"
    ANOMALY = "Anomaly"
    NO_ANOMALY = "NoAnomaly"
    # of a restore
    RESTORE_RUNNING = "RestoreRunning"
    COMPLETED = "Completed"
    # of a run, where its own report does not say
    SUCCEEDED = "Succeeded"
    ALREADY_DONE = "AlreadyDone"
    REPORT_LOST = "ReportLost"
    OUT_OF_MEMORY = "OutOfMemory"
    KILLED = "Killed"
    EVICTED = "Evicted"
    JOB_FAILED = "JobFailed"
    # of a pod that does not begin
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CLAIM_NOT_BOUND = "ClaimNotBound"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    MOUNT_FAILED = "MountFailed"
    CONTAINER_NOT_STARTED = "ContainerNotStarted"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_REFUSED = "PodRefused"
    # of a Job that is not made, or does not end
    JOB_REFUSED = "JobRefused"
    POD_TERMINATING = "PodTerminating"
    # of the operator's own work
    FORBIDDEN = "Forbidden"
    REJECTED = "Rejected"
    RETRYING = "Retrying"


# Events that the operator posts; each only on a transition
EVENTS = frozenset(
    {
        "Ready",
        "NotReady",
        "BackupStarted",
        "BackupSucceeded",
        "BackupFailed",
        "RetentionFailed",
        "AnomalyFound",
        "AnotherOperator",
        "RestoreStarted",
        "RestoreSucceeded",
        "RestoreFailed",
        "Stalled",
    }
)

_CREDENTIALS = frozenset({ExitCode.CREDENTIALS_MISSING.reason, ExitCode.CREDENTIALS_UNREADABLE.reason})
_CONNECTION = frozenset(
    {
        ExitCode.CONNECTION_FAILED.reason,
        ExitCode.AUTHENTICATION_FAILED.reason,
        ExitCode.TLS_FAILED.reason,
        ExitCode.PRIVILEGE_MISSING.reason,
        ExitCode.WRONG_SERVER.reason,
        ExitCode.CLIENT_MISSING.reason,
    }
)
_STORAGE = frozenset(
    {
        ExitCode.STORAGE_UNAVAILABLE.reason,
        ExitCode.NO_SPACE.reason,
        ExitCode.TREE_OWNED_BY_ANOTHER.reason,
        ExitCode.BACKUP_CORRUPT.reason,
        Reason.CLAIM_NOT_FOUND.value,
        Reason.CLAIM_NOT_BOUND.value,
        Reason.MOUNT_FAILED.value,
    }
)
# why a pod does not begin or end; its Job may die of its deadline without anyone having said more
HOLDING = frozenset(
    reason.value
    for reason in (
        Reason.CLAIM_NOT_FOUND,
        Reason.CLAIM_NOT_BOUND,
        Reason.UNSCHEDULABLE,
        Reason.IMAGE_UNAVAILABLE,
        Reason.MOUNT_FAILED,
        Reason.CONTAINER_NOT_STARTED,
        Reason.QUOTA_EXCEEDED,
        Reason.POD_REFUSED,
        Reason.POD_TERMINATING,
    )
)
# the words of a check for databases that are not, or cannot be, backed up
_COVERAGE = frozenset(
    {
        Reason.UNCOVERED_DATABASES.value,
        ExitCode.NOTHING_VISIBLE.reason,
        "Uncovered",
        "DatabasesHidden",
        "DatabaseMissing",
        "NothingCovered",
    }
)
# what waiting alone can mend: the server comes back, another run ends, somebody frees space, a node appears
_WAITS = frozenset(
    {
        ExitCode.CONNECTION_FAILED.reason,
        ExitCode.BUSY.reason,
        ExitCode.INTERRUPTED.reason,
        ExitCode.UNEXPECTED.reason,
        ExitCode.DEADLINE_EXCEEDED.reason,
        ExitCode.STORAGE_UNAVAILABLE.reason,
        # Secrets and instances may be applied after the object that names them (GitOps waves)
        ExitCode.CREDENTIALS_MISSING.reason,
        Reason.INSTANCE_NOT_FOUND.value,
        Reason.CLAIM_NOT_FOUND.value,
        Reason.CLAIM_NOT_BOUND.value,
        Reason.UNSCHEDULABLE.value,
        Reason.MOUNT_FAILED.value,
        Reason.CONTAINER_NOT_STARTED.value,
        Reason.QUOTA_EXCEEDED.value,
        Reason.IMAGE_UNAVAILABLE.value,
        Reason.POD_TERMINATING.value,
        Reason.KILLED.value,
        Reason.EVICTED.value,
        Reason.REPORT_LOST.value,
        Reason.RETRYING.value,
    }
)


# results of a run that are a success
GOOD = frozenset({Reason.SUCCEEDED.value, Reason.ALREADY_DONE.value})


class Area(StrEnum):
    """Which condition of an instance a failure belongs to."""

    CREDENTIALS = "CredentialsCurrent"
    CONNECTION = "Connected"
    STORAGE = "StorageReady"
    COVERAGE = "Covered"
    NONE = ""


def area(reason: str) -> Area:
    """Return the condition of an instance that `reason` makes false; NONE where it says nothing about any."""
    if reason in _CREDENTIALS:
        return Area.CREDENTIALS
    if reason in _CONNECTION:
        return Area.CONNECTION
    if reason in _STORAGE:
        return Area.STORAGE
    if reason in _COVERAGE:
        return Area.COVERAGE
    return Area.NONE


def needs_person(reason: str) -> bool:
    """Whether somebody must act before a failure of this reason can go away. An unknown reason does."""
    return reason not in _WAITS

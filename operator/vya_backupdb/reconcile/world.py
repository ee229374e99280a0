"""What `decide` may look at, and what it may answer. Frozen, plain, and without any way to reach the cluster.

A world is a snapshot of live reads: one object of the user's, the children that it controls, and what the kubelet and
the dumper said about them. A decision is data as well: the actions in order, the object's next status, and when to
look again although nothing rings.

Invariants: nothing here is read from a cache; a Job is ours only by the uid of its controller, never by its name or
label; a termination message is text from a foreign process until `parse_report` has accepted it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from vya_backupdb.domain.specs import BackupInstance, BackupSchedule, RestoreRequest, SpecProblem

Manifest = dict[str, Any]
Status = Mapping[str, Any]

#: So long a state that passes by itself is not told: a container that ends after another, a pod that goes.
SETTLED: Final = timedelta(seconds=60)


class Kind(StrEnum):
    """The three kinds that users apply."""

    INSTANCE = "BackupInstance"
    SCHEDULE = "BackupSchedule"
    RESTORE = "RestoreRequest"


@dataclass(frozen=True, order=True, slots=True)
class Key:
    """What the queue holds: one object of the user's."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something does not go on: `reason` in CamelCase, `message` with the remedy.

    `person` says whether somebody must act (Stalled at once), or whether it may pass by itself (Stalled when it lasts).
    `since` is when it began, where that is known and is not when its Job was made.
    """

    reason: str
    message: str
    person: bool = False
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod of a Job, as far as it tells how the run ended or why it does not begin.

    `beside` are containers that somebody else put into it, and that run on after the dumper.
    """

    name: str
    created: datetime
    phase: str
    blocked: Trouble | None = None
    exit_code: int | None = None
    end_reason: str = ""
    message: str = ""
    finished: datetime | None = None
    beside: tuple[str, ...] = ()


class JobState(StrEnum):
    """A Job is over only when its controller has said so, with every pod accounted for."""

    ACTIVE = "Active"
    COMPLETE = "Complete"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class JobView:
    """One Job. `owner` is its controller's uid; `why` and `detail` are those of its Failed condition.

    `stamp` is the digest of what it was made of; None where it has none. `beside` are the containers that run on in a
    Job which is over for us.
    """

    name: str
    uid: str
    owner: str | None
    created: datetime
    role: str = ""
    started: datetime | None = None
    finished: datetime | None = None
    state: JobState = JobState.ACTIVE
    why: str = ""
    detail: str = ""
    pods: tuple[PodView, ...] = ()
    blocked: Trouble | None = None
    deleting: bool = False
    stamp: str | None = None
    beside: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether no pod of it runs any more."""
        return self.state is not JobState.ACTIVE


@dataclass(frozen=True, slots=True)
class CronJobView:
    """One CronJob; `manifest` is what the server holds, for comparison; an operator last changed it when `applied`.

    Somebody else last changed it when `touched`. `refused` is why the Job of a slot that has come was not made.
    """

    name: str
    uid: str
    owner: str | None
    manifest: Manifest = field(compare=False)
    created: datetime
    suspended: bool = False
    last_schedule: datetime | None = None
    applied: datetime | None = None
    touched: datetime | None = None
    refused: Trouble | None = None


@dataclass(frozen=True, slots=True)
class InstanceWorld:
    """A BackupInstance, its check Jobs, and who refers to it. `resource` is None when the object is gone."""

    key: Key
    resource: BackupInstance | SpecProblem | None
    jobs: tuple[JobView, ...] = ()
    dependents: tuple[Key, ...] = ()
    access_modes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduleWorld:
    """A BackupSchedule, the instance that it names, its CronJobs, and the Jobs of both."""

    key: Key
    resource: BackupSchedule | SpecProblem | None
    instance: BackupInstance | SpecProblem | None = None
    cronjobs: tuple[CronJobView, ...] = ()
    jobs: tuple[JobView, ...] = ()
    access_modes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RestoreWorld:
    """A RestoreRequest, the instance of its source, and the Job of its name. `created` is the request's own age."""

    key: Key
    resource: RestoreRequest | SpecProblem | None
    created: datetime | None = None
    instance: BackupInstance | SpecProblem | None = None
    jobs: tuple[JobView, ...] = ()
    access_modes: tuple[str, ...] = ()


World = InstanceWorld | ScheduleWorld | RestoreWorld


@dataclass(frozen=True, slots=True)
class CreateJob:
    """POST, never patched. A Job of the same name is ours if its controller is."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class ApplyCronJob:
    """Server-side apply of the complete manifest; with the observed uid where one was observed."""

    manifest: Manifest
    uid: str | None


@dataclass(frozen=True, slots=True)
class SuspendCronJob:
    """Set ``suspend`` and nothing else: without its instance the manifest cannot be built."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class DeleteCronJob:
    """Delete this very object (by uid) with its Jobs."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete this very object (by uid) with its pods."""

    name: str
    uid: str


Action = CreateJob | ApplyCronJob | SuspendCronJob | DeleteCronJob | DeleteJob


@dataclass(frozen=True, slots=True)
class Announcement:
    """An Event on the user's object, made only on a transition. `warning` chooses its type."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do. `status` is the complete next status, or None to leave it; it is written only when it differs."""

    actions: tuple[Action, ...] = ()
    status: Status | None = None
    events: tuple[Announcement, ...] = ()
    wake_at: datetime | None = None
    ring: tuple[Key, ...] = ()

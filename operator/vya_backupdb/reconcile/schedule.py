"""What a BackupSchedule needs: its CronJobs as the spec says, one Job for each manual trigger, and an honest account.

The CronJobs do the work, also while the operator is down; nothing here decides whether a backup may run. A missing
instance suspends them, because their Jobs would have nothing to connect to, and never deletes them. A trigger is
answered when its Job has been seen: a Job's name is made of the trigger's value, so asking twice makes one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from vya_backupdb.builders.jobs import JobSettings, backup_cronjob, manual_job, retention_cronjob
from vya_backupdb.domain.ids import child_name, manual_job_name
from vya_backupdb.domain.schedule import next_run, parse_time_zone
from vya_backupdb.domain.specs import BackupInstance, BackupSchedule, SpecProblem
from vya_backupdb.domain.specs_schedule import MAX_HISTORY_ROWS
from vya_backupdb.reconcile import news
from vya_backupdb.reconcile.conditions import Wanted, find, parse_time, since, timestamp
from vya_backupdb.reconcile.contention import SIGNATURE, admitted_until, left_until, signature, told
from vya_backupdb.reconcile.drift import drifted, stamped
from vya_backupdb.reconcile.missed import look_again
from vya_backupdb.reconcile.reasons import Reason
from vya_backupdb.reconcile.runs import count_backups, count_retention, counted_before
from vya_backupdb.reconcile.status import build, earliest, holding, invalid, later, stalled, waiting
from vya_backupdb.reconcile.world import (
    Action,
    ApplyCronJob,
    CreateJob,
    CronJobView,
    Decision,
    DeleteCronJob,
    DeleteJob,
    JobState,
    JobView,
    Manifest,
    ScheduleWorld,
    Status,
    SuspendCronJob,
    Trouble,
)

DAY = timedelta(days=1)
# what a person mends in the spec of an instance or in the operator's image, and the Job keeps the old ones
_BY_SPEC = frozenset({Reason.IMAGE_UNAVAILABLE.value, Reason.UNSCHEDULABLE.value})
_OF_ITS_OWN_SPEC = ". A corrected spec or image is for the next Job: delete this one then"


def decide_schedule(world: ScheduleWorld, *, now: datetime, settings: JobSettings) -> Decision:
    """Return what to do for a BackupSchedule."""
    schedule = world.resource
    if schedule is None or schedule.deleting:
        return Decision()
    if isinstance(schedule, SpecProblem):
        return _invalid(world, schedule, now=now)
    return _Pass(world, schedule, now, settings).decide()


def _invalid(world: ScheduleWorld, problem: SpecProblem, *, now: datetime) -> Decision:
    """Return what becomes of CronJobs whose schedule cannot be read any more: they rest if it asks for that at least.

    Else they go on as they were: a slip in a field must not end the backups.
    """
    mine = [one for one in world.cronjobs if one.owner == problem.uid]
    fate = "go on as they were"
    if problem.suspend:
        fate = "are suspended"
        problem = replace(problem, status={**problem.status, "nextScheduleTime": None})
    message = f"{problem.message}; until it is corrected, its CronJobs {fate}" if mine else problem.message
    status = invalid(problem, Wanted("Ready", False, Reason.INVALID_SPEC, message), now=now)
    rest = tuple(SuspendCronJob(one.name, one.uid) for one in mine if problem.suspend and not one.suspended)
    return Decision(actions=rest, status=status, events=stalled(problem.status, status))


@dataclass(frozen=True, slots=True)
class _Pass:
    """One look at one schedule: what the parts of the decision share."""

    world: ScheduleWorld
    schedule: BackupSchedule
    now: datetime
    settings: JobSettings

    def decide(self) -> Decision:
        instance = self._instance()
        wanted = self._wanted(instance) if isinstance(instance, BackupInstance) else ()
        trouble = self._trouble(instance, wanted)
        trigger = self._trigger(instance)
        backups = count_backups(self.schedule.status, self._jobs("backup"), cron_job=self._backup_name, now=self.now)
        retention = count_retention(self.schedule.status, self._jobs("retention"))
        plausible = news.plausible(self.schedule.status, retention)
        status, wake_at = self._status(trouble, trigger, {**backups.fields, **retention.fields}, plausible, wanted)
        actions = (*self._cronjobs(instance, wanted), *trigger, *self._old_jobs(), *self._lingering_jobs())
        odd = news.odd(self.schedule.status, plausible)
        left = {one: until for one in self.world.cronjobs if self._ours(one) and (until := self._left(one))}
        others = tuple(told(one) for one in left)
        events = (*news.runs(backups, retention, trigger), *odd, *stalled(self.schedule.status, status), *others)
        return Decision(actions=actions, status=status, events=events, wake_at=earliest(wake_at, *left.values()))

    @property
    def _backup_name(self) -> str:
        return child_name(self.schedule.name, "backup")

    def _instance(self) -> BackupInstance | SpecProblem | None:
        """Return the instance; one that is being deleted is missing already."""
        instance = self.world.instance
        return None if instance is None or instance.deleting else instance

    def _wanted(self, instance: BackupInstance) -> tuple[Manifest, ...]:
        built = (
            backup_cronjob(self.schedule, instance, self.settings),
            retention_cronjob(self.schedule, instance, self.settings),
        )
        return tuple(stamped(manifest, {SIGNATURE: signature(self.settings)}) for manifest in built)

    def _ours(self, cronjob: CronJobView) -> bool:
        return cronjob.owner == self.schedule.uid

    def _jobs(self, role: str) -> list[JobView]:
        """Return our Jobs of `role`: those of our CronJobs (also hand-made ones) and those that we made."""
        owners = {self.schedule.uid} | {one.uid for one in self.world.cronjobs if self._ours(one)}
        return [job for job in self.world.jobs if job.owner in owners and job.role == role]

    def _cronjobs(self, instance: object, wanted: tuple[Manifest, ...]) -> tuple[Action, ...]:
        mine = {one.name: one for one in self.world.cronjobs if self._ours(one)}
        if not isinstance(instance, BackupInstance):
            running = mine.values() if instance is None else ()
            return tuple(SuspendCronJob(one.name, one.uid) for one in running if not one.suspended)
        strangers = {one.name for one in self.world.cronjobs} - set(mine)
        actions: list[Action] = []
        for manifest in wanted:
            name = manifest["metadata"]["name"]
            observed = mine.pop(name, None)
            if observed is not None and self._never_due(observed):
                actions.append(DeleteCronJob(observed.name, observed.uid))
            elif observed is not None and self._left(observed) is not None:
                continue
            elif observed is None and name not in strangers:
                actions.append(ApplyCronJob(manifest, None))
            elif observed is not None and self._to_apply(observed, manifest):
                actions.append(ApplyCronJob(manifest, observed.uid))
        return (*actions, *(DeleteCronJob(one.name, one.uid) for one in mine.values()))

    def _to_apply(self, observed: CronJobView, manifest: Manifest) -> bool:
        return drifted(manifest, observed.manifest) and admitted_until(observed, manifest, self.now) is None

    def _admitted(self, wanted: tuple[Manifest, ...]) -> tuple[str, ...]:
        """Return the names of the CronJobs that are not as wanted because the cluster changes them on their way in."""
        by_name = {manifest["metadata"]["name"]: manifest for manifest in wanted}
        mine = [(one, by_name[one.name]) for one in self.world.cronjobs if self._ours(one) and one.name in by_name]
        return tuple(
            one.name for one, manifest in mine if drifted(manifest, one.manifest) and not self._to_apply(one, manifest)
        )

    def _left(self, cronjob: CronJobView) -> datetime | None:
        return left_until(cronjob, signature(self.settings), self.now)

    def _never_due(self, cronjob: CronJobView) -> bool:
        """Whether a clock that jumped made `cronjob` wait for a day to come: it starts nothing until then.

        Then it is made anew. Not while one of its Jobs runs, which would go with it.
        """
        last = cronjob.last_schedule
        if last is None or last <= self.now + DAY:
            return False
        return all(job.over for job in self.world.jobs if job.owner == cronjob.uid)

    def _trouble(self, instance: object, wanted: tuple[Manifest, ...]) -> Trouble | None:
        name = self.schedule.spec.instance_ref.name
        if instance is None:
            return Trouble(
                Reason.INSTANCE_NOT_FOUND,
                f"BackupInstance {name} does not exist in this namespace; its CronJobs are suspended until it does",
            )
        if isinstance(instance, SpecProblem):
            return Trouble(Reason.INSTANCE_INVALID, f"BackupInstance {name}: {instance.message}", person=True)
        names = {manifest["metadata"]["name"] for manifest in wanted}
        for one in self.world.cronjobs:
            if one.name in names and not self._ours(one) and self._is_of_former(one):
                text = f"CronJob {one.name} is that of a former schedule of this name; the cluster takes it away"
                return Trouble(Reason.RETRYING, text)
            if one.name in names and not self._ours(one):
                text = (
                    f"CronJob {one.name} exists and is not this schedule's; rename the schedule or delete the CronJob"
                )
                return Trouble(Reason.NAME_COLLISION, text, person=True)
        return None

    def _is_of_former(self, cronjob: CronJobView) -> bool:
        """Whether a schedule that was replaced by this one made it: the garbage collector comes a moment later."""
        owners = cronjob.manifest.get("metadata", {}).get("ownerReferences") or ()
        return any(one.get("kind") == self.schedule.kind and one.get("name") == self.schedule.name for one in owners)

    def _trigger(self, instance: object) -> tuple[Action, ...]:
        """Return the creation of the Job that the current value of manualTrigger asks for, if it was not seen yet."""
        value = self.schedule.spec.manual_trigger
        if not value or not isinstance(instance, BackupInstance) or self._answered() == value:
            return ()
        return (CreateJob(manual_job(self.schedule, instance, value, self.settings)),)

    def _answered(self) -> str | None:
        """Return the last value of manualTrigger whose Job was seen."""
        value = self.schedule.spec.manual_trigger
        if value:
            name = manual_job_name(self.schedule.name, value)
            if any(job.name == name and job.owner == self.schedule.uid for job in self.world.jobs):
                return value
        last = self.schedule.status.get("lastManualTrigger")
        return str(last) if last else None

    def _old_jobs(self) -> tuple[Action, ...]:
        """Return the deletion of triggered Jobs beyond the limits; those of CronJobs their controller deletes.

        Only of Jobs that the stored status tells of: a crash after the deletion must not lose a run.
        """
        spec = self.schedule.spec
        limits = {
            JobState.COMPLETE: spec.successful_jobs_history_limit,
            JobState.FAILED: spec.failed_jobs_history_limit,
        }
        mine = [job for job in self.world.jobs if job.owner == self.schedule.uid and job.over and not job.beside]
        mine.sort(key=lambda job: job.finished or job.created, reverse=True)
        old = [job for state, limit in limits.items() for job in [one for one in mine if one.state is state][limit:]]
        return tuple(
            DeleteJob(job.name, job.uid) for job in old if counted_before(self.schedule.status, job, now=self.now)
        )

    def _lingering_jobs(self) -> tuple[Action, ...]:
        """Return the deletion of Jobs that only go on for what was put beside the dumper: the next could not begin."""
        old = self.schedule.status
        retained = (old.get("lastRetention") or {}).get("run")
        backups = [job for job in self._jobs("backup") if job.beside and counted_before(old, job, now=self.now)]
        retentions = [job for job in self._jobs("retention") if job.beside and job.name == retained]
        return tuple(DeleteJob(job.name, job.uid) for job in (*backups, *retentions))

    def _status(
        self,
        trouble: Trouble | None,
        trigger: tuple[Action, ...],
        counted: Mapping[str, Any],
        plausible: Wanted | None,
        cronjobs: tuple[Manifest, ...],
    ) -> tuple[dict[str, Any], datetime | None]:
        old = self.schedule.status
        backup = next((one for one in self.world.cronjobs if one.name == self._backup_name and self._ours(one)), None)
        last = backup.last_schedule if backup else None
        following = self._next(trouble)
        active = sorted(job.name for job in self._jobs("backup") if not job.over)[:MAX_HISTORY_ROWS]
        fields = {
            "lastScheduleTime": timestamp(last) if last else old.get("lastScheduleTime"),
            "nextScheduleTime": timestamp(following) if following else None,
            "lastManualTrigger": self._answered(),
            "active": active,
            **counted,
        }
        fresh, stale_at = self._fresh(counted)
        flag, until = self._flag(trouble, trigger)
        retained = news.last_retention(counted)
        wanted = (
            _ready(trouble, self._admitted(cronjobs)),
            news.last_backup(old, counted),
            fresh,
            retained,
            plausible,
            flag,
        )
        status = build(old, fields, wanted, generation=self.schedule.generation, now=self.now)
        return status, earliest(following, stale_at, until)

    def _next(self, trouble: Trouble | None) -> datetime | None:
        spec = self.schedule.spec
        if spec.suspend or (trouble is not None and trouble.reason == Reason.INSTANCE_NOT_FOUND):
            return None
        return next_run(spec.schedule, parse_time_zone(spec.time_zone), self.now)

    def _fresh(self, counted: Mapping[str, Any]) -> tuple[Wanted | None, datetime | None]:
        """Return condition Fresh if it is asked for, and when it changes by the clock alone."""
        limit = self.schedule.spec.max_age_seconds
        if limit is None:
            return None, None
        success = parse_time(counted.get("lastSuccessfulTime"))
        if success is None:
            return Wanted("Fresh", False, Reason.NEVER_SUCCEEDED, "no backup has succeeded yet"), None
        until = later(success, limit)
        if self.now < until:
            return Wanted(
                "Fresh", True, Reason.WITHIN_MAX_AGE, f"the last good backup is of {timestamp(success)}"
            ), until
        text = f"the last good backup is of {timestamp(success)}, more than {limit} seconds ago"
        return Wanted("Fresh", False, Reason.OVERDUE, text), None

    def _flag(self, trouble: Trouble | None, trigger: tuple[Action, ...]) -> tuple[Wanted | None, datetime | None]:
        if trouble is not None:
            lasting = since(self.schedule.status, "Ready") if _is_false(self.schedule.status) else None
            return waiting(trouble, lasting, now=self.now)
        if trigger:
            value = self.schedule.spec.manual_trigger
            return Wanted("Reconciling", True, Reason.PENDING, f"a Job for manualTrigger {value!r} is being made"), None
        return self._blocked()

    def _blocked(self) -> tuple[Wanted | None, datetime | None]:
        """Return Stalled if a run cannot begin or end; before that a pod that waits is nothing to report."""
        soonest = earliest(*(look_again(one, self.now) for one in self.world.cronjobs if self._ours(one)))
        for trouble, start, again in self._held():
            soonest = earliest(soonest, again)
            if trouble is None:
                continue
            flag, until = waiting(trouble, start, now=self.now)
            if flag.type == "Stalled":
                return flag, None
            soonest = earliest(soonest, until)
        return None, soonest

    def _held(self) -> Iterator[tuple[Trouble | None, datetime, datetime | None]]:
        """Yield what holds a run up, since when at the latest, and when to look again; the oldest Job's first."""
        for job in sorted((*self._jobs("backup"), *self._jobs("retention")), key=lambda one: one.created):
            trouble, again = holding(job, now=self.now)
            if trouble is not None:
                hint = _OF_ITS_OWN_SPEC if trouble.person or trouble.reason in _BY_SPEC else ""
                trouble = replace(trouble, message=f"Job {job.name}: {trouble.message}{hint}")
            yield trouble, job.created, again
        for one in self.world.cronjobs:
            if self._ours(one) and one.refused is not None:
                yield replace(one.refused, message=f"CronJob {one.name}: {one.refused.message}"), self.now, None


def _ready(trouble: Trouble | None, admitted: tuple[str, ...]) -> Wanted:
    if trouble is not None:
        return Wanted("Ready", False, trouble.reason, trouble.message)
    text = "the CronJobs are as the spec says"
    if admitted:
        text = f"{text}, but for what an admission policy of the cluster makes of {', '.join(admitted)}"
    return Wanted("Ready", True, Reason.CRONJOBS_CURRENT, text)


def _is_false(status: Status) -> bool:
    ready = find(status, "Ready")
    return ready is not None and ready.get("status") == "False"

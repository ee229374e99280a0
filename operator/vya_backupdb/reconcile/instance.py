"""What a BackupInstance needs: one check Job a slot, and conditions that say what the check saw.

A slot is named by uid, generation and the due time that the status holds, so the same slot is the same Job however
often it is asked for. A change of the spec drops the due time, and so makes a new first slot at once. The operator
cannot see Secrets or servers come back, hence the repeated checks of an instance that is not Ready.

A check that only repeats an earlier one leaves the conditions alone until it has ended: no daily flicker.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from vya_backupdb.builders.jobs import JobSettings, check_job
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import Finding, RunReport, ServerReport
from vya_backupdb.domain.specs import BackupInstance, SpecProblem
from vya_backupdb.reconcile.conditions import Wanted, find, is_true, keep, parse_time, since, timestamp
from vya_backupdb.reconcile.outcome import Outcome, outcome
from vya_backupdb.reconcile.reasons import HOLDING, Area, Reason, area
from vya_backupdb.reconcile.sober import CLOCK_ERROR
from vya_backupdb.reconcile.status import (
    build,
    compact,
    earliest,
    holding,
    invalid,
    later,
    stalled,
    transition,
    waiting,
)
from vya_backupdb.reconcile.text import clean
from vya_backupdb.reconcile.world import (
    Action,
    Announcement,
    CreateJob,
    Decision,
    DeleteJob,
    InstanceWorld,
    JobView,
    Manifest,
    Status,
    Trouble,
)

RETRY_SECONDS = (60, 120, 300, 600)
FINDINGS = 20
_AREAS = (Area.CONNECTION, Area.STORAGE, Area.CREDENTIALS, Area.COVERAGE)
# what a check that passed proves, whatever else its report says
_PROVED = (Area.CONNECTION, Area.STORAGE, Area.CREDENTIALS)
_GOOD = {
    Area.CONNECTION: Reason.CONNECTED,
    Area.STORAGE: Reason.STORAGE_USABLE,
    Area.CREDENTIALS: Reason.CURRENT,
    Area.COVERAGE: Reason.ALL_COVERED,
}


def decide_instance(world: InstanceWorld, *, now: datetime, settings: JobSettings) -> Decision:
    """Return what to do for a BackupInstance."""
    resource = world.resource
    if resource is None:
        return Decision(ring=world.dependents)
    if resource.deleting:
        return Decision()
    changed = resource.status.get("observedGeneration") != resource.generation
    ring = world.dependents if changed else ()
    if isinstance(resource, SpecProblem):
        ready = Wanted("Ready", False, Reason.INVALID_SPEC, resource.message)
        status = invalid(resource, ready, now=now)
        return Decision(status=status, events=stalled(resource.status, status), ring=ring)
    due = None if changed else parse_time(resource.status.get("nextCheckTime"))
    if due is not None and now < due <= now + _longest(resource):
        return Decision(actions=_leftovers(world, resource.status.get("lastCheckJob")), wake_at=due)
    manifest = check_job(resource, attempt_key(resource, due), settings)
    return _check(world, resource, manifest, changed=changed, ring=ring, now=now)


def _longest(instance: BackupInstance) -> timedelta:
    """Return how far the next check may lie ahead; a status that says more is wrong, or is of a clock that was."""
    return timedelta(seconds=max(instance.spec.check_interval_seconds, *RETRY_SECONDS)) + CLOCK_ERROR


def attempt_key(instance: BackupInstance, due: datetime | None) -> str:
    """Return what names the slot of a check; `due` is None for the first one of a generation."""
    return f"{instance.uid}:{instance.generation}:{timestamp(due) if due else 'first'}"


def _check(
    world: InstanceWorld,
    instance: BackupInstance,
    manifest: Manifest,
    *,
    changed: bool,
    ring: tuple[Any, ...],
    now: datetime,
) -> Decision:
    """Return the step of the slot whose Job is `manifest`: make it, wait for it, or read it."""
    name = str(manifest["metadata"]["name"])
    job = next((job for job in world.jobs if job.name == name and job.owner == instance.uid), None)
    tidy = _leftovers(world, name)
    wake_at: datetime | None
    if job is None or not job.over:
        status, wake_at = _underway(instance, job, changed=changed, now=now)
    else:
        status, wake_at = _ended(
            instance, job, failed_before=0 if changed else _failed_checks(instance.status), now=now
        )
    make: tuple[Action, ...] = (CreateJob(manifest),) if job is None else ()
    return Decision(
        actions=(*make, *tidy), status=status, events=_events(instance.status, status), wake_at=wake_at, ring=ring
    )


def _leftovers(world: InstanceWorld, current: str | None) -> tuple[Action, ...]:
    """Return the deletion of every check Job but the `current` one: of earlier slots and of earlier specs."""
    owner = world.resource.uid if world.resource else None
    return tuple(DeleteJob(job.name, job.uid) for job in world.jobs if job.owner == owner and job.name != current)


def _underway(
    instance: BackupInstance, job: JobView | None, *, changed: bool, now: datetime
) -> tuple[dict[str, Any], datetime | None]:
    """Return the status while the check's Job is to be made, waits, or runs."""
    old = instance.status
    held, again = holding(job, now=now) if job is not None else (None, None)
    if job is not None and held is not None:
        return _in_trouble(instance, _fields(old), held, start=job.created, now=now)
    if find(old, "Ready") is None or changed:
        message = "the instance is being checked"
        ready = Wanted("Ready", None, Reason.CHECK_RUNNING, message)
        flag: tuple[Wanted | None, ...] = (Wanted("Reconciling", True, Reason.CHECK_RUNNING, message),)
        fields = {**_fields(old), "nextCheckTime": None, "failedChecks": 0}
        return _status(instance, fields, ready, {}, flag, now=now), again
    ready = keep(old, "Ready", Wanted("Ready", None, Reason.NEVER_CHECKED))
    flag, wake_at = _flag(old, ready, now=now)
    return _status(instance, _fields(old), ready, {}, flag, now=now), earliest(wake_at, again)


def _failed_checks(old: Status) -> int:
    count = old.get("failedChecks")
    return count if isinstance(count, int) else 0


def _ended(
    instance: BackupInstance, job: JobView, *, failed_before: int, now: datetime
) -> tuple[dict[str, Any], datetime | None]:
    """Return the status after a check, and when the next one is due."""
    end = outcome(job)
    old = instance.status
    count = 0 if end.succeeded else failed_before + 1
    delay = instance.spec.check_interval_seconds if end.succeeded else RETRY_SECONDS[min(count, len(RETRY_SECONDS)) - 1]
    due = later(min(end.finished, now), delay)
    fields = {
        **_fields(old),
        **_seen(end.report if end.reported else None),
        "lastCheckTime": timestamp(end.finished),
        "lastCheckJob": job.name,
        "nextCheckTime": timestamp(due),
        "failedChecks": count,
    }
    if not end.succeeded:
        trouble = _why(old, end)
        status, wake_at = _in_trouble(instance, fields, trouble, start=None, now=now, report=end.report)
        return status, earliest(wake_at, due)
    ready = Wanted("Ready", True, Reason.CHECK_PASSED, _summary(end.report))
    proved = {one: Wanted(one, True, _GOOD[one]) for one in _PROVED} | _areas(end.report)
    return _status(instance, fields, ready, proved, (), now=now), due


def _why(old: Status, end: Outcome) -> Trouble:
    """Return the cause of a failed check: a Job that died of its deadline without a pod keeps what was seen of it."""
    ready = find(old, "Ready")
    before = str(ready.get("reason")) if ready else ""
    if not end.reported and end.result == ExitCode.DEADLINE_EXCEEDED.reason and before in HOLDING:
        return Trouble(before, str(ready.get("message")) if ready else end.message)
    return Trouble(end.result, end.message)


def _in_trouble(
    instance: BackupInstance,
    fields: Mapping[str, Any],
    trouble: Trouble,
    *,
    start: datetime | None,
    now: datetime,
    report: RunReport | None = None,
) -> tuple[dict[str, Any], datetime | None]:
    ready = Wanted("Ready", False, trouble.reason, trouble.message)
    old = instance.status
    # not the Job's age alone: each repeated check has a new Job, and Stalled would come and go with them
    lasting = earliest(start, None if is_true(old, "Ready") else since(old, "Ready"))
    flag, wake_at = waiting(trouble, lasting, now=now)
    failing = area(trouble.reason)
    areas = {
        **_areas(report),
        **({failing: Wanted(failing, False, trouble.reason, trouble.message)} if failing else {}),
    }
    return _status(instance, fields, ready, areas, (flag,), now=now), wake_at


def _flag(old: Status, ready: Wanted, *, now: datetime) -> tuple[tuple[Wanted | None, ...], datetime | None]:
    """Return the abnormal condition that goes with a Ready that stands as it was."""
    if ready.status is True:
        return (), None
    if ready.status is None:
        return (Wanted("Reconciling", True, ready.reason, ready.message),), None
    flag, wake_at = waiting(Trouble(ready.reason, ready.message), since(old, "Ready"), now=now)
    return (flag,), wake_at


def _status(
    instance: BackupInstance,
    fields: Mapping[str, Any],
    ready: Wanted,
    areas: Mapping[Area, Wanted],
    flags: tuple[Wanted | None, ...],
    *,
    now: datetime,
) -> dict[str, Any]:
    """Return the whole status; an area of which nothing new is known stands as it stood."""
    unknown = "no check has come so far yet"
    rest = tuple(
        areas.get(one) or keep(instance.status, one, Wanted(one, None, Reason.NEVER_CHECKED, unknown)) for one in _AREAS
    )
    return build(instance.status, fields, (ready, *rest, *flags), generation=instance.generation, now=now)


def _fields(old: Status) -> dict[str, Any]:
    return {key: value for key, value in old.items() if key not in ("conditions", "observedGeneration")}


def _areas(report: RunReport | None) -> dict[Area, Wanted]:
    """Return what `report` proves of each area; an area of which it says nothing is left out."""
    if report is None:
        return {}
    seen = (Area.CREDENTIALS, Area.CONNECTION) if report.server is not None else ()
    stored = (Area.STORAGE,) if report.storage is not None else ()
    areas = {one: Wanted(one, True, _GOOD[one]) for one in (*seen, *stored)}
    if report.server is not None:
        areas[Area.COVERAGE] = _coverage(report)
    for finding in report.findings:
        about = _about(finding)
        if about and (about not in areas or areas[about].status is not False):
            areas[about] = Wanted(about, False, finding.reason, clean(finding.message))
    return areas


def _about(finding: Finding) -> Area:
    if finding.reason == Reason.LEGACY_KEY:
        return Area.CREDENTIALS
    about = area(finding.reason)
    return about if finding.blocking or about is Area.COVERAGE else Area.NONE


def _coverage(report: RunReport) -> Wanted:
    server = report.server
    if server is not None and server.uncovered:
        text = f"{server.uncovered} of {server.databases} databases are not backed up; status.findings says why"
        return Wanted(Area.COVERAGE, False, Reason.UNCOVERED_DATABASES, text)
    return Wanted(Area.COVERAGE, True, Reason.ALL_COVERED)


def _seen(report: RunReport | None) -> dict[str, Any]:
    """Return the fields that a check's report fills; what it does not say stays as it was."""
    if report is None:
        return {}
    findings = [{"reason": clean(one.reason, 100), "message": clean(one.message)} for one in report.findings[:FINDINGS]]
    seen: dict[str, Any] = {"findings": [one for one in findings if one["reason"]]}
    if report.server is not None:
        server = report.server
        seen["server"] = compact(
            {
                "product": clean(server.product, 100),
                "version": clean(server.version, 100),
                "identity": clean(server.identity, 100),
            }
        )
        seen["databases"] = {"count": _covered(server), "uncovered": server.uncovered}
    if report.storage is not None:
        seen["storage"] = compact({"freeBytes": report.storage.free_bytes, "totalBytes": report.storage.total_bytes})
    return seen


def _summary(report: RunReport | None) -> str:
    if report is None or report.server is None:
        return clean(report.message) if report else ""
    server = report.server
    return clean(f"{server.product} {server.version}, {_covered(server)} databases to back up")


def _covered(server: ServerReport) -> int:
    """Return how many databases are backed up; the report counts all that there are."""
    return max(0, server.databases - server.uncovered)


def _events(old: Status, new: Status) -> tuple[Announcement, ...]:
    ready = transition(old, new, "Ready")
    condition = find(new, "Ready") or {}
    text = f"{condition.get('reason')}: {condition.get('message')}"
    told: tuple[Announcement, ...] = ()
    if ready is not None:
        told = (Announcement("Ready" if ready else "NotReady", text, warning=not ready),)
    return (*told, *stalled(old, new))

"""What a RestoreRequest needs: exactly one Job, and its end for ever.

The Job's name is made of the object's uid, so one object has one Job; the ledger on the volume, which the Job claims,
does what names cannot: a request that Git makes again, or a Job that somebody deleted, does not restore twice. A
terminal status is never taken back, whatever becomes of the Job.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vya_backupdb.builders.jobs import JobSettings, restore_job
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import restore_job_name
from vya_backupdb.domain.report import RestoredReport
from vya_backupdb.domain.specs import BackupInstance, RestoreRequest, SpecProblem
from vya_backupdb.reconcile.conditions import Wanted, find, timestamp
from vya_backupdb.reconcile.drift import APPLIED, stamped
from vya_backupdb.reconcile.outcome import Outcome, last_failure, outcome
from vya_backupdb.reconcile.reasons import Reason
from vya_backupdb.reconcile.status import build, compact, earliest, holding, invalid, stalled, waiting
from vya_backupdb.reconcile.text import clean
from vya_backupdb.reconcile.world import (
    SETTLED,
    Action,
    Announcement,
    CreateJob,
    Decision,
    DeleteJob,
    JobView,
    Manifest,
    RestoreWorld,
    Status,
    Trouble,
)


def decide_restore(world: RestoreWorld, *, now: datetime, settings: JobSettings) -> Decision:
    """Return what to do for a RestoreRequest."""
    request = world.resource
    if request is None or request.deleting or is_terminal(request.status):
        return Decision()
    if isinstance(request, SpecProblem):
        # not False: that would be its end, and another version of the operator may understand it
        status = invalid(request, Wanted("Succeeded", None, Reason.INVALID_SPEC, request.message), now=now)
        return Decision(status=status, events=stalled(request.status, status))
    name = restore_job_name(request.name, request.uid)
    job = next((job for job in world.jobs if job.name == name), None)
    if job is not None and job.owner != request.uid:
        text = f"Job {name} exists and is not this request's; delete it"
        return _wait(world, request, Trouble(Reason.NAME_COLLISION, text, person=True), now=now)
    if job is None:
        return _begin(world, request, now=now, settings=settings)
    if job.over:
        return _ended(request, job, now=now)
    return _anew(world, request, job, now=now, settings=settings) or _running(request, job, now=now)


def is_terminal(status: Status) -> bool:
    """Whether a request with this `status` has ended, well or not."""
    condition = find(status, "Succeeded")
    return condition is not None and condition.get("status") in ("True", "False")


def _begin(world: RestoreWorld, request: RestoreRequest, *, now: datetime, settings: JobSettings) -> Decision:
    """Return the creation of the Job, or what it waits for."""
    name = request.spec.source.instance_ref.name
    instance = world.instance
    if instance is None or instance.deleting:
        text = f"BackupInstance {name} does not exist in this namespace; create it, or delete this request"
        return _wait(world, request, Trouble(Reason.INSTANCE_NOT_FOUND, text), now=now)
    if not isinstance(instance, BackupInstance):
        text = f"BackupInstance {name}: {instance.message}"
        return _wait(world, request, Trouble(Reason.INSTANCE_INVALID, text, person=True), now=now)
    manifest = _made_of(request, instance, settings)
    job = str(manifest["metadata"]["name"])
    making: tuple[Action, ...] = (CreateJob(manifest),)
    started = (Announcement("RestoreStarted", f"Job {job} restores {request.spec.source.database}"),)
    status = _active(request, {"job": job}, f"Job {job} is to begin", now=now)
    return Decision(actions=making, status=status, events=started)


def _made_of(request: RestoreRequest, instance: BackupInstance, settings: JobSettings) -> Manifest:
    return stamped(restore_job(request, instance, settings), {})


def _anew(
    world: RestoreWorld, request: RestoreRequest, job: JobView, *, now: datetime, settings: JobSettings
) -> Decision | None:
    """Return the deletion of a Job that does not get on and is of an older spec or image; when gone, it is made anew.

    A Job never changes, so the remedy that its condition names would not reach it until its deadline. Nothing runs that
    would be ended; if something has just begun, the ledger and the journal on the volume settle it as after a crash.
    """
    waits = job.blocked or last_failure(job)
    if waits is None or job.deleting or now < job.created + SETTLED or any(one.phase == "Running" for one in job.pods):
        return None
    if not isinstance(world.instance, BackupInstance) or world.instance.deleting:
        return None
    wanted = _made_of(request, world.instance, settings)["metadata"]["annotations"][APPLIED]
    if job.stamp in (None, wanted):
        return None
    message = f"Job {job.name} is made anew, because the BackupInstance or the operator has changed"
    return Decision(actions=(DeleteJob(job.name, job.uid),), status=_active(request, {}, message, now=now))


def _wait(world: RestoreWorld, request: RestoreRequest, trouble: Trouble, *, now: datetime) -> Decision:
    """Return the status of a request that cannot begin; its age is how long it has waited."""
    flag, until = waiting(trouble, world.created, now=now)
    wanted = (Wanted("Succeeded", None, trouble.reason, trouble.message), flag)
    status = build(request.status, _fields(request), wanted, generation=request.generation, now=now)
    return Decision(status=status, events=stalled(request.status, status), wake_at=until)


def _running(request: RestoreRequest, job: JobView, *, now: datetime) -> Decision:
    fields = {"job": job.name, "startTime": timestamp(job.started) if job.started else None}
    trouble, look_again = _trouble(job, now=now)
    if trouble is None:
        status = _active(request, fields, f"Job {job.name} is running", now=now)
        return Decision(status=status, wake_at=look_again)
    flag, until = waiting(trouble, job.created, now=now)
    wanted = (Wanted("Succeeded", None, trouble.reason, trouble.message), flag)
    fields = {**_fields(request), **fields}
    status = build(request.status, fields, wanted, generation=request.generation, now=now)
    return Decision(status=status, events=stalled(request.status, status), wake_at=earliest(until, look_again))


def _trouble(job: JobView, *, now: datetime) -> tuple[Trouble | None, datetime | None]:
    """Return why the Job does not get on, and when to look again.

    Its pods are tried again until the deadline: what the last one failed of stands until the next has lived for a
    while, or the condition would flicker with every try.
    """
    held, again = holding(job, now=now)
    if held is not None:
        return held, None
    failure = last_failure(job)
    if failure is not None and failure.reason == ExitCode.ALREADY_EXECUTED.reason:
        # the Job is about to end by its policy: that end is told, and it is not Stalled
        return None, again
    running = [pod for pod in job.pods if pod.phase == "Running"]
    if failure is None or not running:
        return failure, again
    settled = running[-1].created + SETTLED
    return (None, again) if now >= settled else (failure, earliest(settled, again))


def _active(request: RestoreRequest, fields: Mapping[str, Any], message: str, *, now: datetime) -> dict[str, Any]:
    wanted = (
        Wanted("Succeeded", None, Reason.RESTORE_RUNNING, message),
        Wanted("Reconciling", True, Reason.RESTORE_RUNNING, message),
    )
    return build(request.status, {**_fields(request), **fields}, wanted, generation=request.generation, now=now)


def _ended(request: RestoreRequest, job: JobView, *, now: datetime) -> Decision:
    """Return the terminal status: what `job` reports, once and for all."""
    end = outcome(job)
    if end.result == Reason.REPORT_LOST and job.deleting:
        # when it is gone, that rings
        return Decision()
    if end.result == Reason.REPORT_LOST and not request.status.get("completionTime"):
        return _ask_again(request, job, end, now=now)
    report = end.report
    restored = report.restored if report else None
    fields = {
        **_fields(request),
        "job": job.name,
        "startTime": timestamp(end.started),
        "completionTime": timestamp(end.finished),
        "exitCode": report.exit_code if report and end.reported else None,
        **_brought_back(restored),
    }
    if end.succeeded:
        wanted: tuple[Wanted, ...] = (Wanted("Succeeded", True, Reason.COMPLETED, end.message),)
        told = Announcement("RestoreSucceeded", f"{job.name}: {end.message}")
    else:
        wanted = (Wanted("Succeeded", False, end.result, end.message),)
        told = Announcement("RestoreFailed", f"{job.name}: {end.result}: {end.message}", warning=True)
        # a request made again by Git is no fault: it must not show as failed for ever
        if end.result != ExitCode.ALREADY_EXECUTED.reason:
            wanted = (*wanted, Wanted("Stalled", True, end.result, end.message))
    status = build(request.status, fields, wanted, generation=request.generation, now=now)
    return Decision(status=status, events=(told,))


def _ask_again(request: RestoreRequest, job: JobView, end: Outcome, *, now: datetime) -> Decision:
    """Return the deletion of a Job whose pods are gone with its report, as a drained node takes them, once.

    It is made again by the same name, and the ledger on the volume answers: nothing is restored a second time.
    """
    message = f"{end.message}; it is asked once more, which restores nothing twice"
    wanted = (
        Wanted("Succeeded", None, Reason.REPORT_LOST, message),
        Wanted("Reconciling", True, Reason.REPORT_LOST, message),
    )
    fields = {**_fields(request), "job": job.name, "completionTime": timestamp(end.finished)}
    status = build(request.status, fields, wanted, generation=request.generation, now=now)
    return Decision(actions=(DeleteJob(job.name, job.uid),), status=status)


def _brought_back(restored: RestoredReport | None) -> dict[str, Any]:
    if restored is None:
        return {}
    counts = {"bytes": restored.bytes, "tables": restored.tables, "rows": restored.rows}
    return {"backup": clean(restored.backup_id), "restored": compact(counts)}


def _fields(request: RestoreRequest) -> dict[str, Any]:
    """Return what stays of the old status."""
    kept = {key: value for key, value in request.status.items() if key not in ("conditions", "observedGeneration")}
    return {**kept, "target": request.spec.target_database}

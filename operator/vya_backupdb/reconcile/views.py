"""From the API server's JSON to the views that `decide` reads. Pure: bytes came in elsewhere.

Every field may be missing: what a cluster holds was written by many programs of many versions. What is missing reads as
"not yet", never as an end: a Job is over only by its Complete or Failed condition.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from vya_backupdb.builders.labels import APP, ROLE
from vya_backupdb.reconcile.blocking import EPOCH, beside, blocked_job, blocked_pod, dumper
from vya_backupdb.reconcile.conditions import parse_time
from vya_backupdb.reconcile.drift import APPLIED
from vya_backupdb.reconcile.text import clean
from vya_backupdb.reconcile.world import CronJobView, JobState, JobView, Manifest, PodView


def controller_uid(manifest: Mapping[str, Any]) -> str | None:
    """Return the uid of the controller that `manifest` names in its ownerReferences, or None."""
    for owner in manifest.get("metadata", {}).get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid"))
    return None


def created_at(manifest: Mapping[str, Any]) -> datetime:
    """Return when the object was made (UTC); the epoch for an object that does not say."""
    return parse_time(manifest.get("metadata", {}).get("creationTimestamp")) or EPOCH


def job_view(manifest: Manifest, *, pods: Iterable[Manifest] = (), events: Iterable[Manifest] = ()) -> JobView:
    """Return the view of a Job with those of `pods` that are its own; `events` are those of the Job and its pods."""
    meta, status = manifest.get("metadata", {}), manifest.get("status") or {}
    uid = str(meta.get("uid", ""))
    views = sorted((pod_view(pod) for pod in pods if controller_uid(pod) == uid), key=lambda pod: pod.created)
    state, why, detail, ended = _end(status)
    return JobView(
        name=str(meta.get("name", "")),
        uid=uid,
        owner=controller_uid(manifest),
        created=created_at(manifest),
        role=str((meta.get("labels") or {}).get(ROLE, "")),
        started=parse_time(status.get("startTime")),
        finished=ended,
        state=state,
        why=why,
        detail=detail,
        pods=tuple(views),
        blocked=blocked_job(views, events) if state is JobState.ACTIVE else None,
        deleting=meta.get("deletionTimestamp") is not None,
        stamp=(meta.get("annotations") or {}).get(APPLIED),
    )


def _end(status: Mapping[str, Any]) -> tuple[JobState, str, str, datetime | None]:
    for condition in status.get("conditions") or ():
        if condition.get("status") != "True" or condition.get("type") not in ("Complete", "Failed"):
            continue
        state = JobState.COMPLETE if condition["type"] == "Complete" else JobState.FAILED
        ended = parse_time(status.get("completionTime")) or parse_time(condition.get("lastTransitionTime"))
        return state, str(condition.get("reason") or ""), clean(condition.get("message")), ended
    return JobState.ACTIVE, "", "", None


def cronjob_view(manifest: Manifest) -> CronJobView:
    """Return the view of a CronJob."""
    meta = manifest.get("metadata", {})
    return CronJobView(
        name=str(meta.get("name", "")),
        uid=str(meta.get("uid", "")),
        owner=controller_uid(manifest),
        manifest=manifest,
        created=created_at(manifest),
        suspended=bool((manifest.get("spec") or {}).get("suspend")),
        last_schedule=parse_time((manifest.get("status") or {}).get("lastScheduleTime")),
        applied=_changed(meta, by_us=True),
        touched=_changed(meta, by_us=False),
    )


def _changed(meta: Mapping[str, Any], *, by_us: bool) -> datetime | None:
    """Return when an operator of ours last changed the object by an apply, or when anybody else last did."""
    # the gateway applies under this name; a status is the CronJob controller's
    times = [
        parse_time(entry.get("time"))
        for entry in meta.get("managedFields") or ()
        if (entry.get("manager") == APP and entry.get("operation") == "Apply") is by_us and not entry.get("subresource")
    ]
    return max((one for one in times if one is not None), default=None)


def pod_view(manifest: Manifest) -> PodView:
    """Return the view of a pod: how its dumper ended, or why it does not begin."""
    meta, status = manifest.get("metadata", {}), manifest.get("status") or {}
    state = dumper(status.get("containerStatuses") or ()).get("state") or {}
    ended = state.get("terminated") or {}
    return PodView(
        name=str(meta.get("name", "")),
        created=created_at(manifest),
        phase=str(status.get("phase") or "Pending"),
        blocked=blocked_pod(manifest),
        exit_code=ended.get("exitCode"),
        # the kubelet's own verdict on the pod (Evicted, DeadlineExceeded) says more than the container's "Error"
        end_reason=str(status.get("reason") or ended.get("reason") or ""),
        message=str(ended.get("message") or ""),
        finished=parse_time(ended.get("finishedAt")),
        beside=beside(status),
    )

"""From the API server's JSON to the views that `decide` reads. Pure: bytes came in elsewhere.

Every field may be missing: what a cluster holds was written by many programs of many versions. What is missing reads as
"not yet", never as an end: a Job is over only by its Complete or Failed condition.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vya_backupdb.builders.labels import APP, CONTAINER, ROLE
from vya_backupdb.reconcile.conditions import parse_time
from vya_backupdb.reconcile.reasons import Reason
from vya_backupdb.reconcile.text import clean
from vya_backupdb.reconcile.world import CronJobView, JobState, JobView, Manifest, PodView, Trouble

EPOCH = datetime.fromtimestamp(0, tz=UTC)

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_QUIET = frozenset({"", "ContainerCreating", "PodInitializing"})


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
        blocked=_blocked_job(views, events) if state is JobState.ACTIVE else None,
        deleting=meta.get("deletionTimestamp") is not None,
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
        suspended=bool((manifest.get("spec") or {}).get("suspend")),
        last_schedule=parse_time((manifest.get("status") or {}).get("lastScheduleTime")),
        applied=_applied(meta),
    )


def _applied(meta: Mapping[str, Any]) -> datetime | None:
    """Return when an operator of ours last changed the object by an apply."""
    for entry in meta.get("managedFields") or ():
        # the gateway applies under this name
        if entry.get("manager") == APP and entry.get("operation") == "Apply":
            return parse_time(entry.get("time"))
    return None


def pod_view(manifest: Manifest) -> PodView:
    """Return the view of a pod: how its dumper ended, or why it does not begin."""
    meta, status = manifest.get("metadata", {}), manifest.get("status") or {}
    state = _dumper(status.get("containerStatuses") or ()).get("state") or {}
    ended = state.get("terminated") or {}
    return PodView(
        name=str(meta.get("name", "")),
        created=created_at(manifest),
        phase=str(status.get("phase") or "Pending"),
        blocked=_blocked_pod(status, state.get("waiting") or {}),
        exit_code=ended.get("exitCode"),
        # the kubelet's own verdict on the pod (Evicted, DeadlineExceeded) says more than the container's "Error"
        end_reason=str(status.get("reason") or ended.get("reason") or ""),
        message=str(ended.get("message") or ""),
        finished=parse_time(ended.get("finishedAt")),
    )


def _dumper(containers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the status of our container; an admission webhook may have put others beside it."""
    return next((one for one in containers if one.get("name") == CONTAINER), {})


def _blocked_pod(status: Mapping[str, Any], waiting: Mapping[str, Any]) -> Trouble | None:
    if status.get("phase") not in (None, "", "Pending"):
        return None
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _unscheduled(clean(condition.get("message")))
    reason, message = str(waiting.get("reason") or ""), clean(waiting.get("message"))
    if reason in _IMAGE:
        return Trouble(
            Reason.IMAGE_UNAVAILABLE,
            f"the dumper image cannot be pulled ({reason}: {message}); correct the image or the pull secret",
        )
    if reason not in _QUIET:
        return Trouble(Reason.CONTAINER_NOT_STARTED, f"the container does not start ({reason}: {message})")
    return None


def _unscheduled(message: str) -> Trouble:
    if "persistentvolumeclaim" in message and "not found" in message:
        return Trouble(
            Reason.CLAIM_NOT_FOUND,
            f"the PersistentVolumeClaim of spec.storage does not exist in this namespace ({message}); create it",
        )
    if "unbound" in message and "PersistentVolumeClaim" in message:
        return Trouble(
            Reason.CLAIM_NOT_BOUND,
            f"the PersistentVolumeClaim of spec.storage is not bound ({message}); look at its events",
        )
    return Trouble(Reason.UNSCHEDULABLE, f"no node takes the pod ({message})")


def _blocked_job(pods: list[PodView], events: Iterable[Manifest]) -> Trouble | None:
    """Return what keeps an active Job from running: its newest pod's own word first, then the newest Event."""
    newest = pods[-1] if pods else None
    if newest is not None and newest.blocked is not None:
        return newest.blocked
    if newest is not None and newest.phase != "Pending":
        return None
    for event in sorted(events, key=_event_time, reverse=True):
        trouble = _told_by(event, has_pod=newest is not None)
        if trouble is not None:
            return trouble
    return None


def _event_time(event: Manifest) -> datetime:
    texts = (event.get("lastTimestamp"), event.get("eventTime"), event.get("firstTimestamp"))
    return next((moment for moment in map(parse_time, texts) if moment), EPOCH)


def _told_by(event: Manifest, *, has_pod: bool) -> Trouble | None:
    reason, message = event.get("reason"), clean(event.get("message"))
    if reason in ("FailedMount", "FailedAttachVolume") and has_pod:
        return Trouble(Reason.MOUNT_FAILED, f"a volume cannot be mounted ({message})")
    if reason == "FailedCreate" and not has_pod:
        if "exceeded quota" in message:
            return Trouble(Reason.QUOTA_EXCEEDED, f"the namespace's quota has no room for the pod ({message})")
        return Trouble(Reason.POD_REFUSED, f"the cluster refuses the pod ({message})", person=True)
    return None

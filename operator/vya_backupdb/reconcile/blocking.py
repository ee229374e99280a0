"""What keeps a Job from being made, from beginning or from ending: its pods' own status says it, else an Event.

Every word is the cluster's own, cleaned and cut; what is added is the remedy. An admission webhook may put containers
beside ours. They begin before it does, so their troubles are the Job's; or they run on after it, and the Job with them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from vya_backupdb.builders.labels import CLAIM, CONTAINER
from vya_backupdb.reconcile.conditions import parse_time
from vya_backupdb.reconcile.reasons import Reason
from vya_backupdb.reconcile.text import clean
from vya_backupdb.reconcile.world import SETTLED, JobState, JobView, Manifest, PodView, Trouble

EPOCH = datetime.fromtimestamp(0, tz=UTC)

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_QUIET = frozenset({"", "ContainerCreating", "PodInitializing"})
_ENDED = frozenset({"Succeeded", "Failed"})
_KEEP_OUT = "keep it out of these pods by a label or an annotation in spec.job of the BackupInstance"
# a server that fails for a moment, or a webhook that does not answer, refuses nothing
_REFUSAL = re.compile(r" is forbidden| is invalid|denied|PriorityClass")
# what LimitRanges and quotas on resources say of a pod
_RESOURCES = re.compile(r" usage per |must specify |No limit is specified|limit to request ratio")
#: The controllers' clocks and ours.
_CLOCK_ERROR = timedelta(minutes=1)


def dumper(containers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the status of our container among those of a pod."""
    return next((one for one in containers if one.get("name") == CONTAINER), {})


def blocked_pod(manifest: Manifest) -> Trouble | None:
    """Return why a pod does not begin, or does not end; None where it goes on or has ended."""
    status = manifest.get("status") or {}
    phase = status.get("phase") or "Pending"
    if phase in _ENDED:
        return None
    if phase == "Pending":
        return _not_scheduled(status) or _not_started(status) or _not_gone(manifest)
    return _not_gone(manifest)


def settled(job: JobView, now: datetime) -> JobView:
    """Return `job` as over where its dumper has ended `SETTLED` ago, and only what was put beside it runs on.

    Its controller would wait for that until the deadline, and then throw the pod away with its report.
    """
    pod = job.pods[-1] if job.pods else None
    again = unsettled(job)
    if pod is None or again is None or now < again:
        return job
    state = JobState.COMPLETE if pod.exit_code == 0 else JobState.FAILED
    return replace(job, state=state, finished=pod.finished, why="ContainersBeside", blocked=None, beside=pod.beside)


def unsettled(job: JobView) -> datetime | None:
    """Return when `job` counts as over for what runs on beside its dumper; None where nothing does."""
    pod = job.pods[-1] if job.pods else None
    if job.over or pod is None or not pod.beside or pod.finished is None:
        return None
    return pod.finished + SETTLED


def blocked_job(pods: Sequence[PodView], events: Iterable[Manifest]) -> Trouble | None:
    """Return what keeps an active Job from running: its newest pod's own word first, then the newest Event."""
    newest = pods[-1] if pods else None
    if newest is not None and newest.blocked is not None:
        return newest.blocked
    if newest is not None and newest.phase != "Pending":
        return None
    told = (_told_by(event, has_pod=newest is not None) for event in sorted(events, key=_event_time, reverse=True))
    return next((trouble for trouble in told if trouble is not None), None)


def refused_job(events: Iterable[Manifest], slot: datetime) -> Trouble | None:
    """Return why the Job of `slot` was not made, from the Events about its CronJob; None where none says so."""
    failed = [one for one in events if one.get("reason") == "FailedCreate" and _event_time(one) >= slot - _CLOCK_ERROR]
    if not failed:
        return None
    message = clean(max(failed, key=_event_time).get("message"))
    if not _REFUSAL.search(message):
        return Trouble(Reason.RETRYING, f"the Job that was due cannot be made yet ({message})", since=slot)
    if "exceeded quota" in message:
        text = f"the namespace's quota has no room for the Job that was due ({message})"
        return Trouble(Reason.QUOTA_EXCEEDED, text, since=slot)
    return Trouble(Reason.JOB_REFUSED, f"the cluster refuses the Job that was due ({message})", person=True)


def _not_scheduled(status: Mapping[str, Any]) -> Trouble | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _unscheduled(clean(condition.get("message")))
    return None


def _unscheduled(message: str) -> Trouble:
    claim = "the PersistentVolumeClaim of spec.storage"
    about_claim = "persistentvolumeclaim" in message.lower()
    if about_claim and ("unbound" in message or "non-existent persistentvolume" in message):
        return Trouble(Reason.CLAIM_NOT_BOUND, f"{claim} is not bound ({message}); look at its events")
    if about_claim and "is being deleted" in message:
        # what protects a claim counts ended pods, too: without help it would never be gone
        text = (
            f"{claim} is being deleted ({message}); it goes when its last pod has, ended ones as well: delete the Jobs"
            f" (kubectl delete jobs -l {CLAIM}=…), then create it again"
        )
        return Trouble(Reason.CLAIM_NOT_FOUND, text)
    if about_claim and "not found" in message:
        return Trouble(Reason.CLAIM_NOT_FOUND, f"{claim} does not exist in this namespace ({message}); create it")
    hint = ""
    if "pod affinity" in message:
        hint = "; Jobs of one claim run on one node, unless the claim is ReadWriteMany"
    return Trouble(Reason.UNSCHEDULABLE, f"no node takes the pod ({message}){hint}")


def _not_started(status: Mapping[str, Any]) -> Trouble | None:
    """Return why a container does not start: ours first, then those beside it."""
    beside = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in (dumper(beside), *beside):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        if reason in _QUIET:
            continue
        name, why = container.get("name"), f"{reason}: {clean(waiting.get('message'))}"
        if name != CONTAINER:
            text = f"container {clean(name)!r}, put beside the dumper, does not start ({why}); mend it, or {_KEEP_OUT}"
            return Trouble(Reason.CONTAINER_NOT_STARTED, text)
        if reason in _IMAGE:
            text = f"the dumper image cannot be pulled ({why}); correct the image or the pull secret"
            return Trouble(Reason.IMAGE_UNAVAILABLE, text)
        return Trouble(Reason.CONTAINER_NOT_STARTED, f"the container does not start ({why})")
    return None


def _not_gone(manifest: Manifest) -> Trouble | None:
    """Return that a pod lives beyond the time by which it was to be deleted, as on a node that is lost."""
    meta = manifest.get("metadata", {})
    due = parse_time(meta.get("deletionTimestamp"))
    if due is None:
        return None
    node = clean((manifest.get("spec") or {}).get("nodeName"))
    text = (
        f"pod {meta.get('name')} was to be gone by {meta['deletionTimestamp']}; where its node {node} is lost for good,"
        " delete the Node, or the pod with --force, so that another may begin"
    )
    return Trouble(Reason.POD_TERMINATING, text, since=due)


def beside(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the containers of a pod that run on although the dumper has ended."""
    containers = status.get("containerStatuses") or ()
    if status.get("phase") != "Running" or not (dumper(containers).get("state") or {}).get("terminated"):
        return ()
    return tuple(clean(one.get("name")) for one in containers if (one.get("state") or {}).get("running") is not None)


def _event_time(event: Manifest) -> datetime:
    texts = (event.get("lastTimestamp"), event.get("eventTime"), event.get("firstTimestamp"))
    return next((moment for moment in map(parse_time, texts) if moment), EPOCH)


def _told_by(event: Manifest, *, has_pod: bool) -> Trouble | None:
    reason, message = event.get("reason"), clean(event.get("message"))
    if reason in ("FailedMount", "FailedAttachVolume") and has_pod:
        return Trouble(Reason.MOUNT_FAILED, f"a volume cannot be mounted ({message})")
    if reason != "FailedCreate" or has_pod:
        return None
    if "exceeded quota" in message:
        return Trouble(Reason.QUOTA_EXCEEDED, f"the namespace's quota has no room for the pod ({message})")
    if not _REFUSAL.search(message):
        return Trouble(Reason.RETRYING, f"the pod cannot be made yet ({message})")
    hint = ""
    if _RESOURCES.search(message):
        hint = "; set spec.job.resources of the BackupInstance to what the namespace's LimitRange or quota asks for"
    return Trouble(Reason.POD_REFUSED, f"the cluster refuses the pod ({message}){hint}", person=True)

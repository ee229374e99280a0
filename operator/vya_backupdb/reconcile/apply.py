"""A decision into calls, in an order that survives a crash between any two of them.

First a fence where Jobs are to be made: the status is confirmed as it was read, so that an operator that slept over its
reading makes nothing (the write is empty, so nothing changes). Then the actions, each of which may be repeated: names
are deterministic, deletions name a uid. Then the status, against the version that was read. Events last: they are news,
not state.

A Job name that is taken is ours if the controller's uid is, else `NameCollision`.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vya_backupdb.builders.labels import ROLE
from vya_backupdb.domain.ids import PREFIX, digest
from vya_backupdb.kube.errors import AlreadyExists, Conflict, KubernetesError
from vya_backupdb.kube.gateway import CRONJOBS, EVENTS, FIELD_MANAGER, JOBS, Gateway
from vya_backupdb.reconcile.conditions import timestamp
from vya_backupdb.reconcile.decide import SUMMARY
from vya_backupdb.reconcile.observe import TYPES
from vya_backupdb.reconcile.reasons import Reason
from vya_backupdb.reconcile.status import failed
from vya_backupdb.reconcile.text import clean
from vya_backupdb.reconcile.views import controller_uid
from vya_backupdb.reconcile.world import (
    Action,
    Announcement,
    ApplyCronJob,
    CreateJob,
    Decision,
    DeleteCronJob,
    DeleteJob,
    Key,
    Manifest,
    SuspendCronJob,
    Trouble,
)

logger = logging.getLogger(__name__)


class NameCollision(KubernetesError):
    """An object of the name that we need exists and is not ours."""

    reason = Reason.NAME_COLLISION.value


async def apply(gateway: Gateway, key: Key, manifest: Manifest | None, decision: Decision, *, now: datetime) -> None:
    """Carry `decision` out on the object that was read as `manifest`.

    Raise KubernetesError at the first refusal, with the status telling of it, beside all else that was decided.
    """
    if manifest is None:
        return
    if any(isinstance(action, CreateJob) for action in decision.actions):
        manifest = await gateway.replace_status(TYPES[key.kind], manifest, manifest.get("status") or {})
    for action in decision.actions:
        try:
            await act(gateway, key.namespace, action)
            logger.info("%s: %s", key, describe(action))
        except Conflict:
            raise
        except KubernetesError as error:
            await write_status(gateway, key, manifest, _refused(key, manifest, decision, action, error, now=now))
            raise
    await write_status(gateway, key, manifest, decision.status)
    for event in decision.events:
        logger.info("%s: %s: %s", key, event.reason, clean(event.message))
        await announce(gateway, key, manifest, event, now=now)


def _refused(
    key: Key, manifest: Manifest, decision: Decision, action: Action, error: KubernetesError, *, now: datetime
) -> Mapping[str, Any]:
    """Return the decided status with the refusal of `action` in it; without its CronJobs a schedule is not Ready."""
    old = manifest.get("status") or {}
    return failed(
        old,
        decision.status or old,
        Trouble(error.reason, clean(str(error))),
        SUMMARY[key.kind],
        untrue=isinstance(action, ApplyCronJob | SuspendCronJob | DeleteCronJob),
        generation=manifest["metadata"].get("generation", 0),
        now=now,
    )


def describe(action: Action) -> str:
    """Return `action` in a few words, for the log."""
    match action:
        case CreateJob(manifest):
            return f"Job {manifest['metadata']['name']} made"
        case ApplyCronJob(manifest, _):
            return f"CronJob {manifest['metadata']['name']} applied"
        case SuspendCronJob(name, _):
            return f"CronJob {name} suspended"
        case DeleteCronJob(name, _):
            return f"CronJob {name} deleted"
        case DeleteJob(name, _):
            return f"Job {name} deleted"


async def act(gateway: Gateway, namespace: str, action: Action) -> None:
    """Carry one action out; each may be repeated."""
    match action:
        case CreateJob(manifest):
            await _create_job(gateway, manifest)
        case ApplyCronJob(manifest, uid):
            await gateway.apply(CRONJOBS, manifest, uid=uid)
        case SuspendCronJob(name, uid):
            await gateway.suspend(namespace, name, uid=uid)
        case DeleteCronJob(name, uid):
            await gateway.delete(CRONJOBS, namespace, name, uid=uid)
        case DeleteJob(name, uid):
            await gateway.delete(JOBS, namespace, name, uid=uid)


async def write_status(gateway: Gateway, key: Key, manifest: Manifest, status: Mapping[str, Any] | None) -> None:
    """Write `status` if it differs from what was read. By its JSON: an enum's member is its text there."""
    if status is None:
        return
    plain = json.loads(json.dumps(status))
    if plain != (manifest.get("status") or {}):
        await gateway.replace_status(TYPES[key.kind], manifest, plain)


async def announce(gateway: Gateway, key: Key, manifest: Manifest, event: Announcement, *, now: datetime) -> None:
    """Post an Event on the object. Its name follows from what it says and when: a repetition is no second one."""
    meta = manifest["metadata"]
    moment = timestamp(now)
    text = event.message[:1000]
    about = digest(f"{meta.get('uid')}:{event.reason}:{text}:{moment}", 16)
    body: Manifest = {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": f"{key.name[:200]}.{about}", "namespace": key.namespace},
        "involvedObject": {
            "apiVersion": TYPES[key.kind].api_version,
            "kind": key.kind.value,
            "namespace": key.namespace,
            "name": key.name,
            "uid": meta.get("uid"),
            "resourceVersion": meta.get("resourceVersion"),
        },
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "message": text,
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": f"{PREFIX}/operator",
        "reportingInstance": FIELD_MANAGER,
        "action": "Reconcile",
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
    try:
        await gateway.create(EVENTS, body)
    except KubernetesError:
        # a lost Event is a lost line of news; the status, which is written already, is what counts
        return


async def _create_job(gateway: Gateway, manifest: Manifest) -> None:
    meta = manifest["metadata"]
    try:
        await gateway.create(JOBS, manifest)
    except AlreadyExists as error:
        there = await gateway.get(JOBS, meta["namespace"], meta["name"])
        if controller_uid(there) != controller_uid(manifest):
            text = f"Job {meta['name']} exists and is not ours; delete it, or rename the object that needs it"
            raise NameCollision(text) from error
        if there["metadata"].get("labels", {}).get(ROLE) is None:
            # it would not be found, and so be made again each time
            text = f"somebody took our labels from Job {meta['name']}, so it is not found any more; delete it"
            raise NameCollision(text) from error

"""Live reads into a world. Everything is asked for anew each time: a stale reading is the root of doing a thing twice.

The object comes first and its children after it, so that a child that a reading of the status does not know of yet can
only be newer. Pods and Events are asked for only where they say something: of Jobs that run or have just ended.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from vya_backupdb.builders import labels
from vya_backupdb.domain.ids import child_name, restore_job_name
from vya_backupdb.domain.specs import (
    BackupInstance,
    SpecProblem,
    parse_instance,
    parse_restore,
    parse_schedule,
)
from vya_backupdb.kube.errors import NotFound
from vya_backupdb.kube.gateway import (
    CLAIMS,
    CRONJOBS,
    INSTANCES,
    JOBS,
    PODS,
    RESTORES,
    SCHEDULES,
    Gateway,
    ResourceType,
)
from vya_backupdb.reconcile.blocking import refused_job
from vya_backupdb.reconcile.missed import unmet
from vya_backupdb.reconcile.runs import counted_before
from vya_backupdb.reconcile.views import created_at, cronjob_view, job_view
from vya_backupdb.reconcile.world import (
    CronJobView,
    InstanceWorld,
    JobView,
    Key,
    Kind,
    Manifest,
    RestoreWorld,
    ScheduleWorld,
    Status,
    World,
)

TYPES: Mapping[Kind, ResourceType] = {
    Kind.INSTANCE: INSTANCES,
    Kind.SCHEDULE: SCHEDULES,
    Kind.RESTORE: RESTORES,
}


@dataclass(frozen=True, slots=True)
class Observed:
    """A world, and the object as it was read: what the next status is written onto. None when it is gone."""

    world: World
    manifest: Manifest | None


async def observe(gateway: Gateway, key: Key, *, now: datetime) -> Observed:
    """Return the world of `key` at about `now`. Raise KubernetesError where a read fails."""
    manifest = await _get(gateway, TYPES[key.kind], key.namespace, key.name)
    if key.kind is Kind.INSTANCE:
        return Observed(await _instance(gateway, key, manifest, now), manifest)
    if manifest is None:
        gone = ScheduleWorld(key, None) if key.kind is Kind.SCHEDULE else RestoreWorld(key, None)
        return Observed(gone, None)
    if key.kind is Kind.SCHEDULE:
        return Observed(await _schedule(gateway, key, manifest, now), manifest)
    return Observed(await _restore(gateway, key, manifest, now), manifest)


async def _instance(gateway: Gateway, key: Key, manifest: Manifest | None, now: datetime) -> InstanceWorld:
    dependents = await _dependents(gateway, key)
    if manifest is None:
        return InstanceWorld(key, None, dependents=dependents)
    resource = parse_instance(manifest)
    chosen = {labels.INSTANCE: labels.label_value(key.name), labels.ROLE: labels.Role.CHECK.value}
    jobs = await _jobs(gateway, key.namespace, await gateway.find(JOBS, key.namespace, chosen), status={}, now=now)
    modes = await _access_modes(gateway, resource)
    return InstanceWorld(key, resource, jobs=jobs, dependents=dependents, access_modes=modes)


async def _dependents(gateway: Gateway, key: Key) -> tuple[Key, ...]:
    """Return the schedules and the requests that name the instance: what happens to it concerns them."""
    schedules = await gateway.find(SCHEDULES, key.namespace, {})
    requests = await gateway.find(RESTORES, key.namespace, {})
    named = [
        *((Kind.SCHEDULE, one, one.get("spec", {})) for one in schedules),
        *((Kind.RESTORE, one, one.get("spec", {}).get("source", {})) for one in requests),
    ]
    return tuple(
        Key(kind, key.namespace, one["metadata"]["name"])
        for kind, one, part in named
        if part.get("instanceRef", {}).get("name") == key.name
    )


async def _schedule(gateway: Gateway, key: Key, manifest: Manifest, now: datetime) -> ScheduleWorld:
    resource = parse_schedule(manifest)
    chosen = {labels.SCHEDULE: labels.label_value(key.name)}
    if isinstance(resource, SpecProblem):
        return ScheduleWorld(key, resource, cronjobs=await _cronjobs(gateway, key, chosen))
    instance = await _named_instance(gateway, key.namespace, resource.spec.instance_ref.name)
    cronjobs = await _cronjobs(gateway, key, chosen)
    found = await gateway.find(JOBS, key.namespace, chosen)
    return ScheduleWorld(
        key,
        resource,
        instance=instance,
        cronjobs=tuple([await _refused(gateway, key.namespace, one, now) for one in cronjobs]),
        jobs=await _jobs(gateway, key.namespace, found, status=resource.status, now=now),
        access_modes=await _access_modes(gateway, instance),
    )


async def _cronjobs(gateway: Gateway, key: Key, chosen: Mapping[str, str]) -> tuple[CronJobView, ...]:
    """Return the CronJobs with our label, and whatever holds one of the names that we need."""
    found = {one["metadata"]["name"]: one for one in await gateway.find(CRONJOBS, key.namespace, chosen)}
    for role in (labels.Role.BACKUP, labels.Role.RETENTION):
        name = child_name(key.name, role.value)
        stranger = None if name in found else await _get(gateway, CRONJOBS, key.namespace, name)
        if stranger is not None:
            found[name] = stranger
    return tuple(cronjob_view(found[name]) for name in sorted(found))


async def _refused(gateway: Gateway, namespace: str, cronjob: CronJobView, now: datetime) -> CronJobView:
    """Return `cronjob` with why the Job of a slot was not made; asked for only where one is missing."""
    slot = unmet(cronjob, now)
    if slot is None:
        return cronjob
    return replace(cronjob, refused=refused_job(await gateway.events_about(namespace, cronjob.uid), slot))


async def _restore(gateway: Gateway, key: Key, manifest: Manifest, now: datetime) -> RestoreWorld:
    resource = parse_restore(manifest)
    if isinstance(resource, SpecProblem):
        return RestoreWorld(key, resource)
    name = restore_job_name(resource.name, resource.uid)
    job = await _get(gateway, JOBS, key.namespace, name)
    instance = await _named_instance(gateway, key.namespace, resource.spec.source.instance_ref.name)
    jobs = await _jobs(gateway, key.namespace, [job] if job else [], status={}, now=now)
    modes = await _access_modes(gateway, instance)
    return RestoreWorld(key, resource, created=created_at(manifest), instance=instance, jobs=jobs, access_modes=modes)


async def _named_instance(gateway: Gateway, namespace: str, name: str) -> BackupInstance | SpecProblem | None:
    manifest = await _get(gateway, INSTANCES, namespace, name)
    return parse_instance(manifest) if manifest is not None else None


async def _access_modes(gateway: Gateway, instance: BackupInstance | SpecProblem | None) -> tuple[str, ...]:
    """Return the access modes of the instance's claim; none while it does not exist."""
    if not isinstance(instance, BackupInstance):
        return ()
    name = instance.spec.storage.persistent_volume_claim.claim_name
    claim = await _get(gateway, CLAIMS, instance.namespace, name)
    return tuple((claim or {}).get("spec", {}).get("accessModes") or ())


async def _jobs(
    gateway: Gateway, namespace: str, manifests: list[Manifest], *, status: Status, now: datetime
) -> tuple[JobView, ...]:
    """Return the views of Jobs, each with the pods and Events that it is still worth asking for."""
    return tuple(await asyncio.gather(*(_job(gateway, namespace, one, status, now) for one in manifests)))


async def _job(gateway: Gateway, namespace: str, manifest: Manifest, status: Status, now: datetime) -> JobView:
    bare = job_view(manifest)
    if bare.over and counted_before(status, bare, now=now):
        return bare
    pods = await gateway.find(PODS, namespace, {labels.JOB_NAME: bare.name})
    view = job_view(manifest, pods=pods)
    if view.over or view.blocked is not None or any(pod.phase != "Pending" for pod in view.pods):
        return view
    # not begun, and nobody has said why: quota, Pod Security and mounts are told in Events only
    uids = (bare.uid, *(str(pod["metadata"]["uid"]) for pod in pods))
    events = [event for uid in uids for event in await gateway.events_about(namespace, uid)]
    return job_view(manifest, pods=pods, events=events)


async def _get(gateway: Gateway, type_: ResourceType, namespace: str, name: str) -> Manifest | None:
    try:
        return await gateway.get(type_, namespace, name)
    except NotFound:
        return None

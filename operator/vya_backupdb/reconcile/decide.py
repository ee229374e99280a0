"""decide(world, now): what to do next, for each kind. Pure: the same world at the same time makes the same decision."""

from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from vya_backupdb.builders.jobs import JobSettings
from vya_backupdb.domain.specs import Identity
from vya_backupdb.reconcile.blocking import settled, unsettled
from vya_backupdb.reconcile.instance import decide_instance
from vya_backupdb.reconcile.mounts import by_source
from vya_backupdb.reconcile.restore import decide_restore
from vya_backupdb.reconcile.schedule import decide_schedule
from vya_backupdb.reconcile.sober import sobered
from vya_backupdb.reconcile.status import earliest
from vya_backupdb.reconcile.world import Decision, InstanceWorld, Kind, ScheduleWorld, World

T = TypeVar("T")

# the condition that sums an object of each kind up (kstatus)
SUMMARY = {Kind.INSTANCE: "Ready", Kind.SCHEDULE: "Ready", Kind.RESTORE: "Succeeded"}


def decide(world: World, *, now: datetime, settings: JobSettings) -> Decision:
    """Return what to do for the object of `world` at `now` (UTC)."""
    settings = replace(settings, claim_access_modes=world.access_modes)
    again = earliest(*(unsettled(job) for job in world.jobs))
    instance = world.resource if isinstance(world, InstanceWorld) else world.instance
    world = replace(world, jobs=tuple(settled(by_source(job, instance), now) for job in world.jobs))
    decision = _decide(world, now=now, settings=settings)
    if again is None or again <= now:
        return decision
    return replace(decision, wake_at=earliest(decision.wake_at, again))


def _decide(world: World, *, now: datetime, settings: JobSettings) -> Decision:
    if isinstance(world, InstanceWorld):
        return decide_instance(replace(world, resource=_sober(world.resource, now)), now=now, settings=settings)
    if isinstance(world, ScheduleWorld):
        return decide_schedule(replace(world, resource=_sober(world.resource, now)), now=now, settings=settings)
    return decide_restore(replace(world, resource=_sober(world.resource, now)), now=now, settings=settings)


def _sober(resource: T, now: datetime) -> T:
    return replace(resource, status=sobered(resource.status, now)) if isinstance(resource, Identity) else resource

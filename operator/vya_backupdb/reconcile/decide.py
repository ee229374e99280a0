"""decide(world, now): what to do next, for each kind. Pure: the same world at the same time makes the same decision."""

from dataclasses import replace
from datetime import datetime

from vya_backupdb.builders.jobs import JobSettings
from vya_backupdb.reconcile.instance import decide_instance
from vya_backupdb.reconcile.restore import decide_restore
from vya_backupdb.reconcile.schedule import decide_schedule
from vya_backupdb.reconcile.world import Decision, InstanceWorld, Kind, ScheduleWorld, World

# the condition that sums an object of each kind up (kstatus)
SUMMARY = {Kind.INSTANCE: "Ready", Kind.SCHEDULE: "Ready", Kind.RESTORE: "Succeeded"}


def decide(world: World, *, now: datetime, settings: JobSettings) -> Decision:
    """Return what to do for the object of `world` at `now` (UTC)."""
    settings = replace(settings, claim_access_modes=world.access_modes)
    if isinstance(world, InstanceWorld):
        return decide_instance(world, now=now, settings=settings)
    if isinstance(world, ScheduleWorld):
        return decide_schedule(world, now=now, settings=settings)
    return decide_restore(world, now=now, settings=settings)

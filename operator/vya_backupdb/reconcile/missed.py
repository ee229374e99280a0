"""A slot that came and for which no Job was made.

The CronJob controller tells of a Job that the cluster refuses (a quota of Jobs, an admission policy) in an Event about
the CronJob, and nowhere else: there is no Job to look at, and the last one that there was ended well.
"""

from datetime import datetime

from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.schedule import next_run, parse_time_zone
from vya_backupdb.reconcile.world import SETTLED, CronJobView


def unmet(cronjob: CronJobView, now: datetime) -> datetime | None:
    """Return the first slot since the last one that was begun, if it has come by `now`; by the CronJob's own text."""
    spec = cronjob.manifest.get("spec") or {}
    if cronjob.suspended:
        return None
    since = max(cronjob.created, cronjob.last_schedule or cronjob.created)
    try:
        slot = next_run(str(spec.get("schedule")), parse_time_zone(str(spec.get("timeZone") or "UTC")), since)
    except ConfigurationError:
        # somebody's hand is in it; it is about to be mended
        return None
    return slot if slot <= now else None


def look_again(cronjob: CronJobView, now: datetime) -> datetime | None:
    """Return when a slot that has just come should have its Job; None where none is waited for."""
    slot = unmet(cronjob, now)
    return slot + SETTLED if slot is not None and now < slot + SETTLED else None

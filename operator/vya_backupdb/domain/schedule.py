"""When a schedule comes due, as the CronJob controller sees it. Pure: the moment asked about is an argument. Slots are
returned in UTC: in a repeated hour Python holds a local time unequal to the same instant in any other zone.

A slot is a real minute whose wall clock in the schedule's zone fits the text. So an hour that the clock skips has none,
and one that it repeats has them twice: that is what robfig/cron, and so Kubernetes, does (kubernetes#121594), and it is
why names in the tree carry a number and the run id, not the hour, tells runs apart. In the one zone that changes its
clock by half an hour (Lord Howe) robfig loses slots near the change; so do we, as the corpus of the tests shows.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

from vya_backupdb.domain.cron import parse_cron
from vya_backupdb.domain.errors import ConfigurationError

# Kubernetes' own rule for a zone's name (pkg/apis/batch/validation); the rest is what the database must hold.
_ZONE_PART: Final = re.compile(r"[A-Za-z._0-9+][A-Za-z._0-9+-]{0,13}")
_NO_ZONES: Final = frozenset({"local", "localtime", "posixrules", "factory"})
_JOB_NAME: Final = re.compile(r"(?P<cron_job>.+)-(?P<minutes>[1-9]\d{7})", re.ASCII)
_MINUTE: Final = timedelta(minutes=1)


def parse_time_zone(name: str, *, field: str = "timeZone") -> ZoneInfo:
    """Return the IANA zone `name`. Raise ConfigurationError naming `field`: ``Local`` would mean a node's own clock."""
    parts = name.split("/")
    plain = all(_ZONE_PART.fullmatch(part) and part not in {".", ".."} for part in parts)
    try:
        if not plain or name.lower() in _NO_ZONES or parts[0] in {"posix", "right"}:
            raise ValueError(name)
        return _zone(name)
    except (KeyError, ValueError, OSError):
        hint = "Write an IANA name such as UTC or Europe/Berlin."
        raise ConfigurationError(f"{field} {name!r} is not a time zone", hint=hint) from None


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def next_run(schedule: str, time_zone: ZoneInfo, after: datetime) -> datetime:
    """Return the first slot (UTC) strictly after `after` (aware). Raise ConfigurationError on a bad text."""
    return next(_slots(schedule, time_zone, after, reverse=False))


def previous_run(schedule: str, time_zone: ZoneInfo, at: datetime) -> datetime:
    """Return the last slot (UTC) at or before `at` (aware). Raise ConfigurationError on a bad text."""
    floor = at.astimezone(UTC).replace(second=0, microsecond=0)
    return next(_slots(schedule, time_zone, floor + _MINUTE, reverse=True))


def _slots(schedule: str, time_zone: ZoneInfo, start: datetime, *, reverse: bool) -> Iterator[datetime]:
    """Return the slots from `start` (exclusive) on, in real time.

    The field for seconds makes cronsim leave out what Debian's cron does about clock changes and Kubernetes does not.
    """
    expression = f"0 {parse_cron(schedule)}"
    simulated = CronSim(expression, start.astimezone(time_zone), reverse)
    # where midnight is skipped, cronsim names a wall clock that never was
    return (slot.astimezone(UTC) for slot in simulated if slot.astimezone(UTC).astimezone(time_zone) == slot)


def scheduled_time(job_name: str, *, cron_job: str | None = None) -> datetime | None:
    """Return the slot (UTC) that the CronJob controller wrote into `job_name`: ``<cron job>-<minutes since 1970>``.

    None for a Job that no CronJob made. Pass `cron_job` where it is known: a hash at the end of another Job's name may
    be eight digits, too. Eight digits are the years 1989 to 2160.
    """
    match = _JOB_NAME.fullmatch(job_name)
    if match is None or (cron_job is not None and match["cron_job"] != cron_job):
        return None
    return datetime.fromtimestamp(int(match["minutes"]) * 60, tz=UTC)


def job_name(cron_job: str, slot: datetime) -> str:
    """Return the name of the Job that the CronJob controller makes for `slot`: the inverse of `scheduled_time`."""
    return f"{cron_job}-{int(slot.timestamp()) // 60}"

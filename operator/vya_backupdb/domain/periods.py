"""Hours, days, ISO weeks, months and years of a time zone, and which of them have a backup.

A period is known by its label, which is also its name in a plan: ``daily 2026-11-21``. An hour that the clock repeats
is two hours (its label bears the offset); a day of 23 or 25 hours is one day; the week of 2027-01-01 is ``2026-W53``.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from vya_backupdb.domain.series import Backup

#: The fields of a policy that count periods, shortest first.
NAMES: Final = ("hourly", "daily", "weekly", "monthly", "yearly")


def label(name: str, instant: datetime, time_zone: ZoneInfo) -> str:
    """Return the label of the period `name` (one of `NAMES`) that `instant` falls into in `time_zone`."""
    local = instant.astimezone(time_zone)
    year = f"{local.year:04d}"
    if name == "hourly":
        return f"hourly {year}{local:-%m-%d %Hh%z}"
    if name == "daily":
        return f"daily {year}{local:-%m-%d}"
    if name == "weekly":
        iso = local.isocalendar()
        return f"weekly {iso.year:04d}-W{iso.week:02d}"
    return f"monthly {year}{local:-%m}" if name == "monthly" else f"yearly {year}"


def last(
    backups: Sequence[Backup], *, name: str, count: int, time_zone: ZoneInfo, whole: bool
) -> list[tuple[Backup, str]]:
    """Return those of `backups` (newest first) that stand for the last `count` periods that have any, with the label.

    Of each period the newest, or all of them if `whole`.
    """
    kept: list[tuple[Backup, str]] = []
    seen: set[str] = set()
    for backup in backups:
        period = label(name, backup.instant, time_zone)
        if period in seen:
            if whole:
                kept.append((backup, period))
        elif len(seen) < count:
            seen.add(period)
            kept.append((backup, period))
    return kept

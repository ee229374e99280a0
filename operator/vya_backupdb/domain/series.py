"""What retention, ``latest`` and ``list`` look at: the backups that lie in a tree, reduced to what decides about them.

A series is what one schedule made of one database. Backups are ordered by instant (then id), never by file name and
never by comparing local times: in the hour that a clock repeats, Python orders two times of one zone by wall clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

PRE_RESTORE: Final = "pre-restore"
ADOPTED: Final = "adopted"
#: The reason of a finding about a backup that looks unlike those before it, until somebody accepts it.
ANOMALY: Final = "Anomaly"

#: Two clocks that differ by no more than this are taken to agree (DESIGN: "more than 5 minutes off").
CLOCK_TOLERANCE: Final = timedelta(minutes=5)


class State(StrEnum):
    """What lies there. Only `GOOD` counts, and only `GOOD` is ever deleted."""

    GOOD = "good"
    FAILED = "failed"
    PARTIAL = "partial"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True)
class Series:
    """Whose backups: `database_name` is None for users and roles, `schedule` is None for what was made by hand."""

    hostname: str
    database_id: str
    database_name: str | None
    schedule: str | None

    @property
    def is_users(self) -> bool:
        """Whether it is the series of a server's users and roles."""
        return self.database_name is None

    @property
    def source(self) -> tuple[str, str, str | None]:
        """The database (or users) itself, whichever schedule saved it."""
        return self.hostname, self.database_id, self.database_name

    @property
    def sort_key(self) -> tuple[str, str, bool, str, bool, str]:
        """A total order: databases before users, schedules before what was made by hand."""
        return (
            self.hostname,
            self.database_id,
            self.is_users,
            self.database_name or "",
            self.schedule is None,
            self.schedule or "",
        )


@dataclass(frozen=True, slots=True)
class Pin:
    """A user's word that a backup stays: until `until` (for ever if None), and why."""

    until: datetime | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse a time without a zone: it would expire at another moment on another machine."""
        if self.until is not None and self.until.utcoffset() is None:
            raise ValueError(f"the pin's end {self.until.isoformat()} has no zone")

    def holds(self, now: datetime) -> bool:
        """Whether the pin is in force at `now`."""
        return self.until is None or now.astimezone(UTC) < self.until.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Measures:
    """What a backup is compared by; None where it was not measured. `size` is in bytes before compression."""

    size: int | None = None
    rows: int | None = None
    tables: int | None = None


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup. `id` is its stem, `path` that of its metadata below the base path: the two together are its key.

    (A stem is unique as long as nobody copies files about in the tree.) `timestamp` (aware) is that of the metadata.
    `reason` is why its run ran (`PRE_RESTORE`: a safety dump). `anomaly` is a finding that nobody accepted yet: empty
    where there is none. `size_bytes` is for display.
    """

    series: Series
    id: str
    timestamp: datetime
    path: str = ""
    run_id: str = ""
    reason: str = ""
    state: State = State.GOOD
    pin: Pin | None = None
    anomaly: str = ""
    size_bytes: int = 0
    measures: Measures = Measures()

    def __post_init__(self) -> None:
        """Refuse a time without a zone: it has no place in any order."""
        if self.timestamp.utcoffset() is None:
            raise ValueError(f"the timestamp {self.timestamp.isoformat()} of {self.id} has no zone")

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other backup of its instance."""
        return self.id, self.path

    @property
    def good(self) -> bool:
        """Whether it is whole, as far as is known."""
        return self.state is State.GOOD

    @property
    def is_safety_dump(self) -> bool:
        """Whether a restore made it of what it was about to overwrite."""
        return self.reason == PRE_RESTORE

    @property
    def instant(self) -> datetime:
        """Its timestamp in UTC, the only form in which times are compared."""
        return self.timestamp.astimezone(UTC)

    def is_future(self, now: datetime) -> bool:
        """Whether it is dated more than `CLOCK_TOLERANCE` after `now`."""
        return self.instant > now.astimezone(UTC) + CLOCK_TOLERANCE


def newest_first(backups: Iterable[Backup]) -> list[Backup]:
    """Return `backups` by instant, newest first; of one instant, the greater id first (``…_full_2`` is the later)."""
    return sorted(backups, key=lambda backup: (backup.instant, len(backup.id), backup.key), reverse=True)


def latest(backups: Iterable[Backup], *, now: datetime) -> Backup | None:
    """Return the newest of `backups` that a restore takes unasked; None if there is none.

    Good, not a safety dump, and not dated in the future: such a one is used only when it is named.
    """
    eligible = (one for one in backups if one.good and not one.is_safety_dump and not one.is_future(now))
    return next(iter(newest_first(eligible)), None)

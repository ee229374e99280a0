"""BackupSchedule: when an instance is backed up, and which of these backups are kept.

It becomes two CronJobs. Its retention never touches the backups of another schedule.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from vya_backupdb.domain.cron import parse_cron
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.schedule import parse_time_zone
from vya_backupdb.domain.specs_base import (
    Checked,
    Count,
    DatabasePattern,
    InstanceReference,
    LongText,
    Model,
    Rule,
    ShortText,
    Status,
    Timestamp,
    checked,
)

MAX_DATABASE_ROWS = 100
MAX_HISTORY_ROWS = 10


class Strategy(StrEnum):
    """How retention counts."""

    GFS = "GFS"
    SIMPLE = "Simple"


def _cron(text: str) -> None:
    try:
        parse_cron(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _zone(text: str) -> None:
    try:
        parse_time_zone(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


# CEL cannot read a cron text; what it lets through (a 30 February, a range that runs backwards) the operator refuses
_CRON_SHAPE = Rule(
    cel="self.matches('^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)"
    "|[0-9*/,?-]+( +[0-9*/,?-]+){2} +[0-9A-Za-z*/,?-]+ +[0-9A-Za-z*/,?-]+)$')",
    message="must be five fields (minute, hour, day of month, month, day of week), such as '30 2 * * *', or a macro "
    "such as @daily; @every, seconds and TZ= are not taken",
)
_ZONE_SHAPE = Rule(
    cel="self.matches('^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$') && self.lowerAscii() != 'local'",
    message="must be an IANA time zone, such as UTC or Europe/Berlin",
)
CronText = Annotated[str, Field(min_length=1, max_length=128), Checked((_CRON_SHAPE,)), checked(_cron)]
ZoneName = Annotated[str, Field(min_length=1, max_length=64), Checked((_ZONE_SHAPE,)), checked(_zone)]
Keep = Annotated[int, Field(ge=0, le=10_000)]


class Retention(Model):
    """Which backups of this schedule are kept. Counts are of periods that have a good backup, never ages."""

    strategy: Strategy = Field(
        default=Strategy.GFS,
        description="GFS: the newest backup of each of the last hours, days, weeks, months and years. "
        "Simple: the newest of each of the last keepDaily days.",
    )
    keep_hourly: Keep = Field(default=0, description="GFS: hours to keep a backup of.")
    keep_daily: Keep = Field(default=7, description="Days to keep a backup of.")
    keep_weekly: Keep = Field(default=4, description="GFS: ISO weeks to keep a backup of.")
    keep_monthly: Keep = Field(default=12, description="GFS: months to keep a backup of.")
    keep_yearly: Keep = Field(default=0, description="GFS: years to keep a backup of.")
    keep_last: Keep = Field(default=0, description="So many newest backups are kept besides.")
    minimum: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="So many newest good backups of each database are never deleted, whatever the rest says."
    )
    schedule: CronText | None = Field(
        default=None,
        description="When retention runs, as cron text in timeZone. Default: once a day between 04:00 and 04:59, at a "
        "minute that follows from the object's name.",
    )
    dry_run: bool = Field(default=False, description="Write the plan into the Job's log and delete nothing.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.strategy != 'Simple' || self.keepDaily > 0",
            message="strategy Simple needs keepDaily of at least 1",
            holds=lambda self: self.strategy is not Strategy.SIMPLE or self.keep_daily > 0,
        ),
        Rule(
            cel="self.keepHourly + self.keepDaily + self.keepWeekly + self.keepMonthly + self.keepYearly"
            " + self.keepLast > 0",
            message="keeps nothing; set at least one of keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly and "
            "keepLast",
            holds=lambda self: any(
                (
                    self.keep_hourly,
                    self.keep_daily,
                    self.keep_weekly,
                    self.keep_monthly,
                    self.keep_yearly,
                    self.keep_last,
                )
            ),
        ),
    )


class DatabaseNarrowing(Model):
    """Which of the instance's databases. What the instance excludes stays excluded."""

    include: Annotated[tuple[DatabasePattern, ...], Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="Globs of the names that are wanted, in place of the instance's. Default: the instance's.",
    )
    exclude: Annotated[tuple[DatabasePattern, ...], Field(max_length=256)] = Field(
        default=(), description="Globs of names that are not wanted, besides the instance's."
    )


class ScheduleSpec(Model):
    """When an instance is backed up, and what is kept."""

    instance_ref: InstanceReference = Field(description="The BackupInstance to back up, in the same namespace.")
    schedule: CronText = Field(
        description="When backups begin, as cron text: minute, hour, day of month, month, day of week; or @hourly, "
        "@daily, @weekly, @monthly, @yearly."
    )
    time_zone: ZoneName = Field(
        default="UTC", description="IANA time zone of schedule, of retention's days, and of the times in file names."
    )
    suspend: bool = Field(
        default=False,
        description="No scheduled backup and no retention while true. manualTrigger still works.",
    )
    manual_trigger: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None,
        description="Any new value runs one backup now. Of several values set in a row only the last is sure to run.",
    )
    starting_deadline_seconds: Annotated[int, Field(ge=10, le=2_592_000)] = Field(
        default=3600, description="How late a scheduled backup may still begin, in seconds."
    )
    parallelism: Annotated[int, Field(ge=1, le=64)] = Field(
        default=2, description="How many databases are dumped at the same time."
    )
    databases: DatabaseNarrowing = Field(
        default=DatabaseNarrowing(), description="Which of the instance's databases. Default: all of them."
    )
    retention: Retention = Field(
        default=Retention(), description="Which backups are kept. Default: GFS with 7 days, 4 weeks and 12 months."
    )
    max_age_seconds: Annotated[int, Field(ge=60, le=315_360_000)] | None = Field(
        default=None, description="Condition Fresh is False where the last good backup is older than this, in seconds."
    )
    successful_jobs_history_limit: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3, description="How many finished backup Jobs that succeeded are kept."
    )
    failed_jobs_history_limit: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3, description="How many finished backup Jobs that failed are kept."
    )


class RunSummary(Model):
    """One run in numbers."""

    run: ShortText = Field(description="Id of the run: the name of its Job.")
    trigger: ShortText | None = Field(default=None, description="What started it: Scheduled or Manual.")
    result: ShortText = Field(description="Running, Succeeded, or the reason for which it is not a success.")
    start_time: Timestamp | None = Field(default=None, description="When it began.")
    completion_time: Timestamp | None = Field(default=None, description="When it ended.")
    databases: Count | None = Field(default=None, description="Databases that it covered.")
    succeeded: Count | None = Field(default=None, description="Of these, backed up.")
    failed: Count | None = Field(default=None, description="Of these, not backed up.")
    size_bytes: Count | None = Field(default=None, description="Bytes written, compressed.")


class LastRun(RunSummary):
    """The newest run of backups."""

    exit_code: int | None = Field(default=None, description="Exit code of the dumper.")
    message: LongText | None = Field(default=None, description="How it ended, in a sentence, with the remedy.")
    omitted: Count = Field(
        default=0, description="Databases that stand in the run's report on the volume but not here."
    )


class LastRetention(Model):
    """The newest run of retention."""

    run: ShortText = Field(description="Id of the run: the name of its Job.")
    result: ShortText = Field(description="Running, Succeeded, or the reason for which it is not a success.")
    completion_time: Timestamp | None = Field(default=None, description="When it ended.")
    message: LongText | None = Field(default=None, description="How it ended, in a sentence, with the remedy.")
    kept: Count | None = Field(default=None, description="Backups kept.")
    deleted: Count | None = Field(default=None, description="Backups deleted.")


class DatabaseStatus(Model):
    """The last run's outcome for one database."""

    name: LongText = Field(description="Name of the database; '(users)' for users and roles.")
    result: ShortText = Field(description="Succeeded, Failed, Skipped or Running.")
    backup: LongText | None = Field(default=None, description="Id of the backup: its file's name without .sql.gz.")
    size_bytes: Count | None = Field(default=None, description="Size of the file, compressed.")
    duration_seconds: Count | None = Field(default=None, description="Time that the dump took, in whole seconds.")
    completion_time: Timestamp | None = Field(default=None, description="When it ended.")
    last_successful_time: Timestamp | None = Field(default=None, description="When it last succeeded.")
    reason: ShortText | None = Field(default=None, description="Why it failed, in one CamelCase word.")
    error: LongText | None = Field(default=None, description="Why it failed, in a sentence.")


class ScheduleStatus(Status):
    """What came of the schedule. The volume holds the truth; this is a cache of it."""

    last_schedule_time: Timestamp | None = Field(
        default=None, description="When a backup last came due and was started."
    )
    next_schedule_time: Timestamp | None = Field(default=None, description="When a backup next comes due.")
    last_successful_time: Timestamp | None = Field(
        default=None, description="When a backup of every database last ended."
    )
    last_manual_trigger: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="The value of manualTrigger that was last answered."
    )
    active: Annotated[tuple[ShortText, ...], Field(max_length=MAX_HISTORY_ROWS)] = Field(
        default=(),
        description="Names of the backup Jobs that run now.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    last_run: LastRun | None = Field(default=None, description="The newest backup run.")
    last_retention: LastRetention | None = Field(default=None, description="The newest retention run.")
    databases: Annotated[tuple[DatabaseStatus, ...], Field(max_length=MAX_DATABASE_ROWS)] = Field(
        default=(),
        description="The newest outcome for each database, failures first; at most 100.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    history: Annotated[tuple[RunSummary, ...], Field(max_length=MAX_HISTORY_ROWS)] = Field(
        default=(),
        description="The last runs, newest first; at most 10.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )

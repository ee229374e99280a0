"""What to keep and what to delete, with the reason for each file. Pure: the clock and all circumstances are arguments.

Invariants, each proved by a property test:

- the plan decides about each given backup exactly once, in one order, whatever order they came in;
- only good backups of the policy's own schedule are ever deleted (and safety dumps, if the policy says how long they
  live): not another schedule's, not one made by hand, not a damaged one, not one from the future, not a pinned one;
- the newest `minimum` good backups of each series stay; raising any number of a policy keeps at least as much;
- rules count periods that have a good backup, never ages: no clock, however wrong, can empty a tree;
- to apply a plan and to plan again deletes nothing more;
- a frozen plan deletes nothing, and still says what it would delete;
- with a brake, no plan deletes more than that share of a series, but for what a person has accepted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from vya_backupdb.domain import periods
from vya_backupdb.domain.brake import Brake, Braked, braked, refusal
from vya_backupdb.domain.config_retention import MAX_SAFETY_DAYS
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.freeze import Circumstances, Frozen, refusals
from vya_backupdb.domain.series import Backup, Series, newest_first


class Strategy(StrEnum):
    """GFS keeps one backup of each period; SIMPLE keeps all of the last `daily` days that have one."""

    GFS = "gfs"
    SIMPLE = "simple"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How many to keep. SIMPLE reads `daily`, `keep_last` and `minimum` only.

    `safety_days` is how long safety dumps live, which belong to no schedule; None leaves them to another policy.
    """

    strategy: Strategy = Strategy.GFS
    hourly: int = 0
    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    yearly: int = 0
    keep_last: int = 0
    minimum: int = 1
    safety_days: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigurationError, naming the field, for a number that would mean nothing or delete everything."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < (least := 1 if field.name in {"minimum", "safety_days"} else 0):
                raise ConfigurationError(f"retention.{field.name} is {value}", hint=f"Write {least} or more.")
        if self.safety_days is not None and self.safety_days > MAX_SAFETY_DAYS:
            hint = f"Write {MAX_SAFETY_DAYS} or less, or leave it out to keep them for ever."
            raise ConfigurationError(f"retention.safety_days is {self.safety_days}", hint=hint)

    def describe(self) -> str:
        """Return the rules in force, for the reason of a deletion: ``daily 7, weekly 4, minimum 1``."""
        names = ("daily",) if self.strategy is Strategy.SIMPLE else periods.NAMES
        names = (*names, "keep_last", "minimum")
        return ", ".join(f"{name} {getattr(self, name)}" for name in names if getattr(self, name))


class Action(StrEnum):
    """What becomes of a file."""

    KEEP = "keep"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Decision:
    """One backup's fate; `reasons` are all that hold, never none."""

    backup: Backup
    action: Action
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """Decisions by series, newest first within each; `frozen` holds every refusal, and then nothing is deleted.

    `braked` are the series of which more would go than the brake allows.
    """

    decisions: tuple[Decision, ...]
    frozen: tuple[Frozen, ...] = ()
    braked: tuple[Braked, ...] = ()

    @property
    def deletions(self) -> tuple[Backup, ...]:
        """The backups to delete, oldest first: an apply that is cut short has lost the least."""
        doomed = (one.backup for one in self.decisions if one.action is Action.DELETE)
        return tuple(reversed(newest_first(doomed)))

    @property
    def kept(self) -> tuple[Backup, ...]:
        """The backups that stay, in the plan's order."""
        return tuple(one.backup for one in self.decisions if one.action is Action.KEEP)


_Reasons = dict[tuple[str, str], list[str]]
_OFF: Final = Brake()


def plan(
    backups: Iterable[Backup],
    *,
    policy: Policy,
    schedule: str | None,
    time_zone: ZoneInfo,
    now: datetime,
    circumstances: Circumstances | None = None,
    brake: Brake = _OFF,
) -> RetentionPlan:
    """Decide about each of `backups`, all those of one instance, for the `policy` of `schedule` (None: made by hand).

    Days, weeks, months and years are those of `time_zone`; `now` is aware. Raise ValueError if one backup is
    given twice (same id, same path), because a deletion would not know which is meant.
    """
    every = _in_order(backups)
    reasons: _Reasons = {backup.key: [] for backup in every}
    groups = _by_series(every)
    for series, members in groups.items():
        if series.schedule == schedule:
            _apply_rules([one for one in members if _counts(one, now)], policy, time_zone, reasons)
    _protect(every, reasons, schedule=schedule, policy=policy, now=now)
    _keep_users_of_kept_runs(every, reasons)
    too_many = tuple(braked(groups, {key for key, why in reasons.items() if not why}, brake))
    held = (refusal(one, brake) for one in too_many)
    frozen = (*refusals(every, circumstances or Circumstances()), *held)
    decisions = tuple(_decide(backup, reasons[backup.key], policy, frozen) for backup in every)
    return RetentionPlan(decisions, frozen, too_many)


def _in_order(backups: Iterable[Backup]) -> list[Backup]:
    every = sorted(newest_first(backups), key=lambda backup: backup.series.sort_key)
    twice = [key for key, times in Counter(backup.key for backup in every).items() if times > 1]
    if twice:
        raise ValueError(f"the backup {twice[0][0]} is given twice")
    return every


def _by_series(backups: Iterable[Backup]) -> Mapping[Series, list[Backup]]:
    groups: defaultdict[Series, list[Backup]] = defaultdict(list)
    for backup in backups:
        groups[backup.series].append(backup)
    return groups


def _counts(backup: Backup, now: datetime) -> bool:
    """Whether the rules see it. A pinned or anomalous one does count: it is a good backup that is there."""
    return backup.good and not backup.is_safety_dump and not backup.is_future(now)


def _apply_rules(counted: Sequence[Backup], policy: Policy, time_zone: ZoneInfo, reasons: _Reasons) -> None:
    """Add the reasons of the rules to `counted`, the good backups of one series, newest first."""
    for backup in counted[: policy.minimum]:
        reasons[backup.key].append("minimum")
    for backup in counted[: policy.keep_last]:
        reasons[backup.key].append("keep_last")
    simple = policy.strategy is Strategy.SIMPLE
    for name in ("daily",) if simple else periods.NAMES:
        kept = periods.last(counted, name=name, count=getattr(policy, name), time_zone=time_zone, whole=simple)
        for backup, label in kept:
            reasons[backup.key].append(label)


def _protect(
    every: Sequence[Backup], reasons: _Reasons, *, schedule: str | None, policy: Policy, now: datetime
) -> None:
    """Add the reasons that hold whatever the rules say: a backup that has none afterwards may be deleted."""
    guards = _anomalies(every, now)
    for backup in every:
        own = reasons[backup.key]
        if backup.pin is not None and backup.pin.holds(now):
            own.append(_pin_text(backup))
        if not backup.good:
            own.append(f"{backup.state}: neither counted nor deleted")
        elif backup.is_future(now):
            own.append("dated in the future: neither counted nor deleted")
        elif backup.is_safety_dump:
            own.extend(_safety_reasons(backup, policy, now))
        elif backup.series.schedule != schedule:
            own.append(_stranger_text(backup.series.schedule))
        own.extend(_anomaly_reasons(backup, guards.get(backup.series.source)))


def _anomalies(every: Sequence[Backup], now: datetime) -> Mapping[tuple[str, str, str | None], Backup]:
    """Return for each database its newest backup with an anomaly: one that is older may be the last sound one."""
    newest: dict[tuple[str, str, str | None], Backup] = {}
    for backup in newest_first(every):
        if backup.anomaly and _counts(backup, now):
            newest.setdefault(backup.series.source, backup)
    return newest


def _anomaly_reasons(backup: Backup, guard: Backup | None) -> list[str]:
    """Return why an anomaly keeps `backup`. The anomalous one stays too: with it the guard itself would go."""
    if backup.anomaly:
        return [f"anomaly not accepted: {backup.anomaly}"]
    older = guard is not None and backup.good and backup.instant < guard.instant
    return [f"older than {guard.id}, whose anomaly is not accepted"] if guard and older else []


def _pin_text(backup: Backup) -> str:
    pin = backup.pin
    until = f"pinned until {pin.until.isoformat(timespec='seconds')}" if pin and pin.until else "pinned"
    return f"{until}: {pin.reason}" if pin and pin.reason else until


def _safety_reasons(backup: Backup, policy: Policy, now: datetime) -> list[str]:
    if policy.safety_days is None:
        return ["safety dump of a restore: never counted"]
    end = backup.instant + timedelta(days=policy.safety_days)
    return [f"safety dump of a restore until {end:%Y-%m-%d}: never counted"] if now.astimezone(UTC) < end else []


def _stranger_text(schedule: str | None) -> str:
    return "made by hand, without a schedule" if schedule is None else f"made by another schedule: {schedule}"


def _keep_users_of_kept_runs(every: Sequence[Backup], reasons: _Reasons) -> None:
    """Keep users and roles while a database backup of their run is kept: neither is whole without the other."""
    kept: dict[tuple[str, str, str], Backup] = {}
    for backup in every:
        if not backup.series.is_users and backup.run_id and reasons[backup.key]:
            kept.setdefault((backup.series.hostname, backup.series.database_id, backup.run_id), backup)
    for backup in every:
        partner = kept.get((backup.series.hostname, backup.series.database_id, backup.run_id))
        if backup.series.is_users and partner is not None:
            reasons[backup.key].append(f"users of the run that made {partner.id}, which is kept")


def _decide(backup: Backup, reasons: Sequence[str], policy: Policy, frozen: Sequence[Frozen]) -> Decision:
    if reasons:
        return Decision(backup, Action.KEEP, tuple(reasons))
    why = "safety dump past its period" if backup.is_safety_dump else f"no rule keeps it ({policy.describe()})"
    if frozen:
        return Decision(backup, Action.KEEP, tuple(f"frozen: {one.reason}; else deleted: {why}" for one in frozen))
    return Decision(backup, Action.DELETE, (why,))

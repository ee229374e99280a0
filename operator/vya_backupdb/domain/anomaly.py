"""Which backups look so unlike those before them that the older ones may be the last sound ones. Pure.

A backup is compared with the median of the good ones before it, of the same database and schedule: like with like.
What is an anomaly is no part of that median, so that it does not become normal by being repeated; once a person has
accepted it, the comparison begins anew with it. Safety dumps, adopted files, damaged ones and ones from the future
neither judge nor are judged. A finding protects what is older (`retention`), it never deletes and never refuses.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median_low
from typing import Final

from vya_backupdb.domain.series import ADOPTED, Backup, Measures, newest_first

_NAMES: Final = {"size": "the dump", "rows": "the number of rows", "tables": "the number of tables"}
Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What is compared with how many runs. Drops and growth are in percent of the median; 0 turns one off."""

    runs: int = 7
    minimum_runs: int = 3
    size_drop: int = 50
    rows_drop: int = 50
    tables_drop: int = 20
    size_growth: int = 0


def find(
    backups: Iterable[Backup], *, thresholds: Thresholds, accepted: Collection[str], now: datetime
) -> dict[Key, str]:
    """Return, by their keys, those of `backups` (of one instance) that are anomalies, with half a sentence each.

    `accepted` holds the ids of those that a person has accepted.
    """
    trails: dict[object, deque[Measures]] = {}
    found: dict[Key, str] = {}
    for backup in reversed(newest_first(one for one in backups if _is_judged(one, now))):
        trail = trails.setdefault(backup.series, deque(maxlen=thresholds.runs))
        if backup.id in accepted:
            trail.clear()
        elif text := compare(backup.measures, trail, thresholds):
            found[backup.key] = text
            continue
        trail.append(backup.measures)
    return found


def _is_judged(backup: Backup, now: datetime) -> bool:
    return backup.good and not backup.is_safety_dump and backup.reason != ADOPTED and not backup.is_future(now)


def compare(measures: Measures, before: Collection[Measures], thresholds: Thresholds) -> str:
    """Return what makes `measures` an anomaly after those `before`, '' if nothing does."""
    texts = []
    for name in _NAMES:
        earlier = [value for one in before if (value := getattr(one, name)) is not None]
        value = getattr(measures, name)
        if value is not None and len(earlier) >= thresholds.minimum_runs:
            texts.append(_judge(name, value, earlier, thresholds))
    return "; ".join(filter(None, texts))


def _judge(name: str, value: int, earlier: Sequence[int], thresholds: Thresholds) -> str:
    usual = median_low(earlier)
    drop: int = getattr(thresholds, f"{name}_drop")
    growth = thresholds.size_growth if name == "size" else 0
    change = abs(value - usual) * 100
    if value < usual and drop and change >= drop * usual:
        return f"{_NAMES[name]} fell by {change // usual} % ({value} instead of {usual})"
    if value > usual and growth and change >= growth * usual:
        return f"{_NAMES[name]} grew by {change // max(usual, 1)} % ({value} instead of {usual})"
    return ""

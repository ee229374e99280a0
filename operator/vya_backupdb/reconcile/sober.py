"""A status without times that have not come yet.

A clock that jumped (a node's, the controllers'), a status that a backup tool brought back or that somebody wrote by
hand may hold a run that ended in years to come. What is compared with it would be old for ever: no later run would be
told, and what failed would go on showing as a success. So what is past says at most now; that is written once.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from vya_backupdb.reconcile.conditions import parse_time, timestamp

#: How far clocks of one cluster may differ.
CLOCK_ERROR: Final = timedelta(minutes=5)
_PAST: Final = frozenset(
    {"completionTime", "lastCheckTime", "lastScheduleTime", "lastSuccessfulTime", "lastTransitionTime", "startTime"}
)


def sobered(status: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return `status` with every time of the past that lies beyond `now`, and the error of clocks, set to `now`."""
    return {key: _sobered(value, now, past=key in _PAST) for key, value in status.items()}


def _sobered(value: Any, now: datetime, *, past: bool) -> Any:
    if isinstance(value, Mapping):
        return sobered(value, now)
    if isinstance(value, list):
        return [_sobered(one, now, past=False) for one in value]
    moment = parse_time(value) if past else None
    return timestamp(now) if moment is not None and moment > now + CLOCK_ERROR else value

"""Trees full of backups, good and bad, of several schedules, and policies for them."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from tests.strategies.times import EDGES, zones

from vya_backupdb.domain.retention import Policy, Strategy
from vya_backupdb.domain.series import PRE_RESTORE, Backup, Pin, Series, State

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SCHEDULES = ("nightly", "hourly", None)

_series = st.builds(
    Series,
    hostname=st.just("db.example"),
    database_id=st.just("main"),
    database_name=st.sampled_from(["shop", "wiki", None]),
    schedule=st.sampled_from(SCHEDULES),
)
_ages = st.one_of(
    st.integers(0, 40).map(lambda hours: timedelta(hours=hours)),
    st.integers(0, 800).map(lambda days: timedelta(days=days, hours=3)),
    st.integers(-800, -1).map(lambda days: timedelta(days=days)),
    st.integers(-6, 6).map(lambda minutes: timedelta(minutes=minutes)),
    st.builds(
        lambda edge, hours: NOW - edge + timedelta(hours=hours, minutes=30), st.sampled_from(EDGES), st.integers(-2, 2)
    ),
)
_instants = st.builds(lambda age, zone: (NOW - age).astimezone(zone), _ages, zones)
_states = st.sampled_from([*[State.GOOD] * 7, State.FAILED, State.PARTIAL, State.CORRUPT])
_pins = st.one_of(
    *[st.none()] * 9, st.builds(Pin, until=st.one_of(st.none(), _instants), reason=st.sampled_from(["", "audit"]))
)


@st.composite
def catalogues(draw: st.DrawFn, *, max_size: int = 28) -> list[Backup]:
    """Return the backups of one instance, in any order, each with an id of its own."""
    count = draw(st.integers(0, max_size))
    return [
        Backup(
            series=draw(_series),
            id=f"b{number:03d}",
            timestamp=draw(_instants),
            run_id=f"run-{draw(st.integers(0, 12))}",
            reason=draw(st.sampled_from(["scheduled", "scheduled", "scheduled", "manual", PRE_RESTORE])),
            state=draw(_states),
            pin=draw(_pins),
            anomaly="size fell by 90 %" if draw(st.integers(0, 60)) == 60 else "",
        )
        for number in range(count)
    ]


policies = st.builds(
    Policy,
    strategy=st.sampled_from(Strategy),
    hourly=st.integers(0, 4),
    daily=st.integers(0, 8),
    weekly=st.integers(0, 5),
    monthly=st.integers(0, 13),
    yearly=st.integers(0, 3),
    keep_last=st.integers(0, 4),
    minimum=st.integers(1, 3),
    safety_days=st.one_of(st.none(), st.integers(1, 20)),
)
schedules = st.sampled_from(SCHEDULES)

"""Moments around the edges of calendars: clock changes, leap days, turns of the year, and everything between."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

EDGES = tuple(
    datetime.fromisoformat(text)
    for text in (
        "2026-03-29T01:00:00+00:00",
        "2026-10-25T01:00:00+00:00",
        "2026-11-01T06:00:00+00:00",
        "2028-02-29T00:00:00+00:00",
        "2026-12-31T23:59:59+00:00",
        "2027-01-03T23:59:59+00:00",
        "2024-12-30T00:00:00+00:00",
        "2026-04-04T15:00:00+00:00",
    )
)

zones = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Havana",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",
    ]
).map(ZoneInfo)

_near_edges = st.builds(
    lambda edge, seconds: edge + timedelta(seconds=seconds), st.sampled_from(EDGES), st.integers(-90_000, 90_000)
)
moments = st.one_of(
    _near_edges,
    st.datetimes(datetime(2025, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
)
"""Aware times in UTC, whole seconds."""

local_moments = st.builds(lambda moment, zone: moment.astimezone(zone), moments, zones)

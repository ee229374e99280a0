"""What counts as an anomaly: against the trailing runs of the same database and schedule, until somebody accepts it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies.backups import NOW, catalogues

from vya_backupdb.domain.anomaly import Thresholds, compare, find
from vya_backupdb.domain.series import ADOPTED, PRE_RESTORE, Backup, Measures, Series, State

SHOP = Series("db.example", "main", "shop", "nightly")
USUAL = Measures(size=1_000_000, rows=3000, tables=20)


def night(days_ago: int, measures: Measures = USUAL, *, series: Series = SHOP, **more: object) -> Backup:
    at = NOW - timedelta(days=days_ago, hours=1)
    return Backup(series, f"b{days_ago:03d}", at, measures=measures, **more)  # type: ignore[arg-type]


def found(*backups: Backup, accepted: tuple[str, ...] = (), **limits: int) -> dict[str, str]:
    thresholds = Thresholds(**limits)
    return {
        key[0]: text for key, text in find(backups, thresholds=thresholds, accepted=accepted, now=NOW).items()
    }  # fmt: skip


WEEK = [night(days) for days in range(2, 9)]


@pytest.mark.parametrize(
    ("measures", "text"),
    [
        (Measures(400_000, 3000, 20), "the dump fell by 60 % (400000 instead of 1000000)"),
        (Measures(1_000_000, 30, 20), "the number of rows fell by 99 % (30 instead of 3000)"),
        (Measures(1_000_000, 3000, 16), "the number of tables fell by 20 % (16 instead of 20)"),
        (Measures(1_000_000, 0, 0), "the number of rows fell by 100 % (0 instead of 3000); the number of tables"),
        (Measures(None, 0, None), "the number of rows fell"),
    ],
)
def test_a_drop_is_an_anomaly(measures: Measures, text: str) -> None:
    assert found(*WEEK, night(1, measures))["b001"].startswith(text)


@pytest.mark.parametrize(
    "measures", [USUAL, Measures(500_001, 1501, 17), Measures(), Measures(9_000_000, 30_000, 200), Measures(None, 3000)]
)
def test_what_is_as_usual_or_unknown_or_grew_is_none(measures: Measures) -> None:
    assert found(*WEEK, night(1, measures)) == {}


def test_growth_is_one_only_where_it_is_asked_for() -> None:
    more = night(1, Measures(4_000_000, 3000, 20))
    assert found(*WEEK, more) == {}
    assert found(*WEEK, more, size_growth=300) == {"b001": "the dump grew by 300 % (4000000 instead of 1000000)"}


def test_a_threshold_of_nought_is_off_and_too_few_runs_judge_nothing() -> None:
    nothing = night(1, Measures(1, 0, 0))
    assert found(*WEEK, nothing, size_drop=0, rows_drop=0, tables_drop=0) == {}
    assert found(*WEEK[:2], nothing) == {}
    assert set(found(*WEEK[:3], nothing)) == {"b001"}


def test_what_stays_low_stays_an_anomaly_until_it_is_accepted_and_then_is_the_measure() -> None:
    low = Measures(1000, 3, 20)
    lower = Measures(10, 0, 20)
    nights = [*[night(days) for days in range(10, 17)], *[night(days, low) for days in range(3, 10)]]
    assert sorted(found(*nights)) == [f"b{days:03d}" for days in range(3, 10)]
    assert sorted(found(*nights, accepted=("b009",))) == []
    assert sorted(found(*nights, night(1, lower), accepted=("b009",))) == ["b001"]
    assert sorted(found(*nights, accepted=("b005",))) == ["b006", "b007", "b008", "b009"]


def test_only_like_is_compared_with_like() -> None:
    little = Measures(10, 1, 1)
    hourly = replace(SHOP, schedule="hourly")
    other = replace(SHOP, database_name="wiki")
    for odd in (
        night(1, little, series=hourly),
        night(1, little, series=other),
        night(1, little, reason=PRE_RESTORE),
        night(1, little, reason=ADOPTED),
        night(1, little, state=State.CORRUPT),
        night(-300, little),
    ):
        assert found(*WEEK, odd) == {}
    # and they are no measure for others
    trail = [night(days, little, reason=PRE_RESTORE) for days in range(20, 40)]
    assert found(*trail, *WEEK) == {}


def test_the_median_bears_one_odd_night() -> None:
    nights = [night(8, Measures(30_000_000, 90_000, 20)), *WEEK[:-1]]
    assert found(*nights, night(1)) == {}


@given(catalogues(), st.randoms(use_true_random=False), st.data())
def test_the_order_of_the_input_does_not_matter_and_only_known_backups_are_named(
    backups: list[Backup], random: object, data: st.DataObject
) -> None:
    numbers = st.one_of(st.none(), st.integers(0, 50))
    measured = [
        replace(one, measures=Measures(data.draw(numbers), data.draw(numbers), data.draw(numbers))) for one in backups
    ]
    first = find(measured, thresholds=Thresholds(minimum_runs=1), accepted=("b001",), now=NOW)
    random.shuffle(measured)  # type: ignore[attr-defined]
    assert find(measured, thresholds=Thresholds(minimum_runs=1), accepted=("b001",), now=NOW) == first
    assert set(first) <= {one.key for one in backups if one.good and not one.is_safety_dump}
    assert all(first.values())
    assert "b001" not in {key[0] for key in first}


@given(st.lists(st.integers(0, 10**9), max_size=8), st.integers(0, 10**9), st.integers(1, 100))
def test_a_greater_threshold_finds_no_more(sizes: list[int], size: int, drop: int) -> None:
    before = [Measures(size=one) for one in sizes]
    strict = compare(Measures(size=size), before, Thresholds(size_drop=drop))
    loose = compare(Measures(size=size), before, Thresholds(size_drop=min(100, drop + 7)))
    assert strict or not loose

"""The rules of retention by example: each reason, each refusal, and the calendar's edges."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.strategies.backups import NOW

from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.freeze import Circumstances, FreezeCode
from vya_backupdb.domain.periods import label
from vya_backupdb.domain.retention import Action, Policy, RetentionPlan, Strategy, plan
from vya_backupdb.domain.series import PRE_RESTORE, Backup, Pin, Series, State, latest, newest_first

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
SHOP = Series("db.example", "main", "shop", "nightly")
USERS = Series("db.example", "main", None, "nightly")
ONE = Policy(daily=0, weekly=0, monthly=0)


def backup(when: str, *, series: Series = SHOP, run: str = "", **more: object) -> Backup:
    prefix = series.database_name or "users"
    timestamp = datetime.fromisoformat(when)
    return Backup(series=series, id=f"{prefix}-{when}", timestamp=timestamp, run_id=run, **more)  # type: ignore[arg-type]


def plan_for(
    *backups: Backup,
    policy: Policy = ONE,
    zone: ZoneInfo = UTC_ZONE,
    now: datetime = NOW,
    circumstances: Circumstances | None = None,
) -> RetentionPlan:
    return plan(backups, policy=policy, schedule="nightly", time_zone=zone, now=now, circumstances=circumstances)


def fate(found: RetentionPlan, one: Backup) -> tuple[Action, tuple[str, ...]]:
    return next((decision.action, decision.reasons) for decision in found.decisions if decision.backup is one)


def kept_days(found: RetentionPlan) -> list[str]:
    return [f"{one.timestamp:%m-%d %H:%M}" for one in found.kept]


def test_gfs_keeps_the_newest_of_each_period_that_has_one_and_says_which() -> None:
    nights = [backup(f"{datetime(2026, 11, 21) - timedelta(days=day):%Y-%m-%d}T03:00:00+00:00") for day in range(60)]
    evening = backup("2026-11-20T20:00:00+00:00")
    found = plan_for(*nights, evening, policy=Policy(daily=3, weekly=3, monthly=2))
    assert kept_days(found) == [
        "11-21 03:00",
        "11-20 20:00",
        "11-19 03:00",
        "11-15 03:00",
        "11-08 03:00",
        "10-31 03:00",
    ]
    assert fate(found, nights[0])[1] == ("minimum", "daily 2026-11-21", "weekly 2026-W47", "monthly 2026-11")
    assert fate(found, evening)[1] == ("daily 2026-11-20",)
    assert fate(found, nights[21])[1] == ("monthly 2026-10",)
    assert fate(found, nights[1]) == (
        Action.DELETE, ("no rule keeps it (daily 3, weekly 3, monthly 2, minimum 1)",)
    )  # fmt: skip


def test_periods_without_a_backup_do_not_count_however_long_ago_the_last_one_was() -> None:
    old = [backup(f"2021-0{month}-10T03:00:00+00:00") for month in range(1, 7)]
    found = plan_for(*old, policy=Policy(daily=4, weekly=0, monthly=0))
    assert len(found.kept) == 4
    assert found.deletions == (old[0], old[1])


def test_simple_keeps_every_backup_of_the_last_days_that_have_one() -> None:
    times = [backup(f"2026-11-{day:02d}T{hour:02d}:00:00+00:00") for day in (3, 9, 20) for hour in (2, 14)]
    found = plan_for(*times, policy=Policy(strategy=Strategy.SIMPLE, daily=2, weekly=50, monthly=50))
    assert kept_days(found) == ["11-20 14:00", "11-20 02:00", "11-09 14:00", "11-09 02:00"]


def test_keep_last_joins_the_periods() -> None:
    times = [backup(f"2026-11-20T{hour:02d}:00:00+00:00") for hour in range(6)]
    found = plan_for(*times, policy=Policy(daily=1, weekly=0, monthly=0, keep_last=3))
    assert kept_days(found) == ["11-20 05:00", "11-20 04:00", "11-20 03:00"]
    assert fate(found, times[5])[1] == ("minimum", "keep_last", "daily 2026-11-20")


@pytest.mark.parametrize("state", [State.FAILED, State.PARTIAL, State.CORRUPT])
def test_what_is_not_good_neither_counts_nor_goes(state: State) -> None:
    bad, good = backup("2026-11-21T03:00:00+00:00", state=state), backup("2026-11-20T03:00:00+00:00")
    found = plan_for(bad, good, backup("2026-11-19T03:00:00+00:00"))
    assert fate(found, bad) == (Action.KEEP, (f"{state.value}: neither counted nor deleted",))
    assert fate(found, good)[1] == ("minimum",)
    assert len(found.deletions) == 1


def test_a_policy_leaves_other_schedules_and_handmade_backups_alone() -> None:
    hourly = backup("2026-11-01T03:00:00+00:00", series=Series("db.example", "main", "shop", "hourly"))
    manual = backup("2026-11-02T03:00:00+00:00", series=Series("db.example", "main", "shop", None))
    own = [backup("2026-11-03T03:00:00+00:00"), backup("2026-11-04T03:00:00+00:00")]
    found = plan_for(hourly, manual, *own)
    assert fate(found, hourly)[1] == ("made by another schedule: hourly",)
    assert fate(found, manual)[1] == ("made by hand, without a schedule",)
    assert found.deletions == (own[0],)
    by_hand = plan([hourly, manual, *own], policy=ONE, schedule=None, time_zone=UTC_ZONE, now=NOW)
    assert fate(by_hand, manual)[1] == ("minimum",)
    assert by_hand.deletions == ()


def test_a_future_date_neither_counts_nor_freezes_nor_goes() -> None:
    soon, good = backup("2026-11-21T12:05:00+00:00"), backup("2026-11-20T03:00:00+00:00")
    future = backup("2026-11-21T12:05:01+00:00")
    found = plan_for(soon, future, good, policy=Policy(daily=0, weekly=0, monthly=0))
    assert fate(found, future)[1] == ("dated in the future: neither counted nor deleted",)
    assert fate(found, soon)[1] == ("minimum",)
    assert found.deletions == (good,)


def test_safety_dumps_are_never_counted_and_go_only_where_a_policy_says_when() -> None:
    safety = backup("2026-11-21T03:00:00+00:00", reason=PRE_RESTORE)
    old = backup("2026-11-01T03:00:00+00:00", reason=PRE_RESTORE)
    good = backup("2026-10-01T03:00:00+00:00")
    found = plan_for(safety, old, good)
    assert fate(found, good)[1] == ("minimum",)
    assert fate(found, old)[1] == ("safety dump of a restore: never counted",)
    expiring = plan_for(safety, old, good, policy=Policy(daily=0, weekly=0, monthly=0, safety_days=7))
    assert fate(expiring, safety)[1] == ("safety dump of a restore until 2026-11-28: never counted",)
    assert fate(expiring, old) == (Action.DELETE, ("safety dump past its period",))


def test_a_pin_wins_until_it_expires() -> None:
    held = backup("2026-01-01T03:00:00+00:00", pin=Pin(datetime(2027, 1, 1, tzinfo=UTC), "audit"))
    for_ever = backup("2026-01-02T03:00:00+00:00", pin=Pin())
    expired = backup("2026-01-03T03:00:00+00:00", pin=Pin(NOW))
    found = plan_for(held, for_ever, expired, backup("2026-11-20T03:00:00+00:00"))
    assert fate(found, held)[1] == ("pinned until 2027-01-01T00:00:00+00:00: audit",)
    assert fate(found, for_ever)[1] == ("pinned",)
    assert found.deletions == (expired,)


def test_an_anomaly_protects_itself_and_what_is_older_whichever_schedule_made_it() -> None:
    hourly = Series("db.example", "main", "shop", "hourly")
    older, other = backup("2026-11-10T03:00:00+00:00"), backup("2026-11-11T03:00:00+00:00")
    odd = backup("2026-11-12T03:00:00+00:00", series=hourly, anomaly="rows fell by 90 %")
    newer, newest = backup("2026-11-13T03:00:00+00:00"), backup("2026-11-14T03:00:00+00:00")
    found = plan_for(older, other, odd, newer, newest)
    assert fate(found, older)[1] == (f"older than {odd.id}, whose anomaly is not accepted",)
    assert "anomaly not accepted: rows fell by 90 %" in fate(found, odd)[1]
    assert found.deletions == (newer,)


def test_users_are_a_series_and_stay_while_a_database_of_their_run_does() -> None:
    shops = [backup(f"2026-11-{day}T03:00:00+00:00", run=f"r{day}") for day in (18, 19, 20)]
    users = [backup(f"2026-11-{day}T03:00:01+00:00", series=USERS, run=f"r{day}") for day in (18, 19, 20)]
    pinned = backup(
        "2026-11-18T03:00:00+00:00", series=Series("db.example", "main", "wiki", "nightly"), run="r18", pin=Pin()
    )
    found = plan_for(*shops, *users, pinned)
    assert fate(found, users[0])[1] == (f"users of the run that made {pinned.id}, which is kept",)
    assert "minimum" in fate(found, users[2])[1]
    assert found.deletions == (shops[0], shops[1], users[1])


@pytest.mark.parametrize(
    ("circumstances", "code", "text"),
    [
        (Circumstances(clock_skew=timedelta(minutes=5, seconds=1)), FreezeCode.CLOCK_SKEW, "301 s ahead of"),
        (Circumstances(clock_skew=timedelta(hours=-1)), FreezeCode.CLOCK_SKEW, "3600 s behind"),
        (Circumstances(run_failed=True), FreezeCode.RUN_FAILED, "this run failed"),
        (Circumstances(tree_owner="prod/other"), FreezeCode.TREE_FOREIGN, "belongs to prod/other"),
        (Circumstances(server_changed=True), FreezeCode.SERVER_CHANGED, "another server"),
    ],
)
def test_a_frozen_plan_deletes_nothing_and_says_what_it_would_delete(
    circumstances: Circumstances, code: FreezeCode, text: str
) -> None:
    old = backup("2026-11-01T03:00:00+00:00")
    backups = (old, backup("2026-11-20T03:00:00+00:00"))
    found = plan_for(*backups, circumstances=circumstances)
    assert [one.code for one in found.frozen] == [code]
    assert text in found.frozen[0].reason
    assert found.frozen[0].hint
    assert found.deletions == ()
    assert fate(found, old)[1] == (f"frozen: {found.frozen[0].reason}; else deleted: no rule keeps it (minimum 1)",)
    assert plan_for(*backups).deletions == (old,)


def test_a_clock_within_five_minutes_of_the_server_s_does_not_freeze() -> None:
    for skew in (timedelta(minutes=5), timedelta(minutes=-5), timedelta(0)):
        assert plan_for(backup("2026-11-20T03:00:00+00:00"), circumstances=Circumstances(clock_skew=skew)).frozen == ()


def test_an_empty_tree_freezes_as_does_one_without_a_good_backup() -> None:
    safety = backup("2026-11-01T03:00:00+00:00", state=State.CORRUPT)
    for backups in ((), (safety,)):
        assert [one.code for one in plan_for(*backups).frozen] == [FreezeCode.TREE_EMPTY]


def test_days_are_those_of_the_time_zone() -> None:
    late, early = backup("2026-11-19T22:30:00+00:00"), backup("2026-11-19T23:30:00+00:00")
    policy = Policy(daily=5, weekly=0, monthly=0)
    assert plan_for(late, early, policy=policy).deletions == (late,)
    assert plan_for(late, early, policy=policy, zone=BERLIN).deletions == ()


def test_the_order_in_a_repeated_hour_is_that_of_real_time() -> None:
    first = datetime(2026, 10, 25, 2, 50, tzinfo=BERLIN)
    second = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1)
    before = Backup(SHOP, "before", first)
    after = Backup(SHOP, "after", second)
    # Python compares two times of one zone by wall clock
    assert first > second
    assert newest_first([before, after]) == [after, before]
    assert plan_for(before, after).deletions == (before,)


@pytest.mark.parametrize(
    ("name", "when", "text"),
    [
        ("hourly", "2026-10-25T00:30:00+00:00", "hourly 2026-10-25 02h+0200"),
        ("hourly", "2026-10-25T01:30:00+00:00", "hourly 2026-10-25 02h+0100"),
        ("daily", "2026-11-21T23:00:00+00:00", "daily 2026-11-22"),
        ("daily", "2028-02-29T12:00:00+00:00", "daily 2028-02-29"),
        ("weekly", "2027-01-01T12:00:00+00:00", "weekly 2026-W53"),
        ("weekly", "2024-12-30T12:00:00+00:00", "weekly 2025-W01"),
        ("weekly", "2026-11-22T22:59:59+00:00", "weekly 2026-W47"),
        ("weekly", "2026-11-22T23:00:00+00:00", "weekly 2026-W48"),
        ("monthly", "2026-10-31T23:00:00+00:00", "monthly 2026-11"),
        ("yearly", "2026-12-31T23:00:00+00:00", "yearly 2027"),
    ],
)
def test_the_labels_of_periods(name: str, when: str, text: str) -> None:
    assert label(name, datetime.fromisoformat(when), BERLIN) == text


def test_latest_is_the_newest_good_one_that_is_neither_from_the_future_nor_a_safety_dump() -> None:
    good = backup("2026-11-20T03:00:00+00:00")
    others = (
        backup("2027-01-01T03:00:00+00:00"),
        backup("2026-11-21T03:00:00+00:00", reason=PRE_RESTORE),
        backup("2026-11-21T04:00:00+00:00", state=State.CORRUPT),
        backup("2026-11-19T03:00:00+00:00"),
    )
    assert latest([*others, good], now=NOW) is good
    assert latest(others[:3], now=NOW) is None


@pytest.mark.parametrize(
    ("field", "value"), [("daily", -1), ("minimum", 0), ("keep_last", -5), ("safety_days", 0), ("safety_days", 10**9)]
)
def test_a_bad_number_is_refused_by_its_name(field: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"retention\.{field} is {value}"):
        Policy(**{field: value})  # type: ignore[arg-type]


def test_times_without_a_zone_and_twins_are_programming_errors() -> None:
    with pytest.raises(ValueError, match="no zone"):
        backup("2026-11-20T03:00:00")
    with pytest.raises(ValueError, match="no zone"):
        Pin(datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="given twice"):
        plan_for(backup("2026-11-20T03:00:00+00:00"), backup("2026-11-20T03:00:00+00:00"))


def test_a_copy_elsewhere_in_the_tree_is_a_backup_of_its_own() -> None:
    twins = [backup("2026-11-20T03:00:00+00:00", path=path) for path in ("a/x", "b/x")]
    assert [one.path for one in plan_for(*twins).deletions] == ["a/x"]

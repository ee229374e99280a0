"""The invariants of retention over generated trees."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies.backups import NOW, catalogues, policies, schedules
from tests.strategies.times import zones

from vya_backupdb.domain.brake import Brake
from vya_backupdb.domain.freeze import Circumstances, FreezeCode
from vya_backupdb.domain.retention import Action, Policy, RetentionPlan, Strategy, plan
from vya_backupdb.domain.series import Backup, Pin, newest_first

NUMBERS = ("hourly", "daily", "weekly", "monthly", "yearly", "keep_last", "minimum")
quick = settings(max_examples=80)


def planned(backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo) -> RetentionPlan:
    return plan(backups, policy=policy, schedule=schedule, time_zone=zone, now=NOW)


def counted(backups: list[Backup]) -> list[Backup]:
    return [one for one in newest_first(backups) if one.good and not one.is_safety_dump and not one.is_future(NOW)]


def braked(backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, brake: Brake) -> RetentionPlan:
    return plan(backups, policy=policy, schedule=schedule, time_zone=zone, now=NOW, brake=brake)


def shares(backups: list[Backup], gone: set[str]) -> list[float]:
    """Return in percent how many of the good backups of each series are `gone`."""
    found = []
    for series in {one.series for one in backups}:
        good = [one.id for one in backups if one.series == series and one.good and not one.is_safety_dump]
        found += [100 * len(gone & set(good)) / len(good)] if good else []
    return found


@quick
@given(catalogues(), policies, schedules, zones, st.integers(0, 100))
def test_no_plan_deletes_more_of_a_series_than_the_brake_allows(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, percent: int
) -> None:
    free = planned(backups, policy, schedule, zone)
    wanted = {one.id for one in free.deletions}
    found = braked(backups, policy, schedule, zone, Brake(percent))
    too_many = [share for share in shares(backups, wanted) if share > percent > 0]
    assert len(found.braked) == len(too_many)
    if too_many:
        assert (found.deletions, found.frozen[-1].code) == ((), FreezeCode.TOO_MANY)
    else:
        assert found == free


@quick
@given(catalogues(), policies, schedules, zones, st.integers(1, 99))
def test_what_was_accepted_goes_and_nothing_else(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, percent: int
) -> None:
    free = planned(backups, policy, schedule, zone)
    shown = braked(backups, policy, schedule, zone, Brake(percent))
    accepted = {one.id for each in shown.braked for one in each.doomed}
    assert accepted <= {one.id for one in free.deletions}
    again = braked(backups, policy, schedule, zone, Brake(percent, accepted))
    assert again == free
    # later, under rules that keep less, more would go: only what was shown is accepted
    less = replace(policy, strategy=Strategy.GFS, hourly=0, daily=0, weekly=0, monthly=0, yearly=0, keep_last=0)
    later = braked(backups, less, schedule, zone, Brake(percent, accepted))
    beyond = {one.id for one in later.deletions} - accepted
    assert all(share <= percent for share in shares(backups, beyond))


@quick
@given(catalogues(), policies, schedules, zones, st.integers(1, 99), st.integers(1, 50))
def test_a_brake_that_allows_more_refuses_no_more(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, percent: int, more: int
) -> None:
    strict = braked(backups, policy, schedule, zone, Brake(percent))
    loose = braked(backups, policy, schedule, zone, Brake(min(percent + more, 100)))
    assert {one.series for one in loose.braked} <= {one.series for one in strict.braked}
    assert {one.id for one in strict.deletions} <= {one.id for one in loose.deletions}


@quick
@given(catalogues(), policies, schedules, zones)
def test_each_backup_is_decided_once_with_a_reason(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo
) -> None:
    found = planned(backups, policy, schedule, zone)
    assert sorted(one.backup.id for one in found.decisions) == sorted(one.id for one in backups)
    assert all(one.reasons and all(one.reasons) for one in found.decisions)
    assert {one.id for one in found.kept} | {one.id for one in found.deletions} == {one.id for one in backups}
    assert list(found.deletions) == sorted(found.deletions, key=lambda one: one.instant)


@quick
@given(catalogues(), policies, schedules, zones)
def test_only_good_unpinned_backups_of_the_own_schedule_go(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo
) -> None:
    for one in planned(backups, policy, schedule, zone).deletions:
        assert one.good
        assert not one.anomaly
        assert not one.is_future(NOW)
        assert one.pin is None or not one.pin.holds(NOW)
        if one.is_safety_dump:
            assert policy.safety_days is not None
            assert one.instant <= NOW - timedelta(days=policy.safety_days)
        else:
            assert one.series.schedule == schedule


@quick
@given(catalogues(), policies, schedules, zones)
def test_the_floor_holds_in_each_series(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo
) -> None:
    gone = {one.id for one in planned(backups, policy, schedule, zone).deletions}
    for series in {one.series for one in backups}:
        good = [one for one in counted(backups) if one.series == series]
        assert not gone & {one.id for one in good[: max(policy.minimum, policy.keep_last)]}


@quick
@given(catalogues(), policies, schedules, zones, st.sampled_from(NUMBERS), st.integers(1, 5))
def test_a_greater_number_keeps_at_least_as_much(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, field: str, more: int
) -> None:
    greater = replace(policy, **{field: getattr(policy, field) + more})
    kept = {one.id for one in planned(backups, policy, schedule, zone).kept}
    assert kept <= {one.id for one in planned(backups, greater, schedule, zone).kept}


@quick
@given(catalogues(), policies, schedules, zones, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, random: object
) -> None:
    found = planned(backups, policy, schedule, zone)
    shuffled = list(backups)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert planned(shuffled, policy, schedule, zone) == found


@quick
@given(catalogues(), policies, schedules, zones)
def test_to_plan_again_after_applying_deletes_nothing_more(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo
) -> None:
    found = planned(backups, policy, schedule, zone)
    assert planned(list(found.kept), policy, schedule, zone).deletions == ()


@quick
@given(catalogues(), policies, schedules, zones, st.data())
def test_an_apply_that_is_cut_short_is_finished_by_the_next_plan(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, data: st.DataObject
) -> None:
    found = planned(backups, policy, schedule, zone)
    done = found.deletions[: data.draw(st.integers(0, len(found.deletions)))]
    rest = [one for one in backups if one not in done]
    assert planned(rest, policy, schedule, zone).deletions == found.deletions[len(done) :]


@quick
@given(catalogues(), policies, schedules, zones)
def test_each_of_the_last_periods_that_have_a_backup_keeps_its_newest(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo
) -> None:
    """An oracle written otherwise: all days first, then the newest of each."""
    kept = {one.id for one in planned(backups, policy, schedule, zone).kept}
    for series in {one.series for one in backups if one.series.schedule == schedule}:
        good = [one for one in counted(backups) if one.series == series]
        days = sorted({one.instant.astimezone(zone).date() for one in good}, reverse=True)[: policy.daily]
        for day in days:
            same = [one for one in good if one.instant.astimezone(zone).date() == day]
            expected = (
                same if policy.strategy is Strategy.SIMPLE else [max(same, key=lambda one: (one.instant, one.id))]
            )
            assert {one.id for one in expected} <= kept


@quick
@given(catalogues(), policies, schedules, zones)
def test_what_neither_counts_changes_no_other_s_fate(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo
) -> None:
    backups = [replace(one, run_id="") for one in backups]
    found = planned(backups, policy, schedule, zone)
    without = planned(counted(backups), policy, schedule, zone)
    fates = {one.backup.id: (one.action, one.reasons) for one in found.decisions}
    # safety dumps that are alone in a tree freeze it
    assert without.frozen or all(fates[one.backup.id] == (one.action, one.reasons) for one in without.decisions)


@quick
@given(catalogues(), policies, schedules, zones, st.integers(301, 10**9), st.sampled_from([-1, 1]))
def test_a_wrong_clock_deletes_nothing(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, seconds: int, sign: int
) -> None:
    found = plan(
        backups, policy=policy, schedule=schedule, time_zone=zone, now=NOW,
        circumstances=Circumstances(clock_skew=timedelta(seconds=sign * seconds)),
    )  # fmt: skip
    assert found.frozen
    assert all(one.action is Action.KEEP for one in found.decisions)


@quick
@given(catalogues(), policies, schedules, zones, st.integers(-300, 300))
def test_a_clock_that_agrees_well_enough_changes_nothing(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, seconds: int
) -> None:
    skewed = Circumstances(clock_skew=timedelta(seconds=seconds))
    found = plan(backups, policy=policy, schedule=schedule, time_zone=zone, now=NOW, circumstances=skewed)
    assert found == planned(backups, policy, schedule, zone)


@quick
@given(catalogues(), policies, schedules, zones)
def test_pins_that_cannot_be_read_delete_nothing(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo
) -> None:
    unknown = Circumstances(notes_problem="the notes are damaged")
    found = plan(backups, policy=policy, schedule=schedule, time_zone=zone, now=NOW, circumstances=unknown)
    assert found.frozen
    assert found.deletions == ()


@quick
@given(catalogues(), policies, schedules, zones, st.data())
def test_one_more_pin_saves_that_backup_and_dooms_no_other(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, data: st.DataObject
) -> None:
    before = {one.id for one in planned(backups, policy, schedule, zone).deletions}
    if not before:
        return
    chosen = data.draw(st.sampled_from(sorted(before)))
    pinned = [replace(one, pin=Pin(None, "audit")) if one.id == chosen else one for one in backups]
    after = {one.id for one in planned(pinned, policy, schedule, zone).deletions}
    assert chosen not in after
    assert after <= before


@quick
@given(catalogues(), policies, schedules, zones, st.integers(-4000, 4000))
def test_no_clock_empties_a_series(
    backups: list[Backup], policy: Policy, schedule: str | None, zone: ZoneInfo, days: int
) -> None:
    """Even unnoticed: where the rules see a good backup, one is left."""
    now = NOW + timedelta(days=days)
    kept = {one.id for one in plan(backups, policy=policy, schedule=schedule, time_zone=zone, now=now).kept}
    for series in {one.series for one in backups}:
        good = [one for one in backups if one.series == series and one.good and not one.is_safety_dump]
        assert not good or any(one.id in kept for one in good)

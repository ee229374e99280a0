"""Schedules are read as Kubernetes reads them, and come due when its CronJobs do."""

import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.strategies.times import moments, zones

from vya_backupdb.domain.cron import Cron, parse_cron
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.schedule import job_name, next_run, parse_time_zone, previous_run, scheduled_time

#: Made by robfig.go beside it with the parser that Kubernetes itself uses.
ROBFIG: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "robfig.json").read_text())

#: Accepted by Kubernetes, refused here; the module's docstring says why.
STRICTER = {"*-5 * * * *", "+5 * * * *", ", * * * *", "1,,2 * * * *", "0\u00a00 * * *", "@every 1h", "@every -1h"}


def accepts(text: str) -> bool:
    try:
        parse_cron(text)
    except ConfigurationError as error:
        return "never comes" in error.message  # these are accepted by Kubernetes, and never run
    return True


def test_what_we_accept_kubernetes_accepts_and_the_reverse_but_for_the_named_ones() -> None:
    differing = {text for text, accepted in ROBFIG["accepted"].items() if accepts(text) is not accepted}
    assert differing == STRICTER
    assert len(ROBFIG["accepted"]) > 300


def test_schedules_come_due_when_robfig_says() -> None:
    compared = 0
    for case in ROBFIG["due"]:
        if not case["next"] or case["schedule"] in STRICTER:
            continue
        at, zone, found = datetime.fromisoformat(case["after"]), ZoneInfo(case["zone"]), []
        for _ in case["next"]:
            at = next_run(case["schedule"], zone, at)
            found.append(f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
            compared += 1
        assert found == case["next"], case
    assert compared > 1000


def days_and_minutes(cron: Cron, zone: ZoneInfo, first: date, days: int) -> list[datetime]:
    """Return every slot of `days` days by definition: each wall clock that fits, in each of its real minutes."""
    slots = set()
    for day in (first + timedelta(days=number) for number in range(days)):
        by_day, by_weekday = day.day in cron.day.values, day.isoweekday() % 7 in cron.weekday.values
        due = (by_day and by_weekday) if cron.day.any or cron.weekday.any else (by_day or by_weekday)
        if not due or day.month not in cron.month.values:
            continue
        for hour, minute, fold in product(cron.hour.values, cron.minute.values, (0, 1)):
            wall = datetime(day.year, day.month, day.day, hour, minute, fold=fold, tzinfo=zone)
            instant = wall.astimezone(UTC)
            if instant.astimezone(zone).replace(fold=0) == wall.replace(fold=0):
                slots.add(instant)
    return sorted(slots)


simple_texts = st.builds(
    lambda minute, hour, weekday: f"{minute} {hour} * * {weekday}",
    st.sampled_from(["0", "30", "*/20", "15,45", "7-50/11"]),
    st.sampled_from(["*", "0", "1", "2", "3", "1-3", "*/6", "0,23"]),
    st.sampled_from(["*", "*", "SUN", "1-5", "6,0"]),
)


@settings(max_examples=150)
@given(simple_texts, zones, moments, st.integers(0, 59_999_999))
def test_the_slots_around_a_moment_are_those_of_the_definition(
    text: str, zone: ZoneInfo, moment: datetime, microseconds: int
) -> None:
    # where the clock changes by half an hour robfig loses slots, and so does Kubernetes: see the corpus above
    assume(zone.key != "Australia/Lord_Howe")
    at = moment + timedelta(microseconds=microseconds)
    # two weeks to both sides: of a weekly slot one may be in an hour that the clock skips
    slots = days_and_minutes(parse_cron(text), zone, at.astimezone(zone).date() - timedelta(days=16), 33)
    after, before = [slot for slot in slots if slot > at], [slot for slot in slots if slot <= at]
    assert next_run(text, zone, at) == after[0]
    assert previous_run(text, zone, at) == before[-1]
    assert previous_run(text, zone, after[0]) == after[0]


def test_a_skipped_hour_has_no_slot_and_a_repeated_one_has_two() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert (
        next_run("30 2 * * *", berlin, datetime(2026, 3, 28, 12, tzinfo=UTC)).isoformat() == "2026-03-30T00:30:00+00:00"
    )
    first = next_run("30 2 * * *", berlin, datetime(2026, 10, 24, 12, tzinfo=UTC))
    second = next_run("30 2 * * *", berlin, first)
    assert (first.isoformat(), second.isoformat()) == ("2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("@hourly", "0 * * * *"),
        ("@weekly", "0 0 * * 0"),
        ("*/30 1-3 ? jan-MAR mon", "0,30 1,2,3 * 1,2,3 1"),
        ("05 03 */10 * *", "5 3 1,11,21,31 * *"),
        ("5/20 0 1 * ?", "5,25,45 0 1 * *"),
    ],
)
def test_texts_are_read(text: str, canonical: str) -> None:
    assert str(parse_cron(text)) == canonical
    assert parse_cron(canonical) == parse_cron(canonical)


@pytest.mark.parametrize(
    ("text", "fault", "remedy"),
    [
        ("", "0 fields", "minute, hour"),
        ("0 0 2 * * *", "6 fields", "no field for seconds"),
        ("60 * * * *", "minute '60' is not within 0 and 59", "Write 0 to 59"),
        ("* 1-24 * * *", "hour '24'", "Write 0 to 23"),
        ("* * 0 * *", "day of month '0'", "Write 1 to 31"),
        ("* * * 13 *", "month '13'", "JAN"),
        ("0 3 * * 7", "day of week '7'", "0 or SUN"),
        ("0 3 * * FRI-MON", "runs backwards", "FRI-6,0-MON"),
        ("0 3 L * *", "day of month 'L'", "other schedulers"),
        ("0 3 15W * *", "day of month '15W'", "other schedulers"),
        ("0 3 * * 5#2", "day of week '5#2'", "other schedulers"),
        ("*/0 * * * *", "step of 0", "1 or more"),
        ("*/x * * * *", "no number after '/'", "*/2"),
        ("0 0 31 2,4 *", "never comes in month 2,4", "a day that the month has"),
        ("TZ=Europe/Berlin 0 3 * * *", "time zone", "timeZone"),
        ("CRON_TZ=UTC 0 3 * * *", "time zone", "timeZone"),
        ("@every 1h", "no fixed times", "'0 * * * *'"),
        ("@reboot", "not a macro", "@daily"),
        ("@Daily", "not a macro", "lower case"),
    ],
)
def test_a_bad_text_names_the_field_the_part_and_the_remedy(text: str, fault: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_cron(text, field="retention.schedule")
    assert caught.value.message.startswith(f"retention.schedule {text!r}: ")
    assert fault in caught.value.message
    assert remedy in caught.value.hint


@given(st.one_of(st.text(max_size=30), st.text("0123456789*/-,?@LW# ", max_size=20)))
def test_no_text_makes_anything_but_a_schedule_or_a_named_error(text: str) -> None:
    with suppress(ConfigurationError):
        cron = parse_cron(text)
        assert parse_cron(str(cron)) == cron


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "Asia/Kathmandu"]
)
def test_iana_zones_are_taken(name: str) -> None:
    assert parse_time_zone(name).key == name


@pytest.mark.parametrize(
    "name",
    ["", "Local", "local", "localtime", "Europe", "Europe/", "/etc/localtime", "../UTC", "Europe/../UTC", "Mars/Base",
     "posix/UTC", "right/UTC", "posixrules", "Factory", "UTC\n", "Europe/Berlin ", "+02:00", "-UTC", "x" * 15,
     "UTC\0", "tzdata.zi", "zone.tab"],
)  # fmt: skip
def test_what_is_no_zone_is_refused_by_the_field_s_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"spec\.timeZone") as caught:
        parse_time_zone(name, field="spec.timeZone")
    assert "Europe/Berlin" in caught.value.hint


@given(st.from_regex(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])?", fullmatch=True), moments)
def test_the_slot_in_a_job_s_name_is_read_back(cron_job: str, moment: datetime) -> None:
    slot = moment.replace(second=0)
    assert scheduled_time(job_name(cron_job, slot)) == slot
    assert scheduled_time(job_name(cron_job, slot), cron_job=cron_job) == slot
    assert scheduled_time(job_name(cron_job, slot), cron_job=f"{cron_job}x") is None


@pytest.mark.parametrize(
    "name",
    ["", "nightly", "nightly-t-0a1b2c3d4e", "nightly-t-1234567890", "-29391780", "nightly-2939178", "nightly-٢٩٣٩١٧٨٠"],
)
def test_a_name_without_a_slot_has_none(name: str) -> None:
    assert scheduled_time(name) is None


def test_the_slot_of_a_known_job() -> None:
    assert scheduled_time("nightly-backup-29655060") == datetime(2026, 5, 20, 19, 0, tzinfo=UTC)


@given(zones, moments)
def test_a_slot_once_a_year_is_found_too(zone: ZoneInfo, moment: datetime) -> None:
    assume(moment.year < 2028)
    slot = next_run("0 12 29 2 *", zone, moment)
    found = slot.astimezone(zone)
    assert (found.month, found.day, found.hour) == (2, 29, 12)
    assert previous_run("0 12 29 2 *", zone, slot + timedelta(days=1)) == slot

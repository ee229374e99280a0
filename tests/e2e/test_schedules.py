"""Two schedules of one instance and a Job made by hand: one dump at a time, and each schedule expires only its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pytest
from tests.e2e.support import data
from tests.e2e.support.databases import Database
from tests.e2e.support.manifests import instance, restore, schedule
from tests.e2e.support.space import Space, condition_of
from tests.e2e.support.stage import Stage
from tests.e2e.support.volume import Volume
from tests.e2e.support.waiting import until

DATABASE: Final = "two_db"
ONLY_THE_NEWEST: Final = {"keepDaily": 0, "keepWeekly": 0, "keepMonthly": 0, "keepLast": 1, "minimum": 1}
#: Each run takes the server's clock from one question and answer, and is off by the time that these took on a busy
#: machine. The first dump takes much longer: it waits for the locked table.
CLOCK_ERROR: Final = timedelta(seconds=1)
HOLDING: Final = "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE"
LOCKS: Final = "SELECT count(*) FILTER (WHERE granted), count(*) FILTER (WHERE NOT granted) FROM pg_locks"
CLIENTS: Final = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = 'two_db' AND wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE %'"
)


@dataclass(frozen=True)
class Story:
    """One instance with two schedules."""

    stage: Stage
    space: Space
    volume: Volume
    postgres: Database


@pytest.fixture(scope="module")
def story(stage: Stage, postgres: Database) -> Iterator[Story]:
    """Apply an instance of one small database, and an hourly and a nightly schedule that keep one backup each."""
    data.make_small(postgres, DATABASE)
    space = stage.furnish("two")
    space.apply(
        instance("one", "postgres", DATABASE, users={"enabled": False}),
        schedule("hourly", "one", retention=ONLY_THE_NEWEST),
        schedule("nightly", "one", retention=ONLY_THE_NEWEST),
    )
    space.wait("bki/one", "Ready")
    yield Story(stage, space, stage.volume(space), postgres)
    postgres.drop(DATABASE)


def test_two_schedules_and_a_job_by_hand_dump_one_after_the_other(story: Story) -> None:
    """All three run while a table is locked: one has begun to dump, the others wait for its lock on the server."""
    space, postgres = story.space, story.postgres
    with postgres.session(HOLDING, DATABASE):
        space.trigger("hourly", "same minute")
        space.trigger("nightly", "same minute")
        space.kubectl("create", "job", "by-hand", "--from=cronjob/hourly-backup")
        until(
            "one run holds the lock and two wait for it",
            lambda: postgres.value(f"{LOCKS} WHERE locktype = 'advisory'") == "1|2",
            seconds=50,
        )
        until("one client dumps", lambda: postgres.value(CLIENTS) == "1", seconds=10)
        assert not story.volume.backups(DATABASE)

    for name in ("hourly", "nightly"):
        assert space.wait_trigger(name, "same minute")["status"]["lastRun"]["result"] == "Succeeded"
    space.wait("job/by-hand", "Complete")
    space.wait("bks/hourly", 'jsonpath={.status.history[?(@.run=="by-hand")].result}=Succeeded')
    story.volume.assert_whole()
    made = story.volume.backups(DATABASE)
    assert [one["run"]["schedule"] for one in made].count("hourly") == 2
    assert len({one["run"]["id"] for one in made}) == 3
    for earlier, later in pairwise(made):
        assert _end(earlier) <= _begin(later) + CLOCK_ERROR, "two dumps of one database overlap"


def test_retention_of_one_schedule_leaves_the_other_alone(story: Story) -> None:
    space, volume = story.space, story.volume
    space.trigger("nightly", "once more")
    space.wait_trigger("nightly", "once more")
    nightly, hourly = volume.ids(DATABASE, "nightly"), volume.ids(DATABASE, "hourly")
    assert (len(nightly), len(hourly)) == (2, 2)

    status = _expire(space, "hourly")

    assert status["deleted"] == 1
    assert volume.ids(DATABASE, "nightly") == nightly
    kept = volume.ids(DATABASE, "hourly")
    assert kept == {max(hourly)}
    assert _expire(space, "nightly")["deleted"] == 1
    assert volume.ids(DATABASE, "hourly") == kept
    assert volume.ids(DATABASE, "nightly") == {max(nightly)}
    # the floor: what is left stays, however often retention runs
    assert _expire(space, "nightly", "again")["deleted"] == 0
    volume.assert_whole()


def test_a_second_instance_that_would_write_into_the_same_tree_is_refused(story: Story) -> None:
    space, volume = story.space, story.volume
    before = volume.run("cat */one/.owner.json")
    second = instance("second", "postgres", DATABASE, storage={"databaseId": "one"}, job={"backoffLimit": 0})
    space.apply(second, schedule("of-second", "second", manualTrigger="now"))

    ready = space.wait_reason("bki/second", "Ready", "TreeOwnedByAnother")
    assert ready["status"] == "False"
    assert f"{space.name}/one" in ready["message"]
    assert "Give this instance another" in ready["message"]
    assert condition_of(space.get("bki/second"), "Stalled")["status"] == "True"
    assert condition_of(space.get("bki/second"), "StorageReady")["status"] == "False"
    run = space.wait_trigger("of-second", "now")["status"]["lastRun"]
    assert (run["result"], run["exitCode"]) == ("TreeOwnedByAnother", 32)

    space.apply(restore("theft", "second", DATABASE, to="two_stolen"))
    refused = condition_of(space.wait("rr/theft", "Succeeded=false"), "Succeeded")
    assert refused["reason"] == "TreeOwnedByAnother"
    assert not story.postgres.databases("two_stolen")

    space.trigger("hourly", "still mine")
    assert space.wait_trigger("hourly", "still mine")["status"]["lastRun"]["result"] == "Succeeded"
    assert condition_of(space.get("bki/one"), "Ready")["status"] == "True"
    assert volume.run("cat */one/.owner.json") == before


def test_another_namespace_cannot_be_named(story: Story) -> None:
    request = restore("across", "postgres", "main_shop", to="two_stolen")
    request["spec"]["source"]["instanceRef"]["namespace"] = "vya-e2e-main"
    assert "namespace" in story.space.refusal(request)

    del request["spec"]["source"]["instanceRef"]["namespace"]
    story.space.apply(request)
    missing = story.space.wait_reason("rr/across", "Succeeded", "InstanceNotFound")
    assert missing["status"] == "Unknown"
    assert "this namespace" in missing["message"]


def _expire(space: Space, name: str, suffix: str = "now") -> dict[str, Any]:
    """Run a schedule's retention by hand, and return what its status says of it."""
    job = f"{name}-expires-{suffix}"
    space.kubectl("create", "job", job, f"--from=cronjob/{name}-retention")
    found = space.wait(f"bks/{name}", f"jsonpath={{.status.lastRetention.run}}={job}")
    last: dict[str, Any] = found["status"]["lastRetention"]
    assert last["result"] == "Succeeded", last
    return last


def _begin(backup: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(backup["backup_info"]["timestamp"])


def _end(backup: dict[str, Any]) -> datetime:
    return _begin(backup) + timedelta(seconds=backup["backup_info"]["duration_seconds"])

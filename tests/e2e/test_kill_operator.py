"""The operator dies, or is away: the story ends the same, one Job a slot, and the backups go on without it."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest
from tests.e2e.support import data
from tests.e2e.support.databases import Database
from tests.e2e.support.manifests import instance, restore, schedule
from tests.e2e.support.space import PREFIX, Manifest, Space, condition_of
from tests.e2e.support.stage import Stage
from tests.e2e.support.waiting import until

DATABASE: Final = "kill_db"
CLOCK: Final = "clock_db"


@pytest.fixture
def space(stage: Stage, postgres: Database) -> Iterator[Space]:
    """Give the namespace of this story, and bring the operator back at its end."""
    data.make_shop(postgres, DATABASE)
    yield stage.furnish("kill")
    stage.operator_ready()
    postgres.drop(DATABASE)


def test_the_operator_killed_after_every_step_changes_nothing(stage: Stage, postgres: Database, space: Space) -> None:
    before = data.fingerprint(postgres, DATABASE)

    space.apply(instance("one", "postgres", DATABASE))
    stage.kill_operator()
    space.wait("bki/one", "Ready", seconds=180)
    stage.kill_operator()
    space.apply(schedule("nightly", "one", manualTrigger="now"))
    stage.kill_operator()
    found = space.wait_trigger("nightly", "now", seconds=180)
    stage.kill_operator()
    assert found["status"]["lastRun"]["result"] == "Succeeded"
    postgres.drop(DATABASE)
    space.apply(restore("back", "one", DATABASE))
    stage.kill_operator()
    request = space.wait("rr/back", "Succeeded", seconds=180)
    stage.kill_operator()

    assert data.fingerprint(postgres, DATABASE) == before
    stage.operator_ready()
    space.wait("bks/nightly", "LastBackupSucceeded")
    _assert_one_job_a_slot(space)
    assert len(space.get("bks/nightly")["status"]["history"]) == 1
    again = space.get("rr/back")
    assert condition_of(again, "Succeeded") == condition_of(request, "Succeeded")
    volume = stage.volume(space)
    assert len(volume.backups(DATABASE)) == 1
    volume.assert_whole()


def test_the_backup_runs_while_the_operator_is_down(stage: Stage, postgres: Database) -> None:
    """A schedule of every minute; and a namespace full of our objects goes away, although nobody could clean it up."""
    data.make_small(postgres, CLOCK)
    space = stage.furnish("clock")
    gone = fill(stage, "gone-too")
    space.apply(instance("one", "postgres", CLOCK, users={"enabled": False}))
    space.wait("bki/one", "Ready", seconds=180)
    space.apply(schedule("ticking", "one", cron="* * * * *"))
    space.wait("bks/ticking", "Ready")
    stage.scale_operator(0)
    before = {job["metadata"]["name"] for job in _backups(space)}

    gone.kubectl("delete", "namespace", gone.name, "--timeout=90s")
    ran = until("a slot comes and its backup is made", lambda: _complete(space) - before, seconds=150)

    status = space.get("bks/ticking")["status"]
    assert not {one["run"] for one in status.get("history", [])} & ran
    space.patch("cronjob/ticking-backup", {"spec": {"suspend": True}})
    stage.scale_operator(1)
    space.patch("bks/ticking", {"spec": {"suspend": True}})
    for job in ran:
        path = f'jsonpath={{.status.history[?(@.run=="{job}")].result}}=Succeeded'
        space.wait("bks/ticking", path, seconds=120)
    found = space.get("bks/ticking")
    told = {one["run"]: one["trigger"] for one in found["status"]["history"]}
    assert {told[job] for job in ran} == {"Scheduled"}
    assert found["status"]["lastScheduleTime"]
    assert condition_of(found, "LastBackupSucceeded")["status"] == "True"
    _assert_one_job_a_slot(space)
    postgres.drop(CLOCK)


def test_a_namespace_full_of_our_objects_goes_away(stage: Stage) -> None:
    """And the operator, which was told to watch it, goes on with the others, also when it is started anew."""
    gone = fill(stage, "gone")

    gone.kubectl("delete", "namespace", gone.name, "--timeout=90s")

    stage.kill_operator()
    stage.operator_ready()
    space = stage.furnish("clock")
    space.apply(instance("after", "postgres", "no_such_*", storage={"databaseId": "after"}))
    space.wait("bki/after", "Ready", seconds=90)


def fill(stage: Stage, story: str) -> Space:
    """Fill a namespace with every object of ours, some at work, some that can never succeed."""
    space = stage.furnish(story)
    space.apply(
        instance("one", "postgres", "postgres"),
        instance("lost", "mysql", host="nowhere.invalid"),
        schedule("nightly", "one", manualTrigger="now"),
        schedule("orphan", "no-such-instance", manualTrigger="now"),
        restore("never", "one", "no_such_database"),
        restore("waiting", "no-such-instance", "any"),
    )
    space.wait("bki/one", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}', seconds=120)
    return space


def _backups(space: Space) -> list[Manifest]:
    return space.items("jobs", f"{PREFIX}role=backup")


def _complete(space: Space) -> set[str]:
    return {job["metadata"]["name"] for job in _backups(space) if job["status"].get("succeeded")}


def _assert_one_job_a_slot(space: Space) -> None:
    """Hold that each trigger, scheduled minute and request has one Job, and each Job one pod."""
    jobs = space.items("jobs")
    slots = Counter(_slot(job) for job in jobs)
    assert max(slots.values()) == 1, slots
    pods = Counter(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] for pod in _pods(space))
    assert max(pods.values()) == 1, pods


def _pods(space: Space) -> list[Manifest]:
    return space.items("pods", "batch.kubernetes.io/job-name")


def _slot(job: Manifest) -> str:
    meta = job["metadata"]
    marks = meta.get("annotations", {})
    due = marks.get("batch.kubernetes.io/cronjob-scheduled-timestamp") or marks.get(f"{PREFIX}manual-trigger", "")
    parts = [meta["labels"].get(f"{PREFIX}{key}", "") for key in ("role", "instance", "schedule", "restore-request")]
    return "/".join([*parts, due])

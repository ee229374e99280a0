"""A BackupSchedule: CronJobs as the spec says, one Job a trigger, and conditions that tell the truth."""

from datetime import timedelta

import pytest
from tests.unit.reconcile.scheduled import BACKUP, RETENTION, SLOT, cronjob, running
from tests.unit.reconcile.stage import INSTANCE, INSTANCE_SPEC, NAMESPACE, SCHEDULE, SCHEDULE_SPEC, Stage, report

from vya_backupdb.builders.jobs import JobSettings
from vya_backupdb.domain.specs_schedule import ScheduleStatus
from vya_backupdb.kube.errors import Conflict, KubernetesError
from vya_backupdb.kube.gateway import CRONJOBS, INSTANCES, JOBS, SCHEDULES, Manifest, ResourceType
from vya_backupdb.reconcile.conditions import find
from vya_backupdb.reconcile.reconciler import Reconciler


async def test_two_operators_that_want_different_cronjobs_do_not_mend_each_others_without_end() -> None:
    """Two releases whose namespaces overlap: each would apply its own many times a second."""
    stage = await running()
    other = Reconciler(stage.gateway, JobSettings(dumper_image="dumper:2"), lambda: stage.now)
    applied = [write for write in stage.gateway.writes if write.startswith(("apply", "create cron"))]
    for _ in range(20):
        await other.reconcile(SCHEDULE)
        decision = await stage.reconcile(SCHEDULE)
        stage.later(seconds=1)
    assert [one for one in stage.gateway.writes if one.startswith(("apply", "create cron"))] == applied
    assert "AnotherOperator" in stage.events()
    stage.later(seconds=60)
    # both CronJobs, once
    decision = await other.reconcile(SCHEDULE)
    assert len(decision.actions) == 2
    decision = await stage.reconcile(SCHEDULE)
    assert (decision.actions, decision.wake_at) == ((), stage.now + timedelta(seconds=60))


async def test_what_an_admission_policy_makes_of_a_cronjob_is_left_to_it() -> None:
    """It changes each apply on its way in, which would be applied again at once for ever; a hand is mended at once."""
    stage = await running()
    applied = stage.gateway.apply

    async def admitted(type_: ResourceType, manifest: Manifest, *, uid: str | None) -> Manifest:
        await applied(type_, manifest, uid=uid)
        one = stage.gateway.objects[CRONJOBS.kind, NAMESPACE, manifest["metadata"]["name"]]
        pod = one["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        pod["containers"][0]["imagePullPolicy"] = "Always"
        pod["containers"][0]["env"].append({"name": "HTTP_PROXY", "value": "http://proxy"})
        pod["containers"].insert(0, {"name": "mesh"})
        return one

    stage.gateway.apply = admitted  # type: ignore[method-assign]
    stage.user(SCHEDULE, schedule="0 1 * * *")
    for _ in range(5):
        await stage.reconcile(SCHEDULE)
        stage.later(minutes=1)
    assert stage.gateway.writes.count("apply cronjobs") == 1, stage.gateway.writes
    condition = find(stage.status(SCHEDULE), "Ready")
    assert condition is not None
    assert BACKUP in condition["message"]
    there = stage.gateway.objects[CRONJOBS.kind, NAMESPACE, BACKUP]
    stage.gateway.put(CRONJOBS, {**there, "spec": {**there["spec"], "schedule": "* * * * *"}})
    await stage.reconcile(SCHEDULE)
    assert cronjob(stage)["schedule"] == "0 1 * * *"
    stage.user(SCHEDULE, schedule="0 2 * * *")
    await stage.reconcile(SCHEDULE)
    assert cronjob(stage)["schedule"] == "0 2 * * *"


async def test_it_has_two_cronjobs_and_is_ready() -> None:
    stage = await running()
    assert stage.names(CRONJOBS) == [BACKUP, RETENTION]
    assert stage.condition(SCHEDULE, "Ready") == ("True", "CronJobsCurrent")
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("Unknown", "NeverRun")
    assert stage.status(SCHEDULE)["nextScheduleTime"] == "2026-11-23T02:30:00Z"
    ScheduleStatus.model_validate(stage.status(SCHEDULE))


async def test_an_unchanged_world_is_not_written_to_and_a_changed_cronjob_is_mended() -> None:
    stage = await running()
    before = list(stage.gateway.writes)
    stage.gateway.calls.clear()
    await stage.reconcile(SCHEDULE)
    assert stage.gateway.writes == before
    assert not [call for call in stage.gateway.calls if call.split()[0] not in ("get", "list")]
    there = stage.gateway.objects[CRONJOBS.kind, NAMESPACE, BACKUP]
    stage.gateway.put(CRONJOBS, {**there, "spec": {**there["spec"], "schedule": "* * * * *"}})
    await stage.reconcile(SCHEDULE)
    assert cronjob(stage)["schedule"] == "30 2 * * *"


async def test_a_changed_spec_reaches_the_cronjobs() -> None:
    stage = await running()
    stage.user(SCHEDULE, schedule="0 1 * * *", suspend=True)
    await stage.reconcile(SCHEDULE)
    assert cronjob(stage)["schedule"] == "0 1 * * *"
    assert cronjob(stage)["suspend"] is True
    assert cronjob(stage, RETENTION)["suspend"] is True
    assert "nextScheduleTime" not in stage.status(SCHEDULE)
    stage.user(INSTANCE, host="elsewhere.team.svc")
    await stage.reconcile(SCHEDULE)
    assert "elsewhere.team.svc" in str(cronjob(stage))


async def test_a_missing_instance_suspends_and_never_deletes() -> None:
    stage = await running()
    stage.gateway.remove(INSTANCES, NAMESPACE, INSTANCE.name)
    await stage.reconcile(SCHEDULE)
    assert [cronjob(stage, name)["suspend"] for name in (BACKUP, RETENTION)] == [True, True]
    assert stage.condition(SCHEDULE, "Ready") == ("False", "InstanceNotFound")
    assert stage.condition(SCHEDULE, "Reconciling") == ("True", "InstanceNotFound")
    writes = len(stage.gateway.writes)
    stage.later(minutes=5)
    await stage.reconcile(SCHEDULE)
    assert len(stage.gateway.writes) == writes
    stage.later(minutes=6)
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Stalled") == ("True", "InstanceNotFound")
    stage.user(INSTANCE)
    await stage.reconcile(SCHEDULE)
    assert cronjob(stage)["suspend"] is False
    assert stage.condition(SCHEDULE, "Ready") == ("True", "CronJobsCurrent")
    assert stage.condition(SCHEDULE, "Stalled") is None


async def test_a_schedule_that_was_replaced_waits_for_its_forerunners_cronjobs_to_go() -> None:
    """`kubectl replace --force`: Flux gives up at once on what is Stalled."""
    stage = await running()
    former = stage.gateway.objects.pop((SCHEDULES.kind, NAMESPACE, SCHEDULE.name))
    stage.user(SCHEDULE)
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Ready") == ("False", "Retrying")
    assert stage.condition(SCHEDULE, "Stalled") is None
    stage.gateway.collect()
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Ready") == ("True", "CronJobsCurrent")
    (owner,) = stage.gateway.objects[CRONJOBS.kind, NAMESPACE, BACKUP]["metadata"]["ownerReferences"]
    assert owner["uid"] != former["metadata"]["uid"]


async def test_a_strangers_cronjob_is_not_touched() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    stage.user(SCHEDULE)
    meta = {"namespace": NAMESPACE, "name": BACKUP}
    stage.gateway.put(CRONJOBS, {"metadata": meta, "spec": {"schedule": "1 1 1 1 1"}})
    await stage.reconcile(SCHEDULE)
    assert cronjob(stage) == {"schedule": "1 1 1 1 1"}
    assert stage.condition(SCHEDULE, "Ready") == ("False", "NameCollision")
    assert stage.condition(SCHEDULE, "Stalled") == ("True", "NameCollision")


async def test_a_trigger_makes_one_job_and_is_echoed_when_it_was_seen() -> None:
    stage = await running(manualTrigger="one", suspend=True)
    (job,) = stage.names(JOBS)
    assert "lastManualTrigger" not in stage.status(SCHEDULE)
    assert stage.condition(SCHEDULE, "Reconciling") == ("True", "Pending")
    await stage.reconcile(SCHEDULE)
    assert stage.status(SCHEDULE)["lastManualTrigger"] == "one"
    assert stage.condition(SCHEDULE, "Reconciling") is None
    stage.end(job, report(job))
    await stage.reconcile(SCHEDULE)
    stage.gateway.remove(JOBS, NAMESPACE, job)
    await stage.reconcile(SCHEDULE)
    assert stage.names(JOBS) == []
    assert stage.status(SCHEDULE)["lastRun"]["trigger"] == "Manual"


async def test_of_several_values_the_last_one_runs() -> None:
    stage = await running()
    for value in ("one", "two", "three"):
        stage.user(SCHEDULE, manualTrigger=value)
    await stage.reconcile(SCHEDULE)
    await stage.reconcile(SCHEDULE)
    assert len(stage.names(JOBS)) == 1
    assert stage.status(SCHEDULE)["lastManualTrigger"] == "three"


async def test_a_trigger_waits_for_its_instance() -> None:
    stage = Stage()
    stage.user(SCHEDULE, manualTrigger="one")
    await stage.reconcile(SCHEDULE)
    assert stage.names(JOBS) == []
    stage.user(INSTANCE)
    await stage.reconcile(SCHEDULE)
    assert len(stage.names(JOBS)) == 1


async def test_triggered_jobs_beyond_the_limits_go_but_only_when_they_were_counted() -> None:
    stage = await running(successfulJobsHistoryLimit=1)
    for value in ("one", "two", "three"):
        stage.user(SCHEDULE, manualTrigger=value, successfulJobsHistoryLimit=1)
        await stage.reconcile(SCHEDULE)
        job = next(name for name in stage.names(JOBS) if name not in stage.status(SCHEDULE).get("lastRun", {}))
        for name in stage.names(JOBS):
            if "conditions" not in stage.gateway.objects[JOBS.kind, NAMESPACE, name].get("status", {}):
                job = name
        stage.later(minutes=1)
        stage.end(job, report(job))
    assert len(stage.names(JOBS)) == 2, "the third is not counted yet, so nothing of it may be deleted"
    await stage.reconcile(SCHEDULE)
    await stage.reconcile(SCHEDULE)
    assert stage.names(JOBS) == [job]
    assert len(stage.status(SCHEDULE)["history"]) == 3


async def test_fresh_is_told_by_the_clock_alone() -> None:
    stage = await running(maxAgeSeconds=3600)
    assert stage.condition(SCHEDULE, "Fresh") == ("False", "NeverSucceeded")
    job = stage.cron(BACKUP, SLOT)
    stage.end(job, report(job))
    decision = await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Fresh") == ("True", "WithinMaxAge")
    assert decision.wake_at is not None
    stage.now = decision.wake_at
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Fresh") == ("False", "Overdue")


async def test_a_status_that_changed_meanwhile_is_not_overwritten() -> None:
    stage = await running()
    job = stage.cron(BACKUP, SLOT)
    stage.end(job, report(job))

    def race(call: str) -> None:
        if call.startswith("status"):
            one = stage.gateway.objects[SCHEDULES.kind, NAMESPACE, SCHEDULE.name]
            one["metadata"]["resourceVersion"] = "999"

    stage.gateway.before = race
    with pytest.raises(Conflict):
        await stage.reconcile(SCHEDULE)


@pytest.mark.parametrize("text", ["bad", "99 2 * * *", "30 2 30 2 *"])
async def test_a_schedule_that_never_comes_is_refused_in_a_condition(text: str) -> None:
    stage = Stage()
    stage.user(INSTANCE)
    stage.user(SCHEDULE, schedule=text)
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Ready") == ("False", "InvalidSpec")
    assert stage.names(CRONJOBS) == []


async def test_a_refused_cronjob_is_not_called_ready() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    stage.user(SCHEDULE)

    def refuse(call: str) -> None:
        if call.startswith("apply"):
            raise KubernetesError("the server is not amused")

    stage.gateway.before = refuse
    with pytest.raises(KubernetesError):
        await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Ready") == ("False", "Retrying")
    assert stage.condition(SCHEDULE, "Reconciling") == ("True", "Retrying")


def test_the_specs_of_these_tests_are_not_changed_by_them() -> None:
    assert INSTANCE_SPEC["host"] == "db.team.svc"
    assert SCHEDULE_SPEC["schedule"] == "30 2 * * *"

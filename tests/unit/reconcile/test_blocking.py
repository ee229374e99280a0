"""What holds a Job up, on the stage: sidecars that an admission webhook put beside it, lost nodes, refused Jobs."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.reconcile.scheduled import BACKUP, SLOT, running
from tests.unit.reconcile.stage import INSTANCE, NAMESPACE, RESTORE, SCHEDULE, Stage, report

from vya_backupdb.kube.gateway import CRONJOBS, EVENTS, JOBS, PODS
from vya_backupdb.reconcile.conditions import find, timestamp
from vya_backupdb.reconcile.world import Key

_SIDECAR = {"name": "proxy", "state": {"running": {}}}


async def checking() -> tuple[Stage, str]:
    """Return a stage on which the first check runs, and its Job's name."""
    stage = Stage()
    stage.user(INSTANCE)
    await stage.reconcile(INSTANCE)
    (job,) = stage.names(JOBS)
    return stage, job


def event(stage: Stage, about: str, message: str, reason: str = "FailedCreate") -> None:
    """Play a controller that tells of a refusal now."""
    meta = {"namespace": NAMESPACE, "name": f"e-{len(stage.gateway.objects)}"}
    moment = timestamp(stage.now)
    body = {"involvedObject": {"uid": about}, "reason": reason, "message": message, "lastTimestamp": moment}
    stage.gateway.put(EVENTS, {"metadata": meta, **body})


def message(stage: Stage, key: Key, type_: str) -> str:
    """Return the message of a condition."""
    return str((find(stage.status(key), type_) or {}).get("message"))


async def test_a_check_that_a_sidecar_outlives_is_read_all_the_same() -> None:
    stage, job = await checking()
    ended = {"exitCode": 0, "finishedAt": timestamp(stage.now), "message": report(job, operation="check")}
    both = [_SIDECAR, {"name": "dumper", "state": {"terminated": ended}}]
    stage.pod(job, {}, containerStatuses=both)
    decision = await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("Unknown", "CheckRunning"), "it may be about to end"
    assert decision.wake_at == stage.now + timedelta(seconds=60)
    stage.now = decision.wake_at
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("True", "CheckPassed")
    # its deadline takes the pod away
    stage.later(minutes=10)
    stage.gateway.objects = {one: what for one, what in stage.gateway.objects.items() if one[0] != PODS.kind}
    stage.finish(job, complete=False, why="DeadlineExceeded")
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("True", "CheckPassed")


@pytest.mark.parametrize(("code", "result"), [(0, "Succeeded"), (40, "PartiallyFailed")])
async def test_a_run_that_a_sidecar_outlives_is_counted_and_makes_room_for_the_next(code: int, result: str) -> None:
    stage = await running()
    stage.now = SLOT
    job = stage.cron(BACKUP, SLOT)
    told = report(job, reason=result, exit_code=code, message="3 of 3")
    ended = {"exitCode": code, "finishedAt": timestamp(stage.now), "message": told}
    stage.pod(job, {}, containerStatuses=[_SIDECAR, {"name": "dumper", "state": {"terminated": ended}}])
    stage.later(seconds=59)
    await stage.reconcile(SCHEDULE)
    assert stage.status(SCHEDULE)["active"] == [job]
    stage.later(seconds=1)
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == (str(code == 0), result)
    assert "proxy" in message(stage, SCHEDULE, "LastBackupSucceeded")
    assert stage.names(JOBS) == [job], "only what the status tells of may go"
    for _ in range(2):
        await stage.reconcile(SCHEDULE)
    assert stage.names(JOBS) == []
    assert len(stage.status(SCHEDULE)["history"]) == 1


async def test_a_restore_that_a_sidecar_outlives_has_ended() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    stage.user(RESTORE)
    await stage.reconcile(RESTORE)
    (job,) = stage.names(JOBS)
    ended = {"exitCode": 0, "finishedAt": timestamp(stage.now), "message": report(job, operation="restore")}
    stage.pod(job, {}, containerStatuses=[_SIDECAR, {"name": "dumper", "state": {"terminated": ended}}])
    stage.later(minutes=1)
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("True", "Completed")


async def test_a_container_beside_the_dumper_that_does_not_start_is_told() -> None:
    stage, job = await checking()
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    beside = [{"name": "mesh-init", "state": waiting}]
    stage.pod(job, {"waiting": {"reason": "PodInitializing"}}, phase="Pending", initContainerStatuses=beside)
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("False", "ContainerNotStarted")
    assert "mesh-init" in message(stage, INSTANCE, "Ready")


async def test_a_run_that_died_of_its_deadline_says_what_had_held_it_up() -> None:
    stage = await running()
    job = stage.cron(BACKUP, SLOT)
    event(stage, stage.gateway.objects[JOBS.kind, NAMESPACE, job]["metadata"]["uid"], "no PriorityClass 'high'")
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Stalled") == ("True", "PodRefused")
    stage.later(hours=6)
    stage.finish(job, complete=False, why="DeadlineExceeded")
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("False", "DeadlineExceeded")
    assert "PriorityClass" in message(stage, SCHEDULE, "LastBackupSucceeded")
    assert stage.condition(SCHEDULE, "Stalled") is None


async def test_a_pod_that_does_not_go_with_its_node_is_told_and_stalls_after_ten_minutes() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    stage.user(RESTORE)
    await stage.reconcile(RESTORE)
    (job,) = stage.names(JOBS)
    stage.later(hours=3)
    pod = stage.pod(job, {"running": {}})
    stage.gateway.put(PODS, {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": timestamp(stage.now)}})
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("Unknown", "RestoreRunning"), "it has only just begun to end"
    stage.later(minutes=2)
    decision = await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Reconciling") == ("True", "PodTerminating")
    assert "--force" in message(stage, RESTORE, "Reconciling")
    assert decision.wake_at is not None
    stage.now = decision.wake_at
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Stalled") == ("True", "PodTerminating")


@pytest.mark.parametrize(
    ("text", "expected", "remedy"),
    [
        ("p is forbidden: maximum memory usage per Container is 64Mi, but limit is 1Gi", "PodRefused", "job.resources"),
        ("p is forbidden: failed quota: q: must specify limits.cpu for: dumper", "PodRefused", "job.resources"),
        ('failed calling webhook "mesh": context deadline exceeded', "Retrying", "webhook"),
        (
            "p is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
            "QuotaExceeded",
            "quota",
        ),
    ],
)
async def test_a_pod_that_limits_refuse_is_told_with_the_field_that_mends_it(
    text: str, expected: str, remedy: str
) -> None:
    stage, job = await checking()
    event(stage, stage.gateway.objects[JOBS.kind, NAMESPACE, job]["metadata"]["uid"], text)
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("False", expected)
    assert remedy in message(stage, INSTANCE, "Ready")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('persistentvolumeclaim "backups" not found. not found', "ClaimNotFound"),
        ('persistentvolumeclaim "backups" is being deleted', "ClaimNotFound"),
        ('persistentvolumeclaim "backups" bound to non-existent persistentvolume "pv"', "ClaimNotBound"),
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found", "ClaimNotBound"),
        ("0/2 nodes are available: 1 node(s) didn't match pod affinity rules", "Unschedulable"),
    ],
)
async def test_what_the_scheduler_says_of_a_claim_belongs_to_the_claim(text: str, expected: str) -> None:
    stage, job = await checking()
    unscheduled = {"type": "PodScheduled", "status": "False", "message": text}
    stage.pod(job, {}, phase="Pending", conditions=[unscheduled])
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("False", expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Error creating job: jobs.batch "x" is forbidden: exceeded quota: q', "QuotaExceeded"),
        ("Error creating job: ValidatingAdmissionPolicy 'p' denied request: no Jobs at night", "JobRefused"),
    ],
)
async def test_a_slot_whose_job_the_cluster_refuses_is_told_and_heals(text: str, expected: str) -> None:
    """There is no Job to look at; the one before it ended well."""
    stage = await running()
    uid = stage.gateway.objects[CRONJOBS.kind, NAMESPACE, BACKUP]["metadata"]["uid"]
    first = stage.cron(BACKUP, SLOT)
    stage.now = SLOT + timedelta(minutes=1)
    stage.end(first, report(first))
    await stage.reconcile(SCHEDULE)
    stage.gateway.calls.clear()
    await stage.reconcile(SCHEDULE)
    assert "list events" not in stage.gateway.calls, "nothing is missing, so nobody is asked"
    stage.now = SLOT + timedelta(days=1)
    event(stage, uid, text)
    stage.later(minutes=11)
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Stalled") == ("True", expected)
    assert text in message(stage, SCHEDULE, "Stalled")
    stage.cron(BACKUP, SLOT + timedelta(days=1))
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Stalled") is None


async def test_a_slot_is_looked_after_a_minute_later() -> None:
    stage = await running()
    stage.now = SLOT
    decision = await stage.reconcile(SCHEDULE)
    assert decision.wake_at == SLOT + timedelta(minutes=1)


async def test_a_job_of_ours_without_our_labels_is_a_collision_and_not_made_without_end() -> None:
    stage, job = await checking()
    there = stage.gateway.objects[JOBS.kind, NAMESPACE, job]
    stage.gateway.put(JOBS, {**there, "metadata": {**there["metadata"], "labels": {}}})
    with pytest.raises(Exception, match="labels") as caught:
        await stage.reconcile(INSTANCE)
    await stage.reconciler.show(INSTANCE, caught.value)
    assert stage.condition(INSTANCE, "Stalled") == ("True", "NameCollision")
    stage.gateway.remove(JOBS, NAMESPACE, job)
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Stalled") is None


async def test_a_restore_that_does_not_get_on_is_made_anew_of_a_corrected_spec() -> None:
    """Its Job never changes, and would wait for its deadline: the remedy that the condition names must help."""
    stage = Stage()
    stage.user(INSTANCE)
    stage.user(RESTORE)
    await stage.reconcile(RESTORE)
    (job,) = stage.names(JOBS)
    uid = stage.gateway.objects[JOBS.kind, NAMESPACE, job]["metadata"]["uid"]
    event(stage, uid, "p is forbidden: maximum memory usage per Container is 64Mi, but limit is 1Gi")
    stage.later(minutes=1)
    for _ in range(2):
        await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Stalled") == ("True", "PodRefused")
    assert stage.gateway.objects[JOBS.kind, NAMESPACE, job]["metadata"]["uid"] == uid
    stage.user(INSTANCE, job={"resources": {"limits": {"memory": "64Mi"}}})
    await stage.reconcile(RESTORE)
    assert stage.names(JOBS) == []
    await stage.reconcile(RESTORE)
    anew = stage.gateway.objects[JOBS.kind, NAMESPACE, job]
    assert "'64Mi'" in str(anew["spec"])
    # once it runs, nobody takes it away
    stage.pod(job, {"running": {}})
    stage.later(hours=1)
    stage.user(INSTANCE, host="elsewhere.team.svc")
    await stage.reconcile(RESTORE)
    assert stage.gateway.objects[JOBS.kind, NAMESPACE, job]["metadata"]["uid"] == anew["metadata"]["uid"]


async def test_a_spec_that_cannot_be_read_rests_if_it_asks_for_that() -> None:
    stage = await running()

    def suspended() -> list[Any]:
        return [one["spec"]["suspend"] for (kind, *_), one in stage.gateway.objects.items() if kind == CRONJOBS.kind]

    stage.user(SCHEDULE, schedule="30 2 30 2 *")
    await stage.reconcile(SCHEDULE)
    assert suspended() == [False, False]
    assert "go on as they were" in message(stage, SCHEDULE, "Ready")
    stage.user(SCHEDULE, schedule="30 2 30 2 *", suspend=True)
    await stage.reconcile(SCHEDULE)
    assert suspended() == [True, True]
    assert "are suspended" in message(stage, SCHEDULE, "Ready")
    assert "nextScheduleTime" not in stage.status(SCHEDULE)
    writes = len(stage.gateway.writes)
    await stage.reconcile(SCHEDULE)
    assert len(stage.gateway.writes) == writes

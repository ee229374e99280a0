"""A RestoreRequest: one Job, one end, never twice."""

import pytest
from tests.unit.reconcile.stage import INSTANCE, NAMESPACE, RESTORE, Stage, report

from vya_backupdb.domain.specs_restore import RestoreStatus
from vya_backupdb.kube.errors import Conflict
from vya_backupdb.kube.gateway import JOBS, RESTORES
from vya_backupdb.reconcile.apply import apply
from vya_backupdb.reconcile.conditions import timestamp
from vya_backupdb.reconcile.decide import decide
from vya_backupdb.reconcile.observe import observe


async def begun() -> tuple[Stage, str]:
    """Return a stage with a request whose Job was made, and the Job's name."""
    stage = Stage()
    stage.user(INSTANCE)
    stage.user(RESTORE)
    await stage.reconcile(RESTORE)
    (job,) = stage.names(JOBS)
    return stage, job


async def test_it_makes_one_job_that_claims_the_request() -> None:
    stage, job = await begun()
    await stage.reconcile(RESTORE)
    assert stage.names(JOBS) == [job]
    args = stage.gateway.objects[JOBS.kind, NAMESPACE, job]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert any(word.startswith("--claim=team.back.") for word in args)
    assert stage.condition(RESTORE, "Succeeded") == ("Unknown", "RestoreRunning")
    assert stage.condition(RESTORE, "Reconciling") == ("True", "RestoreRunning")
    assert stage.events() == ["RestoreStarted"]


async def test_a_restore_that_ended_well_tells_what_came_back() -> None:
    stage, job = await begun()
    restored = {"backup_id": "orders_20261122_020000_full", "database": "orders", "bytes": 9, "tables": 2, "rows": 7}
    stage.end(job, report(job, operation="restore", restored=restored, message="orders is back"))
    await stage.reconcile(RESTORE)
    status = stage.status(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("True", "Completed")
    assert stage.condition(RESTORE, "Reconciling") is None
    assert stage.condition(RESTORE, "Stalled") is None
    assert status["restored"] == {"bytes": 9, "tables": 2, "rows": 7}
    assert status["backup"] == "orders_20261122_020000_full"
    assert status["target"] == "orders"
    RestoreStatus.model_validate(status)


async def test_its_end_is_final_even_when_the_job_goes() -> None:
    stage, job = await begun()
    stage.end(job, report(job, reason="TargetExists", exit_code=42), code=42)
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("False", "TargetExists")
    assert stage.condition(RESTORE, "Stalled") == ("True", "TargetExists")
    stage.gateway.remove(JOBS, NAMESPACE, job)
    writes = len(stage.gateway.writes)
    await stage.reconcile(RESTORE)
    assert stage.names(JOBS) == []
    assert len(stage.gateway.writes) == writes


async def test_a_request_that_git_makes_again_ends_without_being_stalled() -> None:
    stage, first = await begun()
    stage.end(first, report(first, operation="restore"))
    await stage.reconcile(RESTORE)
    stage.gateway.remove(RESTORES, NAMESPACE, RESTORE.name)
    assert stage.names(JOBS) == []
    stage.user(RESTORE)
    await stage.reconcile(RESTORE)
    (second,) = stage.names(JOBS)
    assert second != first
    text = "this request was executed at 12:00; create a request of another name to restore again"
    stage.end(second, report(second, reason="AlreadyExecuted", message=text, exit_code=44), code=44)
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("False", "AlreadyExecuted")
    assert stage.condition(RESTORE, "Stalled") is None
    assert stage.condition(RESTORE, "Reconciling") is None


async def test_a_pod_that_found_the_request_executed_does_not_stall_it_before_its_job_has_ended() -> None:
    stage, job = await begun()
    executed = report(job, operation="restore", reason="AlreadyExecuted", message="executed at 12:00", exit_code=44)
    ended = {"exitCode": 44, "finishedAt": "2026-11-22T12:00:10Z", "message": executed}
    stage.pod(job, {"terminated": ended}, phase="Failed")
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Stalled") is None
    assert stage.condition(RESTORE, "Reconciling") == ("True", "RestoreRunning")


async def test_it_waits_for_its_instance_and_stalls_after_ten_minutes() -> None:
    stage = Stage()
    stage.user(RESTORE)
    decision = await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("Unknown", "InstanceNotFound")
    assert stage.condition(RESTORE, "Reconciling") == ("True", "InstanceNotFound")
    assert decision.wake_at is not None
    stage.now = decision.wake_at
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Stalled") == ("True", "InstanceNotFound")
    stage.user(INSTANCE)
    await stage.reconcile(RESTORE)
    assert len(stage.names(JOBS)) == 1
    assert stage.condition(RESTORE, "Stalled") is None


async def test_a_wrong_password_is_told_while_the_job_tries_again_and_heals() -> None:
    stage, job = await begun()
    wrong = report(job, operation="restore", reason="AuthenticationFailed", message="mend the Secret", exit_code=21)
    ended = {"exitCode": 21, "finishedAt": "2026-11-22T12:00:10Z", "message": wrong}
    stage.pod(job, {"terminated": ended}, phase="Failed")
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("Unknown", "AuthenticationFailed")
    assert stage.condition(RESTORE, "Stalled") == ("True", "AuthenticationFailed")
    stage.later(minutes=1)
    stage.pod(job, {"running": {}}, phase="Running")
    decision = await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Stalled") == ("True", "AuthenticationFailed"), "a try is no flicker"
    assert decision.wake_at is not None
    stage.now = decision.wake_at
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Stalled") is None
    assert stage.condition(RESTORE, "Reconciling") == ("True", "RestoreRunning")
    stage.end(job, report(job, operation="restore"))
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("True", "Completed")


async def test_a_job_that_was_deleted_while_it_ran_is_made_again_under_its_name() -> None:
    stage, job = await begun()
    stage.gateway.remove(JOBS, NAMESPACE, job)
    await stage.reconcile(RESTORE)
    assert stage.names(JOBS) == [job]


async def test_a_strangers_job_of_that_name_is_a_collision_and_clears_itself() -> None:
    stage, job = await begun()
    stage.gateway.objects[JOBS.kind, NAMESPACE, job]["metadata"]["ownerReferences"][0]["uid"] = "stranger"
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("Unknown", "NameCollision")
    assert stage.condition(RESTORE, "Stalled") == ("True", "NameCollision")
    stage.gateway.remove(JOBS, NAMESPACE, job)
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Stalled") is None


@pytest.mark.parametrize("message", [None, report("other")])
async def test_a_finished_job_without_its_report_is_no_success(message: str | None) -> None:
    stage, job = await begun()
    stage.end(job, message)
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("Unknown", "ReportLost")
    assert stage.names(JOBS) == []
    await stage.reconcile(RESTORE)
    assert stage.names(JOBS) == [job]
    stage.end(job, message)
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("False", "ReportLost")
    assert stage.names(JOBS) == [job]


async def test_a_report_that_went_with_its_pod_is_asked_for_once_more() -> None:
    """A drained node takes finished pods along; the ledger knows what was restored."""
    stage, job = await begun()
    stage.finish(job, complete=True)
    going = stage.gateway.objects[JOBS.kind, NAMESPACE, job]["metadata"]
    going["deletionTimestamp"] = timestamp(stage.now)
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("Unknown", "RestoreRunning")
    del going["deletionTimestamp"]
    for _ in range(2):
        await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("Unknown", "RestoreRunning")
    stage.end(job, report(job, operation="restore", message="orders is back"))
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("True", "Completed")
    assert stage.condition(RESTORE, "Reconciling") is None


async def test_an_unchanged_world_is_not_written_to() -> None:
    stage, _ = await begun()
    await stage.reconcile(RESTORE)
    writes = list(stage.gateway.writes)
    await stage.reconcile(RESTORE)
    assert stage.gateway.writes == writes


async def test_a_spec_that_does_not_fit_is_no_end() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    stage.user(RESTORE, onExisting="Explode")
    await stage.reconcile(RESTORE)
    assert stage.condition(RESTORE, "Succeeded") == ("Unknown", "InvalidSpec")
    assert stage.condition(RESTORE, "Stalled") == ("True", "InvalidSpec")


async def test_a_leader_that_slept_over_its_reading_makes_nothing() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    stage.user(RESTORE)
    old = await observe(stage.gateway, RESTORE, now=stage.now)
    decision = decide(old.world, now=stage.now, settings=stage.reconciler.settings)
    await stage.reconcile(RESTORE)
    (job,) = stage.names(JOBS)
    stage.end(job, report(job, operation="restore"))
    await stage.reconcile(RESTORE)
    stage.gateway.remove(JOBS, NAMESPACE, job)
    with pytest.raises(Conflict):
        await apply(stage.gateway, RESTORE, old.manifest, decision, now=stage.now)
    assert stage.names(JOBS) == []

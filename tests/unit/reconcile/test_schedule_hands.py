"""What hands do to the Jobs of a BackupSchedule: each is counted once, whoever made it, and whatever became of it."""

from datetime import timedelta

from tests.unit.reconcile.scheduled import BACKUP, SLOT, running
from tests.unit.reconcile.stage import NAMESPACE, SCHEDULE, report

from vya_backupdb.domain.specs_schedule import ScheduleStatus
from vya_backupdb.kube.gateway import JOBS


async def test_a_job_made_by_hand_from_the_cronjob_counts() -> None:
    stage = await running()
    job = stage.cron(BACKUP, "by-hand")
    stage.end(job, report(job))
    await stage.reconcile(SCHEDULE)
    assert stage.status(SCHEDULE)["lastRun"]["run"] == "by-hand"
    assert stage.status(SCHEDULE)["lastRun"]["trigger"] == "Manual"


async def test_a_run_whose_job_is_deleted_while_it_runs_is_no_run_that_never_was() -> None:
    """Else the last success would stand, although the newest slot has no backup."""
    stage = await running()
    first = stage.cron(BACKUP, SLOT)
    stage.now = SLOT + timedelta(minutes=1)
    stage.end(first, report(first))
    await stage.reconcile(SCHEDULE)
    stage.now = SLOT + timedelta(days=1, minutes=1)
    second = stage.cron(BACKUP, SLOT + timedelta(days=1))
    await stage.reconcile(SCHEDULE)
    stage.gateway.remove(JOBS, NAMESPACE, second)
    stage.later(minutes=1)
    for _ in range(2):
        await stage.reconcile(SCHEDULE)
    status = stage.status(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("False", "ReportLost")
    assert [one["run"] for one in status["history"]] == [second, first]
    assert status["lastSuccessfulTime"] == "2026-11-23T02:31:00Z"
    assert "active" not in status
    stage.later(days=1)
    third = stage.cron(BACKUP, SLOT + timedelta(days=2))
    await stage.reconcile(SCHEDULE)
    fourth = stage.cron(BACKUP, SLOT + timedelta(days=2, minutes=1))
    stage.later(minutes=1)
    stage.gateway.remove(JOBS, NAMESPACE, third)
    stage.end(fourth, report(fourth))
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("True", "Succeeded"), "the newest run is what counts"
    ScheduleStatus.model_validate(stage.status(SCHEDULE))


async def test_a_second_job_of_the_same_name_is_told() -> None:
    """The dumper refuses it, and its history has a run of that name already."""
    stage = await running()
    job = stage.cron(BACKUP, "by-hand")
    stage.later(minutes=1)
    stage.end(job, report(job))
    await stage.reconcile(SCHEDULE)
    stage.gateway.remove(JOBS, NAMESPACE, job)
    stage.cron(BACKUP, "by-hand")
    stage.later(minutes=1)
    stage.end(job, report(job, reason="RunNameTaken", message="give it another name", exit_code=52), code=52)
    for _ in range(2):
        await stage.reconcile(SCHEDULE)
    status = stage.status(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("False", "RunNameTaken")
    assert [one["result"] for one in status["history"]] == ["RunNameTaken", "Succeeded"]
    assert status["lastSuccessfulTime"] == "2026-11-22T12:01:00Z"
    ScheduleStatus.model_validate(status)


async def test_a_strangers_job_with_our_labels_does_not_count() -> None:
    stage = await running()
    job = stage.cron(BACKUP, "forged")
    forged = stage.gateway.objects[JOBS.kind, NAMESPACE, job]
    forged["metadata"]["ownerReferences"] = []
    stage.end(job, report(job))
    await stage.reconcile(SCHEDULE)
    assert "lastRun" not in stage.status(SCHEDULE)

"""The runs of a BackupSchedule: each is counted once, and none without its own report is a success."""

from datetime import timedelta

import pytest
from tests.unit.reconcile.scheduled import BACKUP, RETENTION, SLOT, row, running
from tests.unit.reconcile.stage import NAMESPACE, SCHEDULE, report

from vya_backupdb.domain.specs_schedule import ScheduleStatus
from vya_backupdb.kube.gateway import CRONJOBS, JOBS, SCHEDULES
from vya_backupdb.reconcile.conditions import timestamp


async def test_a_run_that_ended_well_is_counted_with_its_rows() -> None:
    stage = await running()
    stage.now = SLOT + timedelta(minutes=1)
    job = stage.cron(BACKUP, SLOT)
    await stage.reconcile(SCHEDULE)
    assert stage.status(SCHEDULE)["active"] == [job]
    rows = [row("orders", backup_id="orders_1"), row("", kind="users")]
    totals = {"databases": 1, "succeeded": 1, "failed": 0, "size_bytes": 20}
    stage.end(job, report(job, databases=rows, totals=totals))
    await stage.reconcile(SCHEDULE)
    status = stage.status(SCHEDULE)
    assert status["lastRun"]["result"] == "Succeeded"
    assert status["lastRun"]["trigger"] == "Scheduled"
    assert status["lastRun"]["sizeBytes"] == 20
    assert {one["name"]: one["result"] for one in status["databases"]} == {
        "orders": "Succeeded",
        "(users)": "Succeeded",
    }
    assert status["databases"][1]["durationSeconds"] == 2
    assert status["lastSuccessfulTime"] == status["lastRun"]["completionTime"] == "2026-11-23T02:31:00Z"
    assert status["lastScheduleTime"] == "2026-11-23T02:30:00Z"
    assert status["nextScheduleTime"] == "2026-11-24T02:30:00Z"
    assert "active" not in status
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("True", "Succeeded")
    assert stage.events() == ["BackupSucceeded"]
    ScheduleStatus.model_validate(status)


async def test_a_partial_run_shows_the_failures_first_and_keeps_the_last_success() -> None:
    stage = await running()
    stage.now = SLOT + timedelta(minutes=1)
    first = stage.cron(BACKUP, SLOT)
    stage.end(first, report(first, databases=[row("a"), row("b")]))
    await stage.reconcile(SCHEDULE)
    stage.later(days=1)
    second = stage.cron(BACKUP, SLOT + timedelta(days=1))
    rows = [row("a"), row("b", "failed", reason="DumpFailed", error="view v is invalid")]
    stage.end(second, report(second, databases=rows, exit_code=40, reason="PartiallyFailed"), code=40)
    await stage.reconcile(SCHEDULE)
    status = stage.status(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("False", "PartiallyFailed")
    assert [one["name"] for one in status["databases"]] == ["b", "a"]
    assert status["databases"][0]["lastSuccessfulTime"] == "2026-11-23T02:31:00Z"
    assert status["databases"][0]["error"] == "view v is invalid"
    assert status["lastSuccessfulTime"] == "2026-11-23T02:31:00Z"
    assert [one["run"] for one in status["history"]] == [second, first]
    assert status["lastRun"]["exitCode"] == 40


async def test_a_run_that_ended_in_years_to_come_hides_no_later_failure() -> None:
    """A clock jumped while it was counted: else no run would be told, and no backup be missed, until then."""
    stage = await running(maxAgeSeconds=7200)
    stage.now = SLOT + timedelta(days=3000)
    first = stage.cron(BACKUP, SLOT)
    stage.end(first, report(first, databases=[row("a")]))
    await stage.reconcile(SCHEDULE)
    stage.now = SLOT + timedelta(minutes=1)
    await stage.reconcile(SCHEDULE)
    assert stage.status(SCHEDULE)["lastSuccessfulTime"] == "2026-11-23T02:31:00Z"
    written = stage.gateway.objects[SCHEDULES.kind, NAMESPACE, SCHEDULE.name]["metadata"]["resourceVersion"]
    stage.later(minutes=1)
    await stage.reconcile(SCHEDULE)
    again = stage.gateway.objects[SCHEDULES.kind, NAMESPACE, SCHEDULE.name]["metadata"]["resourceVersion"]
    assert again == written, "it is written once"
    stage.later(hours=1)
    second = stage.cron(BACKUP, SLOT + timedelta(hours=1))
    stage.end(second, report(second, exit_code=41, reason="BackupFailed"), code=41)
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("False", "BackupFailed")
    stage.later(hours=2)
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Fresh") == ("False", "Overdue")
    for condition in stage.status(SCHEDULE)["conditions"]:
        assert condition["lastTransitionTime"] <= timestamp(stage.now)


@pytest.mark.parametrize(
    ("code", "reason", "why", "message", "expected"),
    [
        (137, "OOMKilled", "", None, "OutOfMemory"),
        (137, "Error", "", None, "Killed"),
        (143, "Error", "DeadlineExceeded", None, "DeadlineExceeded"),
        (21, "Error", "", None, "AuthenticationFailed"),
        (3, "Error", "", None, "JobFailed"),
        (0, "Completed", "", None, "ReportLost"),
        (0, "Completed", "", "{not json", "ReportLost"),
        (0, "Completed", "", report("another-run"), "ReportLost"),
    ],
)
async def test_a_run_without_a_report_is_never_a_success(
    code: int, reason: str, why: str, message: str | None, expected: str
) -> None:
    stage = await running()
    job = stage.cron(BACKUP, SLOT)
    stage.end(job, message, code=code, reason=reason, why=why)
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("False", expected)
    assert "lastSuccessfulTime" not in stage.status(SCHEDULE)
    assert stage.events() == ["BackupFailed"]


async def test_a_run_that_was_done_before_is_no_fresh_backup() -> None:
    """A schedule that was made anew with its old trigger finds the old run in the tree."""
    stage = await running(maxAgeSeconds=7200)
    job = stage.cron(BACKUP, SLOT)
    stage.now = SLOT
    stage.end(job, report(job, reason="AlreadyDone", finished_at="2026-11-01T00:00:00Z"))
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("True", "AlreadyDone")
    assert stage.status(SCHEDULE)["lastSuccessfulTime"] == "2026-11-01T00:00:00Z"
    assert stage.condition(SCHEDULE, "Fresh") == ("False", "Overdue")


async def test_a_cronjob_that_a_clock_made_wait_for_years_is_made_anew_when_its_job_is_over() -> None:
    """The CronJob controller starts nothing before the time at which it believes to have started something last."""
    stage = await running()
    job = stage.cron(BACKUP, SLOT + timedelta(days=2000))
    uid = stage.gateway.objects[CRONJOBS.kind, NAMESPACE, BACKUP]["metadata"]["uid"]
    await stage.reconcile(SCHEDULE)
    assert stage.gateway.objects[CRONJOBS.kind, NAMESPACE, BACKUP]["metadata"]["uid"] == uid
    stage.end(job, report(job))
    for _ in range(2):
        await stage.reconcile(SCHEDULE)
    assert stage.gateway.objects[CRONJOBS.kind, NAMESPACE, BACKUP]["metadata"]["uid"] != uid
    assert stage.status(SCHEDULE)["lastRun"]["run"] == job


@pytest.mark.parametrize(
    "changes",
    [
        {"totals": {"size_bytes": 2**63}},
        {"databases": [row("a", duration_seconds=1e308)]},
        {"databases": [row("a", finished_at="0001-01-01T00:00:00+14:00")]},
        {"finished_at": "9999-12-31T23:59:59-14:00"},
        {"exit_code": 2**40},
    ],
    ids="-".join,
)
async def test_a_report_that_no_status_can_hold_is_none(changes: dict[str, object]) -> None:
    """It is text from a foreign process; an error over it would come again with every look."""
    stage = await running()
    job = stage.cron(BACKUP, SLOT)
    stage.end(job, report(job, **changes))
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("False", "ReportLost")


async def test_a_container_that_a_webhook_put_beside_ours_says_nothing_of_the_run() -> None:
    stage = await running()
    job = stage.cron(BACKUP, SLOT)
    ours = {"terminated": {"exitCode": 0, "message": report(job, databases=[row("a")])}}
    statuses = [{"name": "a-proxy", "state": {"terminated": {"exitCode": 1}}}, {"name": "dumper", "state": ours}]
    stage.pod(job, ours, phase="Succeeded", containerStatuses=statuses)
    stage.finish(job, complete=True)
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("True", "Succeeded")


async def test_a_report_that_was_not_finished_gives_its_rows_but_no_success() -> None:
    stage = await running()
    job = stage.cron(BACKUP, SLOT)
    rows = [row("a"), row("b", "running")]
    stage.end(job, report(job, databases=rows, finished_at=None), code=137, reason="Error")
    await stage.reconcile(SCHEDULE)
    rows_now = {one["name"]: (one["result"], one.get("reason")) for one in stage.status(SCHEDULE)["databases"]}
    assert rows_now == {"a": ("Succeeded", None), "b": ("Failed", "Killed")}
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("False", "Killed")


async def test_a_retry_of_one_job_is_one_run_with_the_rows_of_both_pods() -> None:
    stage = await running()
    job = stage.cron(BACKUP, SLOT)
    failed = report(job, databases=[row("a"), row("b", "failed")], exit_code=40, reason="PartiallyFailed")
    ended = {"exitCode": 40, "finishedAt": "2026-11-22T12:00:10Z", "message": failed}
    stage.pod(job, {"terminated": ended}, phase="Failed")
    stage.later(minutes=1)
    stage.end(job, report(job, databases=[row("a", "skipped"), row("b")]))
    await stage.reconcile(SCHEDULE)
    results = {one["name"]: one["result"] for one in stage.status(SCHEDULE)["databases"]}
    assert results == {"a": "Succeeded", "b": "Succeeded"}
    assert len(stage.status(SCHEDULE)["history"]) == 1


async def test_a_run_is_counted_once_whatever_becomes_of_its_job_and_of_us() -> None:
    stage = await running()
    job = stage.cron(BACKUP, SLOT)
    stage.end(job, report(job))
    await stage.reconcile(SCHEDULE)
    status = stage.status(SCHEDULE)
    for _ in range(2):
        await stage.reconcile(SCHEDULE)
    assert stage.status(SCHEDULE) == status
    stage.gateway.remove(JOBS, NAMESPACE, job)
    await stage.reconcile(SCHEDULE)
    assert stage.status(SCHEDULE) == status
    assert stage.events() == ["BackupSucceeded"]


async def test_the_history_holds_the_last_ten_and_old_jobs_do_not_come_back() -> None:
    stage = await running()
    jobs = []
    for day in range(13):
        stage.now = SLOT + timedelta(days=day)
        jobs.append(stage.cron(BACKUP, stage.now))
        stage.end(jobs[-1], report(jobs[-1]))
        await stage.reconcile(SCHEDULE)
    assert [one["run"] for one in stage.status(SCHEDULE)["history"]] == jobs[:2:-1]
    writes = len(stage.gateway.writes)
    await stage.reconcile(SCHEDULE)
    assert len(stage.gateway.writes) == writes


async def test_a_run_that_cannot_begin_stalls_the_schedule_after_a_while() -> None:
    stage = await running()
    job = stage.cron(BACKUP, "by-hand")
    stage.pod(job, {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}, phase="Pending")
    decision = await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Stalled") is None
    assert decision.wake_at is not None
    stage.later(minutes=10)
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "Stalled") == ("True", "ImageUnavailable")
    assert stage.condition(SCHEDULE, "Ready") == ("True", "CronJobsCurrent")


async def test_retention_is_told_and_its_failure_is_news() -> None:
    stage = await running()
    job = stage.cron(RETENTION, SLOT)
    totals = {"kept": 4, "deleted": 2}
    stage.end(job, report(job, operation="retention", totals=totals))
    await stage.reconcile(SCHEDULE)
    last = stage.status(SCHEDULE)["lastRetention"]
    assert (last["result"], last["kept"], last["deleted"]) == ("Succeeded", 4, 2)
    assert stage.condition(SCHEDULE, "LastRetentionSucceeded") == ("True", "Succeeded")
    assert "lastRun" not in stage.status(SCHEDULE)
    stage.later(days=1)
    other = stage.cron(RETENTION, SLOT + timedelta(days=1))
    stage.end(other, report(other, operation="retention", reason="RetentionFrozen", exit_code=45), code=45)
    await stage.reconcile(SCHEDULE)
    assert stage.status(SCHEDULE)["lastRetention"]["result"] == "RetentionFrozen"
    assert stage.condition(SCHEDULE, "LastRetentionSucceeded") == ("False", "RetentionFrozen")
    assert stage.condition(SCHEDULE, "Ready") == ("True", "CronJobsCurrent")
    assert stage.events() == ["RetentionFailed"]


async def test_an_anomaly_is_a_condition_until_retention_finds_none() -> None:
    stage = await running()

    async def ends(days: int, *messages: str, code: int = 0) -> tuple[str, str] | None:
        job = stage.cron(RETENTION, SLOT + timedelta(days=days))
        findings = [{"reason": "Anomaly", "message": text, "blocking": False} for text in messages]
        reason = {} if code == 0 else {"reason": "RetentionFrozen", "exit_code": code}
        stage.end(job, report(job, operation="retention", findings=findings, **reason), code=code)
        await stage.reconcile(SCHEDULE)
        stage.later(days=1)
        return stage.condition(SCHEDULE, "Plausible")

    assert stage.condition(SCHEDULE, "Plausible") is None
    assert await ends(0) == ("True", "NoAnomaly")
    odd = "shop_20261122_120000_full of the database 'shop': the dump fell by 80 %"
    assert await ends(1, odd) == ("False", "Anomaly")
    assert await ends(2, odd) == ("False", "Anomaly")  # told once
    assert await ends(3, code=45) == ("False", "Anomaly")  # a failure finds nothing out
    assert stage.condition(SCHEDULE, "Ready") == ("True", "CronJobsCurrent")
    assert await ends(4) == ("True", "NoAnomaly")
    assert stage.events() == ["AnomalyFound", "RetentionFailed"]


async def test_a_hostile_report_is_cut_and_cleaned() -> None:
    stage = await running()
    job = stage.cron(BACKUP, SLOT)
    rows = [row("a", "failed", reason="X" * 300, error="\x1b[2Jpostgres://u:secret@db/x " + "y" * 900)]
    evil = report(job, databases=rows, reason="not a reason!\n", message="\x00\n" + "z" * 2000, exit_code=41)
    stage.end(job, evil, code=41)
    await stage.reconcile(SCHEDULE)
    text = str(stage.status(SCHEDULE))
    assert "secret" not in text
    assert "\x1b" not in text
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("False", "BackupFailed")
    ScheduleStatus.model_validate(stage.status(SCHEDULE))


@pytest.mark.parametrize("result", ["", "é", "two words"])
async def test_a_result_that_somebody_wrote_and_is_no_word_stops_no_status(result: str) -> None:
    """The API server would refuse it as a reason, and with it the whole status, each time."""
    stage = await running()
    stage.write_status(SCHEDULE, {"lastRun": {"run": "x", "result": result}})
    await stage.reconcile(SCHEDULE)
    assert stage.condition(SCHEDULE, "LastBackupSucceeded") == ("False", "JobFailed")


async def test_a_hundred_rows_at_most_and_failures_among_them() -> None:
    stage = await running()
    job = stage.cron(BACKUP, SLOT)
    rows = [row(f"db{number:03}") for number in range(150)] + [row("zz", "failed")]
    stage.end(job, report(job, databases=rows))
    await stage.reconcile(SCHEDULE)
    shown = stage.status(SCHEDULE)["databases"]
    assert len(shown) == 100
    assert shown[0]["name"] == "zz"

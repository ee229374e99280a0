"""A BackupInstance: one check a slot, conditions that name cause and remedy, and no churn."""

from datetime import timedelta

import pytest
from tests.unit.reconcile.stage import INSTANCE, NAMESPACE, RESTORE, SCHEDULE, START, Stage, report

from vya_backupdb.domain.specs_instance import InstanceStatus
from vya_backupdb.kube.errors import Forbidden
from vya_backupdb.kube.gateway import EVENTS, INSTANCES, JOBS
from vya_backupdb.reconcile.conditions import find, timestamp


async def checked(**changes: object) -> tuple[Stage, str]:
    """Return a stage on which the first check has ended with this report, and its Job's name."""
    stage = Stage()
    stage.user(INSTANCE)
    await stage.reconcile(INSTANCE)
    job = stage.names(JOBS)[0]
    stage.later(seconds=30)
    code = int(str(changes.get("exit_code", 0)))
    stage.end(job, report(job, operation="check", **changes), code=code)
    await stage.reconcile(INSTANCE)
    return stage, job


async def test_a_new_instance_is_checked_once_and_says_so_meanwhile() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    await stage.reconcile(INSTANCE)
    await stage.reconcile(INSTANCE)
    assert len(stage.names(JOBS)) == 1
    assert stage.condition(INSTANCE, "Ready") == ("Unknown", "CheckRunning")
    assert stage.condition(INSTANCE, "Reconciling") == ("True", "CheckRunning")
    assert stage.condition(INSTANCE, "Connected") == ("Unknown", "NeverChecked")
    assert stage.status(INSTANCE)["observedGeneration"] == 1


async def test_a_check_that_passed_makes_it_ready_until_the_interval_is_over() -> None:
    stage, job = await checked()
    for type_ in ("Ready", "Connected", "StorageReady", "CredentialsCurrent", "Covered"):
        assert stage.condition(INSTANCE, type_) is not None
        assert stage.condition(INSTANCE, type_)[0] == "True"  # type: ignore[index]
    assert stage.condition(INSTANCE, "Reconciling") is None
    status = stage.status(INSTANCE)
    assert status["server"] == {"product": "PostgreSQL", "version": "17.2"}
    assert status["databases"] == {"count": 3, "uncovered": 0}
    assert status["lastCheckJob"] == job
    assert status["nextCheckTime"] == "2026-11-23T12:00:30Z"
    assert stage.events() == ["Ready"]
    InstanceStatus.model_validate(status)
    stage.later(hours=23, minutes=59)
    decision = await stage.reconcile(INSTANCE)
    assert decision.wake_at is not None
    assert stage.names(JOBS) == [job]
    stage.later(minutes=2)
    await stage.reconcile(INSTANCE)
    assert [name for name in stage.names(JOBS) if name != job]
    assert job not in stage.names(JOBS)
    assert stage.condition(INSTANCE, "Ready") == ("True", "CheckPassed")


async def test_a_due_time_in_years_to_come_is_not_believed() -> None:
    """It is of a clock that jumped, or somebody wrote it."""
    stage, job = await checked()
    far = {"nextCheckTime": "2999-01-01T00:00:00Z", "lastCheckTime": "2998-12-31T00:00:00Z"}
    stage.write_status(INSTANCE, far)
    await stage.reconcile(INSTANCE)
    (again,) = (name for name in stage.names(JOBS) if name != job)
    stage.later(seconds=10)
    await stage.reconcile(INSTANCE)
    assert again in stage.names(JOBS), "one slot is one Job"
    stage.end(again, report(again, operation="check"))
    await stage.reconcile(INSTANCE)
    assert stage.status(INSTANCE)["nextCheckTime"] == timestamp(stage.now + timedelta(days=1))
    decision = await stage.reconcile(INSTANCE)
    assert not decision.actions
    assert decision.status is None


async def test_a_check_that_ended_by_a_clock_ahead_of_ours_is_not_repeated_at_once() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    await stage.reconcile(INSTANCE)
    (job,) = stage.names(JOBS)
    stage.later(days=400)
    stage.end(job, report(job, operation="check"))
    stage.later(days=-400)
    await stage.reconcile(INSTANCE)
    await stage.reconcile(INSTANCE)
    assert stage.names(JOBS) == [job]
    assert stage.status(INSTANCE)["nextCheckTime"] == timestamp(stage.now + timedelta(days=1))


async def test_an_instance_that_is_not_ready_is_checked_after_1_2_5_and_then_every_10_minutes() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    waits = []
    for _ in range(6):
        await stage.reconcile(INSTANCE)
        (job,) = stage.names(JOBS)
        failure = {"reason": "AuthenticationFailed", "message": "password refused", "exit_code": 21, "server": None}
        stage.end(job, report(job, **failure), code=21)
        decision = await stage.reconcile(INSTANCE)
        assert decision.wake_at is not None
        waits.append((decision.wake_at - stage.now).total_seconds())
        stage.now = decision.wake_at
    assert waits == [60, 120, 300, 600, 600, 600]
    assert stage.status(INSTANCE)["failedChecks"] == 6
    assert stage.events() == ["NotReady", "Stalled"]


@pytest.mark.parametrize(
    ("code", "reason", "condition", "person"),
    [
        (11, "CredentialsMissing", "CredentialsCurrent", False),
        (12, "CredentialsUnreadable", "CredentialsCurrent", True),
        (20, "ConnectionFailed", "Connected", False),
        (21, "AuthenticationFailed", "Connected", True),
        (22, "TLSFailed", "Connected", True),
        (24, "WrongServer", "Connected", True),
        (30, "StorageUnavailable", "StorageReady", False),
        (31, "NoSpace", "StorageReady", True),
        (32, "TreeOwnedByAnother", "StorageReady", True),
    ],
)
async def test_a_failed_check_names_the_cause_and_stalls_at_once_only_where_a_person_is_needed(
    code: int, reason: str, condition: str, person: bool
) -> None:
    failure = {"reason": reason, "message": "what to do", "exit_code": code, "server": None, "storage": None}
    stage, _ = await checked(**failure)
    assert stage.condition(INSTANCE, "Ready") == ("False", reason)
    assert stage.condition(INSTANCE, condition) == ("False", reason)
    assert stage.condition(INSTANCE, "Stalled" if person else "Reconciling") == ("True", reason)
    assert (stage.condition(INSTANCE, "Stalled") is not None) is person
    stage.later(minutes=11)
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Stalled") == ("True", reason)
    assert stage.condition(INSTANCE, "Reconciling") is None


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("/etc/vya-backupdb/credentials/username is empty", "key username of Secret db is empty"),
        ("the credentials /etc/vya-backupdb/credentials are not there", "the credentials Secret db are not there"),
        ("/etc/vya-backupdb/keyring/old holds no key", "key old of Secret ring holds no key"),
        ("/etc/vya-backupdb/tls/ca/ca.pem is no PEM", "key ca.pem of ConfigMap roots is no PEM"),
    ],
)
async def test_what_the_dumper_calls_by_its_path_is_called_by_secret_and_key(said: str, shown: str) -> None:
    stage = Stage()
    ring = {"secretRef": {"name": "db"}, "keyringSecretRef": {"name": "ring", "key": "old"}}
    tls = {"mode": "VerifyCA", "caConfigMapRef": {"name": "roots", "key": "ca.pem"}}
    stage.user(INSTANCE, credentials={**ring, "encoding": "Fernet"}, tls=tls)
    await stage.reconcile(INSTANCE)
    (job,) = stage.names(JOBS)
    failure = {"reason": "CredentialsMissing", "exit_code": 11, "server": None, "storage": None}
    stage.end(job, report(job, operation="check", message=said, **failure), code=11)
    await stage.reconcile(INSTANCE)
    ready = find(stage.status(INSTANCE), "Ready")
    assert ready is not None
    assert ready["message"] == shown


async def test_it_heals_without_anyone_deleting_anything() -> None:
    stage, _ = await checked(reason="ConnectionFailed", message="no route", exit_code=20, server=None)
    stage.later(minutes=1)
    await stage.reconcile(INSTANCE)
    (job,) = stage.names(JOBS)
    stage.end(job, report(job))
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("True", "CheckPassed")
    assert stage.condition(INSTANCE, "Connected") == ("True", "Connected")
    assert stage.condition(INSTANCE, "Reconciling") is None
    assert "failedChecks" not in stage.status(INSTANCE) or stage.status(INSTANCE)["failedChecks"] == 0


async def test_a_changed_spec_is_checked_at_once_and_the_old_check_is_dropped() -> None:
    stage, job = await checked()
    stage.user(INSTANCE, host="other.team.svc")
    await stage.reconcile(INSTANCE)
    (new,) = stage.names(JOBS)
    assert new != job
    assert stage.condition(INSTANCE, "Ready") == ("Unknown", "CheckRunning")
    assert stage.status(INSTANCE)["observedGeneration"] == 2


async def test_what_a_check_finds_beside_is_told_without_taking_ready_away() -> None:
    findings = [
        {"reason": "LegacyKey", "message": "re-encrypt with a keyring", "blocking": False},
        {"reason": "UncoveredDatabases", "message": "postgres holds tables", "blocking": False},
    ]
    server = {"product": "PostgreSQL", "version": "17.2", "databases": 3, "uncovered": 1}
    stage, _ = await checked(findings=findings, server=server)
    assert stage.condition(INSTANCE, "Ready") == ("True", "CheckPassed")
    assert stage.condition(INSTANCE, "CredentialsCurrent") == ("False", "LegacyKey")
    assert stage.condition(INSTANCE, "Covered") == ("False", "UncoveredDatabases")
    assert len(stage.status(INSTANCE)["findings"]) == 2


async def test_a_check_that_found_something_says_what() -> None:
    finding = {"reason": "DatabaseMissing", "message": "the server has no database 'shop'", "blocking": True}
    stage, _ = await checked(reason="DatabaseMissing", message="no 'shop'", exit_code=48, findings=[finding])
    assert stage.condition(INSTANCE, "Ready") == ("False", "DatabaseMissing")
    assert stage.condition(INSTANCE, "Covered") == ("False", "DatabaseMissing")
    assert stage.condition(INSTANCE, "Connected") == ("True", "Connected")
    assert stage.condition(INSTANCE, "Stalled") == ("True", "DatabaseMissing")


async def test_a_pod_that_cannot_begin_is_told_from_its_own_status() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    await stage.reconcile(INSTANCE)
    (job,) = stage.names(JOBS)
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": 'persistentvolumeclaim "backups" not found',
    }
    stage.pod(job, {}, phase="Pending", conditions=[unscheduled])
    decision = await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "StorageReady") == ("False", "ClaimNotFound")
    assert stage.condition(INSTANCE, "Reconciling") == ("True", "ClaimNotFound")
    assert decision.wake_at is not None
    stage.now = decision.wake_at
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Stalled") == ("True", "ClaimNotFound")
    stage.finish(job, complete=False, why="DeadlineExceeded")
    stage.gateway.objects = {address: one for address, one in stage.gateway.objects.items() if address[0] != "Pod"}
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("False", "ClaimNotFound"), "the deadline is no better explanation"


@pytest.mark.parametrize(
    ("about", "reason", "message", "expected"),
    [
        ("job", "FailedCreate", "exceeded quota: small, requested: pods=1", "QuotaExceeded"),
        ("job", "FailedCreate", 'pods "p" is forbidden: violates PodSecurity "restricted"', "PodRefused"),
        ("pod", "FailedMount", "MountVolume.SetUp failed: no such export", "MountFailed"),
    ],
)
async def test_what_only_an_event_tells_is_told(about: str, reason: str, message: str, expected: str) -> None:
    stage = Stage()
    stage.user(INSTANCE)
    await stage.reconcile(INSTANCE)
    (job,) = stage.names(JOBS)
    uid = stage.gateway.objects[JOBS.kind, NAMESPACE, job]["metadata"]["uid"]
    if about == "pod":
        uid = stage.pod(job, {"waiting": {"reason": "ContainerCreating"}}, phase="Pending")["metadata"]["uid"]
    event = {
        "metadata": {"namespace": NAMESPACE, "name": "e"},
        "involvedObject": {"uid": uid},
        "reason": reason,
        "message": message,
        "lastTimestamp": timestamp(START),
    }
    stage.gateway.put(EVENTS, event)
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("False", expected)


async def test_an_image_that_cannot_be_pulled_is_told() -> None:
    stage = Stage()
    stage.user(INSTANCE)
    await stage.reconcile(INSTANCE)
    (job,) = stage.names(JOBS)
    stage.pod(job, {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}, phase="Pending")
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("False", "ImageUnavailable")


async def test_an_unchanged_world_is_not_written_to() -> None:
    stage, _ = await checked(reason="ConnectionFailed", message="no route", exit_code=20, server=None)
    before = list(stage.gateway.writes)
    await stage.reconcile(INSTANCE)
    await stage.reconcile(INSTANCE)
    assert stage.gateway.writes == before


async def test_a_wrong_spec_is_told_and_nothing_is_made() -> None:
    stage = Stage()
    stage.user(INSTANCE, port="five")
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Ready") == ("False", "InvalidSpec")
    assert stage.condition(INSTANCE, "Stalled") == ("True", "InvalidSpec")
    assert stage.names(JOBS) == []
    stage.user(INSTANCE, port=5432)
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Stalled") is None


async def test_a_call_that_is_refused_shows_in_the_conditions_and_stays_one_write() -> None:
    stage = Stage()
    stage.user(INSTANCE)

    def refuse(call: str) -> None:
        if call.startswith("create jobs"):
            raise Forbidden("jobs.batch is forbidden: exceeded quota: count/jobs.batch")

    stage.gateway.before = refuse
    for _ in range(3):
        with pytest.raises(Forbidden) as caught:
            await stage.reconcile(INSTANCE)
        await stage.reconciler.show(INSTANCE, caught.value)
        stage.later(seconds=5)
    assert stage.condition(INSTANCE, "Stalled") == ("True", "Forbidden")
    assert stage.gateway.writes.count("status backupinstances") == 1
    stage.gateway.before = lambda call: None
    await stage.reconcile(INSTANCE)
    assert stage.condition(INSTANCE, "Stalled") is None
    assert len(stage.names(JOBS)) == 1


async def test_who_refers_to_an_instance_is_called_when_it_comes_changes_or_goes() -> None:
    stage = Stage()
    stage.user(SCHEDULE)
    stage.user(RESTORE)
    stage.user(INSTANCE)
    assert set((await stage.reconcile(INSTANCE)).ring) == {SCHEDULE, RESTORE}
    assert (await stage.reconcile(INSTANCE)).ring == ()
    stage.gateway.remove(INSTANCES, NAMESPACE, INSTANCE.name)
    assert set((await stage.reconcile(INSTANCE)).ring) == {SCHEDULE, RESTORE}


async def test_an_instance_that_goes_away_is_left_alone() -> None:
    stage = Stage()
    manifest = stage.user(INSTANCE)
    manifest["metadata"]["deletionTimestamp"] = timestamp(START)
    stage.gateway.put(INSTANCES, manifest)
    await stage.reconcile(INSTANCE)
    assert stage.names(JOBS) == []
    assert stage.status(INSTANCE) == {}

"""Faults: each ends in a condition and an exit code that name cause and remedy, and heals when it is mended.

All faults are set at once and mended at once, so that they wait together: an instance that is not Ready is checked
again after one minute, because the operator cannot see Secrets and servers come. Nobody deletes or changes any of our
objects meanwhile; only what was at fault is mended.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from cryptography.fernet import Fernet
from tests.e2e.support import data, databases
from tests.e2e.support.databases import Database
from tests.e2e.support.manifests import claim, instance, schedule, secret
from tests.e2e.support.node import await_process
from tests.e2e.support.space import PREFIX, Manifest, Space, condition_of
from tests.e2e.support.stage import Stage
from tests.e2e.support.volume import Volume

DATABASE: Final = "heal_db"
SLOW: Final = "heal_slow"
SMALL: Final = "64Mi"


@dataclass(frozen=True)
class Fault:
    """A fault, by the name of its instance: what the conditions say, and with which exit code the dumper ended."""

    name: str
    reason: str
    area: str
    exit_code: int | None
    remedy: str
    area_status: str = "False"


FAULTS: Final = (
    Fault("wrong-password", "AuthenticationFailed", "Connected", 21, "password"),
    Fault("unreachable", "ConnectionFailed", "Connected", 20, "late"),
    Fault("missing-secret", "CredentialsMissing", "CredentialsCurrent", 11, "username"),
    Fault("wrong-key", "CredentialsUnreadable", "CredentialsCurrent", 12, "key"),
    Fault("full-volume", "NoSpace", "StorageReady", 31, "space"),
    Fault("missing-claim", "ClaimNotFound", "StorageReady", None, "later-claim"),
)


@dataclass(frozen=True)
class Story:
    """The faulty instances, and how to mend them."""

    stage: Stage
    space: Space
    volume: Volume
    full: Volume
    keys: tuple[str, str]

    def mend(self) -> None:
        """Do what each message asks for; touch none of our objects."""
        account = databases.account("postgres")
        self.space.apply(
            secret("wrong-password", **account),
            secret("missing-secret", **account),
            secret("wrong-keyring", keyring=self.keys[0]),
            _late(),
            claim("later-claim"),
        )
        self.full.run("rm filler")


@pytest.fixture(scope="module")
def story(stage: Stage, postgres: Database, mariadb: Database) -> Iterator[Story]:
    """Apply an instance and a triggered schedule for each fault, and sound ones for the kills."""
    data.make_small(postgres, DATABASE)
    _make_slow(mariadb)
    space = stage.furnish("heal")
    right, wrong = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    space.apply(*_secrets(right, wrong), claim("full-claim", SMALL, "small"))
    volume, full = stage.volume(space), stage.volume(space, "full-claim")
    full.run("dd if=/dev/zero of=filler bs=1M 2>/dev/null || true")
    space.apply(*(_faulty(fault) for fault in FAULTS))
    space.apply(*(schedule(fault.name, fault.name, manualTrigger="faulty") for fault in FAULTS if fault.exit_code))
    space.apply(instance("sound", "mariadb", SLOW, users={"enabled": False}, job={"backoffLimit": 0}))
    space.apply(schedule("sound", "sound"))
    yield Story(stage, space, volume, full, (right, wrong))
    postgres.drop(DATABASE)
    mariadb.drop(SLOW)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_named_with_its_remedy(story: Story, fault: Fault) -> None:
    found = story.space.wait_reason(f"bki/{fault.name}", "Ready", fault.reason, seconds=180)

    assert found["status"] == "False"
    assert fault.remedy in found["message"].lower(), found["message"]
    status = story.space.get(f"bki/{fault.name}")
    assert condition_of(status, fault.area)["status"] == fault.area_status
    assert condition_of(status, fault.area)["reason"] == fault.reason
    flags = {one["type"] for one in status["status"]["conditions"] if one["status"] == "True"}
    assert flags & {"Stalled", "Reconciling"}
    if fault.exit_code is None:
        return
    assert story.space.exit_codes(f"{PREFIX}instance={fault.name},{PREFIX}role=check") == {fault.exit_code}


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.exit_code], ids=lambda fault: fault.name)
def test_a_run_that_fails_of_it_says_so_too(story: Story, fault: Fault) -> None:
    found = story.space.wait_trigger(fault.name, "faulty", seconds=180)

    run = found["status"]["lastRun"]
    assert (run["result"], run["exitCode"]) == (fault.reason, fault.exit_code)
    condition = condition_of(found, "LastBackupSucceeded")
    assert (condition["status"], condition["reason"]) == ("False", fault.reason)
    assert fault.remedy in condition["message"].lower()
    assert "lastSuccessfulTime" not in found["status"]


def test_all_is_mended(story: Story) -> None:
    """From here on nothing but the passing of time brings the instances back."""
    for fault in FAULTS:
        story.space.wait_reason(f"bki/{fault.name}", "Ready", fault.reason, seconds=180)
    story.mend()


def test_a_client_killed_half_way_fails_the_run_and_leaves_nothing(story: Story) -> None:
    """The dump has begun to flow when its second table, which somebody has locked, stops it."""
    with _locked(story):
        story.space.trigger("sound", "client dies")
        client = await_process(story.space, f"{PREFIX}schedule=sound,{PREFIX}role=backup", "mariadb-dump")
        client.kill()
        found = story.space.wait_trigger("sound", "client dies")

    run = found["status"]["lastRun"]
    assert run["result"] == "BackupFailed"
    assert run["exitCode"] == 41
    row = next(row for row in found["status"]["databases"] if row["name"] == SLOW)
    assert row["result"] == "Failed"
    assert "mariadb-dump was killed" in row["error"]
    assert condition_of(found, "LastBackupSucceeded")["status"] == "False"
    story.volume.assert_whole()
    assert not story.volume.backups(SLOW)


def test_a_dumper_killed_half_way_is_told_apart_and_cleaned_up_by_the_next_run(story: Story) -> None:
    with _locked(story):
        story.space.trigger("sound", "dumper dies")
        selector = f"{PREFIX}schedule=sound,{PREFIX}role=backup"
        await_process(story.space, selector, "mariadb-dump")
        await_process(story.space, selector, "vya-backupdb").kill()
        found = story.space.wait_trigger("sound", "dumper dies")
        assert any(".partial-" in name for name in story.volume.files()), "it was killed too late"

    assert found["status"]["lastRun"]["result"] == "Killed"
    assert "killed" in condition_of(found, "LastBackupSucceeded")["message"]
    assert not story.volume.backups(SLOW)

    story.space.trigger("sound", "now well")
    found = story.space.wait_trigger("sound", "now well")
    assert found["status"]["lastRun"]["result"] == "Succeeded"
    assert condition_of(found, "LastBackupSucceeded")["status"] == "True"
    assert len(story.volume.backups(SLOW)) == 1
    story.volume.assert_whole()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_what_was_mended_heals_by_waiting_alone(story: Story, fault: Fault) -> None:
    before = story.space.get(f"bki/{fault.name}")["metadata"]

    found = story.space.wait(f"bki/{fault.name}", "Ready", seconds=200)

    assert found["metadata"]["generation"] == before["generation"] == 1
    assert condition_of(found, fault.area)["status"] == "True"
    assert condition_of(found, "Stalled").get("status") != "True"
    assert found["status"].get("failedChecks", 0) == 0


def test_the_next_runs_succeed_and_the_volumes_are_whole(story: Story) -> None:
    story.space.apply(schedule("missing-claim", "missing-claim"))
    for fault in FAULTS:
        story.space.trigger(fault.name, "mended")

    for fault in FAULTS:
        found = story.space.wait_trigger(fault.name, "mended")
        assert found["status"]["lastRun"]["result"] == "Succeeded"
        assert condition_of(found, "LastBackupSucceeded")["status"] == "True"
    story.volume.assert_whole()
    story.full.assert_whole()
    story.full.check_sums()


def _faulty(fault: Fault) -> Manifest:
    """Return an instance with this fault; one try a run, so that the run ends with its cause."""
    more: dict[str, Any] = {"job": {"backoffLimit": 0}, "users": {"enabled": False}}
    if fault.name == "unreachable":
        more["host"] = "late.vya-e2e-heal.svc"
    if fault.name in {"wrong-password", "missing-secret"}:
        more["credentials"] = {"secretRef": {"name": fault.name}}
    if fault.name == "wrong-key":
        more["credentials"] = {
            "secretRef": {"name": "tokens"},
            "encoding": "Fernet",
            "keyringSecretRef": {"name": "wrong-keyring"},
        }
    if fault.name in {"full-volume", "missing-claim"}:
        name = "full-claim" if fault.name == "full-volume" else "later-claim"
        more["storage"] = {"persistentVolumeClaim": {"claimName": name}}
    return instance(fault.name, "postgres", DATABASE, **more)


def _secrets(right: str, wrong: str) -> tuple[Manifest, ...]:
    account = databases.account("postgres")
    tokens = {key: Fernet(right).encrypt(value.encode()).decode() for key, value in account.items()}
    return (
        secret("wrong-password", **{**account, "password": "not-" + account["password"]}),
        secret("tokens", **tokens),
        secret("wrong-keyring", keyring=wrong),
    )


def _late() -> Manifest:
    """Return the Service whose name did not exist."""
    target = f"postgres.{databases.NAMESPACE}.svc.cluster.local"
    spec = {"type": "ExternalName", "externalName": target}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late"}, "spec": spec}


def _make_slow(mariadb: Database) -> None:
    """Make a database whose first table is large enough to flow, and whose last can be locked."""
    mariadb.create(
        SLOW,
        "CREATE TABLE a (id int PRIMARY KEY, b text); CREATE TABLE z (id int PRIMARY KEY);"
        " INSERT INTO a SELECT seq, REPEAT(SHA2(seq, 512), 8) FROM seq_1_to_4000; INSERT INTO z VALUES (1);",
    )


def _locked(story: Story) -> Any:
    return story.stage.databases["mariadb"].session("LOCK TABLES z WRITE", SLOW)

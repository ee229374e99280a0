"""Every manifest against its golden file and against what must hold for all of them.

``UPDATE_GOLDEN=1`` writes the golden files anew; the invariants are checked all the same.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml
from tests.unit.builders.reading import MANIFESTS, config_of, container_of, every_manifest, job_of, pod_of, words_of
from tests.unit.builders.samples import HOSTILE, LONG, SETTINGS, instance, request, schedule

from vya_backupdb.builders import labels
from vya_backupdb.builders.jobs import backup_cronjob, manual_job, restore_job
from vya_backupdb.cli.app import application
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import run_id
from vya_backupdb.domain.schedule import job_name

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "manifests"
SHOWN = ("backup", "backup-full", "retention", "retention-full", "manual", "check", "restore", "restore-hostile")
LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


@pytest.mark.parametrize("name", SHOWN)
def test_manifest_is_the_golden_one(name: str) -> None:
    text = yaml.safe_dump(MANIFESTS[name], sort_keys=False, width=120)
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)

    assert file.read_text() == text


@every_manifest
def test_fits_kubernetes_schema(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, "1.36", strict=True)


@every_manifest
def test_names_leave_room_for_what_is_made_of_them(manifest: dict[str, Any]) -> None:
    name = manifest["metadata"]["name"]

    assert len(name) <= (52 if manifest["kind"] == "CronJob" else 63)
    # a Job's name is the run's id
    run_id(name)


@pytest.mark.parametrize("name", [name for name, one in MANIFESTS.items() if one["kind"] == "CronJob"])
def test_jobs_of_a_cronjob_have_run_ids(name: str) -> None:
    from datetime import UTC, datetime

    run_id(job_name(MANIFESTS[name]["metadata"]["name"], datetime(2026, 11, 22, tzinfo=UTC)))


@every_manifest
def test_labels_are_valid_and_the_same_on_job_and_pod(manifest: dict[str, Any]) -> None:
    job, pod = job_of(manifest)["metadata"]["labels"], pod_of(manifest)["metadata"]["labels"]

    assert manifest["metadata"]["labels"] == job == pod
    assert all(LABEL.fullmatch(value) for value in job.values()), job
    assert job["app.kubernetes.io/name"] == "vya-backupdb"
    assert job[labels.ROLE] == job["app.kubernetes.io/component"]
    assert {labels.INSTANCE, labels.CLAIM} <= job.keys()


@every_manifest
def test_owner_is_the_one_object_that_asked_for_it(manifest: dict[str, Any]) -> None:
    (owner,) = manifest["metadata"]["ownerReferences"]

    assert owner["controller"] is True
    assert owner["apiVersion"] == "backupdb.vya.digital/v1alpha1"
    assert owner["uid"] == f"uid-of-{owner['name']}"
    assert "blockOwnerDeletion" not in owner
    assert manifest["metadata"]["namespace"] == "shop"


@every_manifest
def test_kubelet_expands_nothing_in_an_argument(manifest: dict[str, Any]) -> None:
    for word in container_of(manifest)["args"]:
        assert word.count("$") % 2 == 0
        assert "$(" not in word.replace("$$", "")


@every_manifest
def test_retries_stop_where_they_cannot_help(manifest: dict[str, Any]) -> None:
    spec = job_of(manifest)["spec"]
    disruption, final = spec["podFailurePolicy"]["rules"]

    assert disruption == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert final["action"] == "FailJob"
    codes = final["onExitCodes"]["values"]
    assert codes == sorted({code for code in ExitCode if not code.retryable} - {ExitCode.OK})
    assert 0 not in codes
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"


@every_manifest
def test_dumper_ends_before_its_job_does(manifest: dict[str, Any]) -> None:
    assert config_of(manifest).run.deadline_seconds == job_of(manifest)["spec"]["activeDeadlineSeconds"] - 120


@pytest.mark.parametrize(
    ("name", "deadline", "backoff", "ttl"),
    [
        ("backup", 6 * 3600, 2, None),
        ("backup-full", 7200, 5, None),
        ("retention", 3600, 2, None),
        ("manual", 6 * 3600, 2, 7 * 24 * 3600),
        ("check", 600, 0, 3600),
        ("check-full", 600, 0, 3600),
        ("restore", 24 * 3600, 1000, None),
        ("restore-before", 7200, 1000, None),
    ],
)
def test_time_and_tries(name: str, deadline: int, backoff: int, ttl: int | None) -> None:
    spec = job_of(MANIFESTS[name])["spec"]

    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (deadline, backoff)
    assert spec.get("ttlSecondsAfterFinished") == ttl


def _parameters(words: list[str]) -> Iterator[tuple[str, Any]]:
    """Parse `words` as the program would, and yield each parameter that it would get."""
    command: Any = typer.main.get_command(application())
    context = None
    while hasattr(command, "commands"):
        context = command.make_context("vya-backupdb", [words[0]], parent=context, resilient_parsing=True)
        command, words = command.commands[words[0]], words[1:]
    yield from command.make_context("command", words, parent=context).params.items()


@every_manifest
def test_program_knows_the_words(manifest: dict[str, Any]) -> None:
    assert dict(_parameters(words_of(manifest)))


def test_hostile_names_reach_the_program_as_they_are() -> None:
    found = dict(_parameters(words_of(MANIFESTS["restore-hostile"])))

    assert found["database"] == HOSTILE
    assert found["to_database"] == "../" + HOSTILE
    assert found["backup"] == "%2Dx_20261122_023000_full"


def test_restore_names_its_claim_and_its_object() -> None:
    found = dict(_parameters(words_of(MANIFESTS["restore"])))

    assert found["claim"] == request().claim
    assert found["claim_uid"] == "uid-of-back"
    assert (found["instance"], found["database"], found["to_database"]) == ("one", "shop", "shop")
    assert dict(_parameters(words_of(MANIFESTS["restore-before"])))["before"] == "2026-11-22T02:30:00-03:00"


def test_same_trigger_is_the_same_job_and_another_is_another() -> None:
    names = [manual_job(schedule(), instance(), value, SETTINGS)["metadata"]["name"] for value in ("a", "a", "b")]

    assert names[0] == names[1] != names[2]
    job = MANIFESTS["manual"]
    assert job["metadata"]["annotations"][labels.MANUAL_TRIGGER] == f"again {HOSTILE}"


def test_restore_made_anew_has_a_job_of_its_own() -> None:
    first = restore_job(request("back"), instance(), SETTINGS)
    second = restore_job(request("back2"), instance(), SETTINGS)

    assert first["metadata"]["name"] != second["metadata"]["name"]


def test_cronjob_says_what_the_schedule_says() -> None:
    spec = MANIFESTS["backup-full"]["spec"]

    assert {key: value for key, value in spec.items() if key != "jobTemplate"} == {
        "schedule": "@hourly",
        "timeZone": "Europe/Berlin",
        "suspend": True,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 60,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 2,
    }
    assert MANIFESTS["retention-full"]["spec"]["schedule"] == "@daily"
    assert words_of(MANIFESTS["retention"]) == ["retention", "apply"]
    assert words_of(MANIFESTS["retention-full"]) == ["retention", "plan"]


def test_retention_has_a_minute_of_its_own_each_day() -> None:
    text = MANIFESTS["retention"]["spec"]["schedule"]

    assert re.fullmatch(r"[0-5]?\d 4 \* \* \*", text)


def test_two_long_names_share_no_child() -> None:
    other = LONG[:-1] + "y"
    names = {backup_cronjob(schedule(name=name), instance(), SETTINGS)["metadata"]["name"] for name in (LONG, other)}

    assert len(names) == 2


def test_parents_labels_and_annotations_are_not_handed_down() -> None:
    marked = schedule(labels={"argocd.argoproj.io/instance": "app"}, annotations={"a": "b"})

    assert "argocd" not in str(backup_cronjob(marked, instance(), SETTINGS))

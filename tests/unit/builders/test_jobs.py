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
from tests.unit.builders.samples import (
    FULL_INSTANCE,
    HOSTILE,
    LONG,
    PLAIN_INSTANCE,
    SETTINGS,
    instance,
    manifests,
    request,
    schedule,
)

from vya_backupdb.builders import labels
from vya_backupdb.builders.jobs import JobSettings, backup_cronjob, check_job, manual_job, restore_job
from vya_backupdb.cli.app import application
from vya_backupdb.domain.config import parse_config
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import run_id
from vya_backupdb.domain.schedule import job_name

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "manifests"
MANIFESTS = manifests()
SHOWN = ("backup", "backup-full", "retention", "retention-full", "manual", "check", "restore", "restore-hostile")

POD_FIELDS = {
    "restartPolicy",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "terminationGracePeriodSeconds",
    "securityContext",
    "containers",
    "volumes",
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
}
CONTAINER_FIELDS = {
    "name",
    "image",
    "imagePullPolicy",
    "args",
    "env",
    "resources",
    "securityContext",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "volumeMounts",
}
ENVIRONMENT = {"VYA_BACKUPDB_RUN_ID", "VYA_BACKUPDB_TERMINATION_LOG", "VYA_BACKUPDB_REASON"}
LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

every_manifest = pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS.keys())


def _job(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return metadata and spec of the Job, or of a CronJob's template for it."""
    found: dict[str, Any] = manifest["spec"]["jobTemplate"] if manifest["kind"] == "CronJob" else manifest
    return found


def _pod(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _job(manifest)["spec"]["template"]
    return found


def _container(manifest: dict[str, Any]) -> dict[str, Any]:
    (found,) = _pod(manifest)["spec"]["containers"]
    return dict(found)


def _sources(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    (inputs,) = (volume for volume in _pod(manifest)["spec"]["volumes"] if volume["name"] == "inputs")
    return list(inputs["projected"]["sources"])


def _words(manifest: dict[str, Any]) -> list[str]:
    """Return the arguments as the container gets them: kubelet makes '$' of '$$'."""
    return [word.replace("$$", "$") for word in _container(manifest)["args"]]


def _config(manifest: dict[str, Any]) -> Any:
    text = _pod(manifest)["metadata"]["annotations"][labels.CONFIG]
    return parse_config(yaml.safe_load(text), source="config.yaml")


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
    job, pod = _job(manifest)["metadata"]["labels"], _pod(manifest)["metadata"]["labels"]

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
def test_pod_has_only_the_fields_that_we_thought_of(manifest: dict[str, Any]) -> None:
    assert _pod(manifest)["spec"].keys() <= POD_FIELDS
    assert _container(manifest).keys() == CONTAINER_FIELDS
    assert {one["name"] for one in _container(manifest)["env"]} <= ENVIRONMENT


@every_manifest
def test_pod_passes_the_restricted_level(manifest: dict[str, Any]) -> None:
    spec, container = _pod(manifest)["spec"], _container(manifest)

    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    kinds = {key for volume in spec["volumes"] for key in volume if key != "name"}
    assert kinds == {"projected", "persistentVolumeClaim", "emptyDir"}


@every_manifest
def test_pod_has_no_token_and_no_service_environment(manifest: dict[str, Any]) -> None:
    spec = _pod(manifest)["spec"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert not [source for source in _sources(manifest) if "serviceAccountToken" in source]


@every_manifest
def test_secrets_are_files_and_their_absence_holds_no_pod_up(manifest: dict[str, Any]) -> None:
    assert not [one for one in _container(manifest)["env"] if "secretKeyRef" in str(one)]
    for source in _sources(manifest)[1:]:
        (given,) = source.values()
        assert given["optional"] is True
        assert given["items"]


def test_of_each_secret_only_what_is_asked_for_is_mounted() -> None:
    found = {
        item["path"]: (kind, given["name"], item["key"])
        for source in _sources(MANIFESTS["backup-full"])[1:]
        for kind, given in source.items()
        for item in given["items"]
    }

    assert found == {
        "credentials/user": ("secret", "postgresql-backup", "user"),
        "credentials/password": ("secret", "postgresql-backup", "password"),
        "credentials/credentials.json": ("secret", "postgresql-backup", "credentials.json"),
        "keyring/keys": ("secret", "keyring", "keys"),
        "tls/ca/bundle.pem": ("configMap", "ca-bundle", "bundle.pem"),
        "tls/client/tls.crt": ("secret", "client", "tls.crt"),
        "tls/client/tls.key": ("secret", "client", "tls.key"),
    }


def test_one_key_for_both_is_mounted_once() -> None:
    spec = {**PLAIN_INSTANCE, "credentials": {**PLAIN_INSTANCE["credentials"], "usernameKey": "password"}}
    paths = [item["path"] for item in _sources(check_job(instance(spec), "1", SETTINGS))[1]["secret"]["items"]]

    assert sorted(paths) == sorted(set(paths))


@every_manifest
def test_run_id_is_the_name_of_the_job(manifest: dict[str, Any]) -> None:
    found = {one["name"]: one for one in _container(manifest)["env"]}["VYA_BACKUPDB_RUN_ID"]

    assert found["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/job-name']"


@every_manifest
def test_kubelet_expands_nothing_in_an_argument(manifest: dict[str, Any]) -> None:
    for word in _container(manifest)["args"]:
        assert word.count("$") % 2 == 0
        assert "$(" not in word.replace("$$", "")


@every_manifest
def test_retries_stop_where_they_cannot_help(manifest: dict[str, Any]) -> None:
    spec = _job(manifest)["spec"]
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
    assert _config(manifest).run.deadline_seconds == _job(manifest)["spec"]["activeDeadlineSeconds"] - 120


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
    spec = _job(MANIFESTS[name])["spec"]

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
    assert dict(_parameters(_words(manifest)))


def test_hostile_names_reach_the_program_as_they_are() -> None:
    found = dict(_parameters(_words(MANIFESTS["restore-hostile"])))

    assert found["database"] == HOSTILE
    assert found["to_database"] == "../" + HOSTILE
    assert found["backup"] == "%2Dx_20261122_023000_full"


def test_restore_names_its_claim_and_its_object() -> None:
    found = dict(_parameters(_words(MANIFESTS["restore"])))

    assert found["claim"] == request().claim
    assert found["claim_uid"] == "uid-of-back"
    assert (found["instance"], found["database"], found["to_database"]) == ("one", "shop", "shop")
    assert dict(_parameters(_words(MANIFESTS["restore-before"])))["before"] == "2026-11-22T02:30:00-03:00"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("backup", "scheduled"), ("retention", "scheduled"), ("manual", "manual"), ("check", None), ("restore", None)],
)
def test_reason_of_a_run(name: str, reason: str | None) -> None:
    environment = {one["name"]: one.get("value") for one in _container(MANIFESTS[name])["env"]}

    assert environment.get("VYA_BACKUPDB_REASON") == reason


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
    assert _words(MANIFESTS["retention"]) == ["retention", "apply"]
    assert _words(MANIFESTS["retention-full"]) == ["retention", "plan"]


def test_retention_has_a_minute_of_its_own_each_day() -> None:
    text = MANIFESTS["retention"]["spec"]["schedule"]

    assert re.fullmatch(r"[0-5]?\d 4 \* \* \*", text)


def test_jobs_of_one_claim_stay_on_one_node_unless_the_claim_may_be_on_many() -> None:
    term = {
        "labelSelector": {"matchLabels": {labels.CLAIM: "backups"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    many = JobSettings(dumper_image="x", claim_access_modes=("ReadWriteOnce", "ReadWriteMany"))

    required = "requiredDuringSchedulingIgnoredDuringExecution"
    assert _pod(MANIFESTS["backup"])["spec"]["affinity"] == {"podAffinity": {required: [term]}}
    assert _pod(MANIFESTS["backup"])["metadata"]["labels"][labels.CLAIM] == "backups"
    assert "affinity" not in _pod(backup_cronjob(schedule(), instance(), many))["spec"]


def test_affinity_of_the_users_own_is_kept_beside_ours() -> None:
    pod = _pod(MANIFESTS["backup-full"])
    terms = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]

    assert [term["topologyKey"] for term in terms] == ["zone", "kubernetes.io/hostname"]
    assert terms[1]["labelSelector"]["matchLabels"] == {labels.CLAIM: pod["metadata"]["labels"][labels.CLAIM]}
    # the builder must not write into the parsed spec
    own = FULL_INSTANCE["job"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert len(own) == 1


def test_what_a_user_may_set_is_set() -> None:
    pod, job = _pod(MANIFESTS["check-full"]), FULL_INSTANCE["job"]

    assert pod["spec"]["nodeSelector"] == job["nodeSelector"]
    assert pod["spec"]["tolerations"] == job["tolerations"]
    assert pod["spec"]["topologySpreadConstraints"] == job["topologySpreadConstraints"]
    assert pod["spec"]["priorityClassName"] == "low"
    # cpu: 1 is a number in YAML; the API server gives text back, and clients with types refuse the number
    assert _container(MANIFESTS["check-full"])["resources"] == {
        "requests": {"cpu": "1", "memory": "256Mi"},
        "limits": {"memory": "2Gi"},
    }
    assert pod["metadata"]["labels"]["team"] == "data"
    assert pod["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


def test_administrators_settings_reach_the_pod() -> None:
    settings = JobSettings(
        dumper_image="other:1",
        image_pull_policy="Never",
        pull_secrets=("pull",),
        service_account="dumper",
        log_level="DEBUG",
    )
    manifest = check_job(instance(), "1", settings)
    spec = _pod(manifest)["spec"]

    assert (_container(manifest)["image"], _container(manifest)["imagePullPolicy"]) == ("other:1", "Never")
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert spec["serviceAccountName"] == "dumper"
    assert spec["automountServiceAccountToken"] is False
    assert _config(manifest).logging.level == "DEBUG"


def test_two_long_names_share_no_child() -> None:
    other = LONG[:-1] + "y"
    names = {backup_cronjob(schedule(name=name), instance(), SETTINGS)["metadata"]["name"] for name in (LONG, other)}

    assert len(names) == 2


def test_parents_labels_and_annotations_are_not_handed_down() -> None:
    marked = schedule(labels={"argocd.argoproj.io/instance": "app"}, annotations={"a": "b"})

    assert "argocd" not in str(backup_cronjob(marked, instance(), SETTINGS))

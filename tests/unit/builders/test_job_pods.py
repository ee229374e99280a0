"""The pods of our Jobs: what every one must not be able to do, and what a user and an administrator may set."""

from typing import Any

import pytest
from tests.unit.builders.reading import MANIFESTS, config_of, container_of, every_manifest, pod_of, sources_of
from tests.unit.builders.samples import FULL_INSTANCE, PLAIN_INSTANCE, SETTINGS, instance, schedule

from vya_backupdb.builders import labels
from vya_backupdb.builders.jobs import JobSettings, backup_cronjob, check_job

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
ENVIRONMENT = {"VYA_BACKUPDB_RUN_ID", "VYA_BACKUPDB_TERMINATION_LOG", "VYA_BACKUPDB_REASON", "VYA_BACKUPDB_JOB_UID"}


@every_manifest
def test_pod_has_only_the_fields_that_we_thought_of(manifest: dict[str, Any]) -> None:
    assert pod_of(manifest)["spec"].keys() <= POD_FIELDS
    assert container_of(manifest).keys() == CONTAINER_FIELDS
    assert {one["name"] for one in container_of(manifest)["env"]} <= ENVIRONMENT


@every_manifest
def test_pod_passes_the_restricted_level(manifest: dict[str, Any]) -> None:
    spec, container = pod_of(manifest)["spec"], container_of(manifest)

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
    spec = pod_of(manifest)["spec"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert not [source for source in sources_of(manifest) if "serviceAccountToken" in source]


@every_manifest
def test_secrets_are_files_and_their_absence_holds_no_pod_up(manifest: dict[str, Any]) -> None:
    assert not [one for one in container_of(manifest)["env"] if "secretKeyRef" in str(one)]
    for source in sources_of(manifest)[1:]:
        (given,) = source.values()
        assert given["optional"] is True
        assert given["items"]


def test_of_each_secret_only_what_is_asked_for_is_mounted() -> None:
    found = {
        item["path"]: (kind, given["name"], item["key"])
        for source in sources_of(MANIFESTS["backup-full"])[1:]
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
    paths = [item["path"] for item in sources_of(check_job(instance(spec), "1", SETTINGS))[1]["secret"]["items"]]

    assert sorted(paths) == sorted(set(paths))


@every_manifest
def test_run_id_is_the_name_of_the_job(manifest: dict[str, Any]) -> None:
    found = {one["name"]: one for one in container_of(manifest)["env"]}["VYA_BACKUPDB_RUN_ID"]

    assert found["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/job-name']"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("backup", "scheduled"), ("retention", "scheduled"), ("manual", "manual"), ("check", None), ("restore", None)],
)
def test_reason_of_a_run(name: str, reason: str | None) -> None:
    environment = {one["name"]: one.get("value") for one in container_of(MANIFESTS[name])["env"]}

    assert environment.get("VYA_BACKUPDB_REASON") == reason


def test_jobs_of_one_claim_stay_on_one_node_unless_the_claim_may_be_on_many() -> None:
    term = {
        "labelSelector": {"matchLabels": {labels.CLAIM: "backups"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    many = JobSettings(dumper_image="x", claim_access_modes=("ReadWriteOnce", "ReadWriteMany"))

    required = "requiredDuringSchedulingIgnoredDuringExecution"
    assert pod_of(MANIFESTS["backup"])["spec"]["affinity"] == {"podAffinity": {required: [term]}}
    assert pod_of(MANIFESTS["backup"])["metadata"]["labels"][labels.CLAIM] == "backups"
    assert "affinity" not in pod_of(backup_cronjob(schedule(), instance(), many))["spec"]


@pytest.mark.parametrize("odd", [5, True, "zone", {"a": 1}])
def test_an_affinity_that_is_none_is_left_to_the_api_server_to_refuse(odd: object) -> None:
    """The schema takes any object there; what is wrong with it the server says, in the object's own condition."""
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    spec = {**PLAIN_INSTANCE, "job": {"affinity": {"podAffinity": {required: odd}}}}
    made = backup_cronjob(schedule(), instance(spec), SETTINGS)
    assert pod_of(made)["spec"]["affinity"]["podAffinity"][required][0] == odd


def test_affinity_of_the_users_own_is_kept_beside_ours() -> None:
    pod = pod_of(MANIFESTS["backup-full"])
    terms = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]

    assert [term["topologyKey"] for term in terms] == ["zone", "kubernetes.io/hostname"]
    assert terms[1]["labelSelector"]["matchLabels"] == {labels.CLAIM: pod["metadata"]["labels"][labels.CLAIM]}
    # the builder must not write into the parsed spec
    own = FULL_INSTANCE["job"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert len(own) == 1


def test_what_a_user_may_set_is_set() -> None:
    pod, job = pod_of(MANIFESTS["check-full"]), FULL_INSTANCE["job"]

    assert pod["spec"]["nodeSelector"] == job["nodeSelector"]
    assert pod["spec"]["tolerations"] == job["tolerations"]
    assert pod["spec"]["topologySpreadConstraints"] == job["topologySpreadConstraints"]
    assert pod["spec"]["priorityClassName"] == "low"
    # cpu: 1 is a number in YAML; the API server gives text back, and clients with types refuse the number
    assert container_of(MANIFESTS["check-full"])["resources"] == {
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
    spec = pod_of(manifest)["spec"]

    assert (container_of(manifest)["image"], container_of(manifest)["imagePullPolicy"]) == ("other:1", "Never")
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert spec["serviceAccountName"] == "dumper"
    assert spec["automountServiceAccountToken"] is False
    assert config_of(manifest).logging.level == "DEBUG"

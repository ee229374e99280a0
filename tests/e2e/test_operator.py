"""The operator as one process against a real API server, kubelet and dumper, with the rights of its role and no other.

What the chart's stories cannot do quickly: kill it after every single line that it logs, count resource versions over
many resyncs, and look at what it leaves on users' objects.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import images
from tests.cluster import Cluster
from tests.contract.rights import ServiceAccount, install_definitions
from tests.e2e.support.manifests import RESOURCES, claim, restore, schedule, secret
from tests.e2e.support.operator import Operator, running
from tests.e2e.support.space import API, Manifest, Space, condition_of
from tests.e2e.support.stage import _others_paused
from tests.e2e.support.waiting import until

NAMESPACE = "vya-operator"
PASSWORD = "it's a \\ secret"


@pytest.fixture(scope="module")
def kubeconfig(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the kubeconfig of an account with the operator's role, in a namespace with a PostgreSQL in it."""
    install_definitions(cluster)
    postgres, dumper = images.ensure("postgres:17"), images.ensure("dumper")
    cluster.load(postgres, dumper)
    with _others_paused(cluster), ServiceAccount.made(cluster, NAMESPACE) as account:
        Space(cluster, NAMESPACE).apply(*_postgres(postgres))
        path = tmp_path_factory.mktemp("operator") / "kubeconfig"
        path.write_text(yaml.safe_dump(account.kubeconfig()))
        yield path


@pytest.fixture
def space(cluster: Cluster, kubeconfig: Path) -> Iterator[Space]:
    """Give the namespace; afterwards nothing of ours is left in it."""
    space = Space(cluster, NAMESPACE)
    yield space
    space.delete("bki,bks,rr", "--all")
    space.kubectl("delete", "jobs,cronjobs,pods", "-l", "app.kubernetes.io/name=vya-backupdb", "--timeout=60s")
    space.delete("pvc/backups", "secret/db")


@pytest.fixture
def meddling(cluster: Cluster, kubeconfig: Path) -> Iterator[None]:
    """Have the API server change each CronJob of the namespace on its way in, and add to a list of it."""
    pod, container = "spec.jobTemplate.spec.template.spec", "/spec/jobTemplate/spec/template/spec/containers/0"
    change = (
        f'[JSONPatch{{op: "replace", path: "{container}/imagePullPolicy", value: "Never"}}]'
        f" + (has(object.{pod}.containers[0].env) ?"
        f' [JSONPatch{{op: "add", path: "{container}/env/-", value: {{"name": "SEEN", "value": "yes"}}}}] : [])'
    )
    rule = {
        "apiGroups": ["batch"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["cronjobs"],
    }
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": change}}],
    }
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
    meta = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": NAMESPACE}}
    policy = {**meta, "kind": "MutatingAdmissionPolicy", "spec": spec}
    binding = {**meta, "kind": "MutatingAdmissionPolicyBinding"}
    binding["spec"] = {"policyName": NAMESPACE, "matchResources": where}
    space = Space(cluster, NAMESPACE)
    space.apply(policy, binding)
    probe = ("create", "cronjob", "probe", "--image=x", "--schedule=0 0 1 1 *", "--dry-run=server", "-o", "yaml")
    until("the policy works", lambda: "imagePullPolicy: Never" in space.kubectl(*probe).stdout, seconds=60)
    yield
    kinds = "mutatingadmissionpolicybinding,mutatingadmissionpolicy"
    cluster.kubectl("delete", kinds, NAMESPACE)


def start(kubeconfig: Path, *arguments: str) -> Any:
    """Return a running operator of this namespace."""
    return running(kubeconfig, f"--namespace={NAMESPACE}", f"--dumper-image={images.ensure('dumper')}", *arguments)


def instance(name: str = "db", **spec: Any) -> Manifest:
    """Return a BackupInstance of this namespace's PostgreSQL."""
    whole = {
        "engine": "PostgreSQL",
        "host": f"db.{NAMESPACE}.svc",
        "credentials": {"secretRef": {"name": "db"}, "encoding": "Plain"},
        "storage": {"persistentVolumeClaim": {"claimName": "backups"}},
        "job": {"resources": RESOURCES},
        **spec,
    }
    return {"apiVersion": API, "kind": "BackupInstance", "metadata": {"name": name}, "spec": whole}


def test_what_is_missing_is_told_and_heals_when_it_comes(space: Space, kubeconfig: Path) -> None:
    with start(kubeconfig, "--resync-seconds=2") as operator:
        space.apply(instance(), schedule("nightly", "absent"))
        space.wait_reason("bki/db", "StorageReady", "ClaimNotFound")
        space.wait_reason("bks/nightly", "Ready", "InstanceNotFound")
        space.apply(claim())
        missing = space.wait_reason("bki/db", "CredentialsCurrent", "CredentialsMissing", seconds=240)
        assert "db" in missing["message"]
        space.apply(secret("db", username="postgres", password="wrong"))
        space.apply(instance(checkIntervalSeconds=3600))
        space.wait_reason("bki/db", "Connected", "AuthenticationFailed", seconds=240)
        assert condition_of(space.get("bki/db"), "Stalled")["status"] == "True"
        # it would be checked again by itself, after a minute; a changed spec is checked at once
        space.apply(secret("db", username="postgres", password=PASSWORD), instance(checkIntervalSeconds=7200))
        ready = space.wait("bki/db", "Ready", seconds=400)
        assert ready["status"]["server"]["product"] == "PostgreSQL"
        assert condition_of(ready, "Stalled") == {}
        assert operator.stop() == 0
        assert not any(word in line for line in operator.said for word in (PASSWORD, "Traceback", "ERROR"))


def test_killed_after_every_line_that_it_logs_the_story_ends_the_same(space: Space, kubeconfig: Path) -> None:
    space.apply(claim(), secret("db", username="postgres", password=PASSWORD))
    steps = 0
    for goal in (_ready, _backed_up, _restored):
        while not goal(space):
            with start(kubeconfig) as operator:
                _until_it_did_something(operator)
                operator.kill()
            steps += 1
            assert steps < 40, space.story()
    assert steps > 5
    roles = [job["metadata"]["labels"]["backupdb.vya.digital/role"] for job in space.items("jobs")]
    assert sorted(roles) == ["backup", "check", "restore"]
    with start(kubeconfig) as operator:
        operator.wait_for(" begins")
        space.wait("bks/nightly", "LastBackupSucceeded")
        assert len(space.get("bks/nightly")["status"]["history"]) == 1
        assert operator.stop() == 0


def test_nothing_is_written_while_nothing_happens(space: Space, kubeconfig: Path, meddling: None) -> None:
    """Nor where a policy of the cluster changes what we apply: who applied it again would do so for ever."""
    space.apply(claim(), secret("db", username="postgres", password=PASSWORD))
    space.apply(instance(), schedule("nightly", "db", manualTrigger="now"))
    with start(kubeconfig, "--resync-seconds=1", "--log-level=DEBUG") as operator:
        space.wait("bki/db", "Ready", seconds=240)
        space.wait_trigger("nightly", "now", seconds=240)
        for _ in range(2):
            operator.wait_for("listed ")
        before = _versions(space)
        for _ in range(5):
            operator.wait_for("listed 2 objects")
        assert _versions(space) == before
        policies = "{.items[*].spec.jobTemplate.spec.template.spec.containers[0].imagePullPolicy}"
        assert space.kubectl("get", "cronjobs", "-o", f"jsonpath={policies}").stdout == "Never Never"
        assert "admission policy" in condition_of(space.get("bks/nightly"), "Ready")["message"]
        for found in space.items("bki,bks,rr"):
            marks = found["metadata"].get("annotations", {}), found["metadata"].get("finalizers", [])
            assert marks == ({}, []), "users' objects are theirs"
        fields = space.kubectl("get", "bki,bks", "-o", "json", "--show-managed-fields").stdout
        entries = [entry for found in json.loads(fields)["items"] for entry in found["metadata"]["managedFields"]]
        ours = [entry for entry in entries if entry["manager"] == "vya-backupdb"]
        assert ours
        assert all(entry["subresource"] == "status" for entry in ours), "the operator wrote more than a status"


def test_a_job_made_by_hand_counts_and_a_changed_cronjob_is_mended(space: Space, kubeconfig: Path) -> None:
    space.apply(claim(), secret("db", username="postgres", password=PASSWORD))
    space.apply(instance(), schedule("nightly", "db"))
    with start(kubeconfig):
        space.wait("bks/nightly", "Ready")
        space.kubectl("create", "job", "by-hand", "--from=cronjob/nightly-backup")
        found = space.wait_run("nightly", "by-hand", seconds=240)
        assert found["status"]["lastRun"]["result"] == "Succeeded"
        space.patch("cronjob/nightly-backup", {"spec": {"schedule": "*/5 * * * *"}})
        space.wait("cronjob/nightly-backup", "jsonpath={.spec.schedule}=0 0 1 1 *")
        space.delete("bki/db")
        space.wait("cronjob/nightly-backup", "jsonpath={.spec.suspend}=true")


def test_a_namespace_full_of_our_objects_goes_away_without_an_operator(cluster: Cluster, kubeconfig: Path) -> None:
    space = Space(cluster, f"{NAMESPACE}-gone")
    space.create()
    space.apply(instance(), schedule("nightly", "db"), restore("back", "db", "postgres"))
    cluster.kubectl("delete", "namespace", space.name, "--timeout=120s")


def _until_it_did_something(operator: Operator) -> None:
    operator.wait_for("vya_backupdb.reconcile", seconds=240)


def _ready(space: Space) -> bool:
    space.apply(instance())
    return condition_of(space.get("bki/db"), "Ready").get("status") == "True"


def _backed_up(space: Space) -> bool:
    space.apply(schedule("nightly", "db", manualTrigger="now"))
    return condition_of(space.get("bks/nightly"), "LastBackupSucceeded").get("status") == "True"


def _restored(space: Space) -> bool:
    space.apply(restore("back", "db", "shop", to="shop_again"))
    return condition_of(space.get("rr/back"), "Succeeded").get("status") == "True"


def _versions(space: Space) -> dict[str, str]:
    """Return the versions of all that we write; of Events those of ours, because others tell of a pod's end later."""
    found = space.items("bki,bks,rr,jobs,cronjobs,events")
    mine = [one for one in found if one["kind"] != "Event" or one.get("source", {}).get("component") == "vya-backupdb"]
    return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"] for one in mine}


def _postgres(image: str) -> tuple[Manifest, ...]:
    """Return a PostgreSQL with one database `shop`, its password full of quotes."""
    labels = {"app": "db"}
    user = {"runAsNonRoot": True, "runAsUser": 999, "runAsGroup": 999, "fsGroup": 999}
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "POSTGRES_PASSWORD", "value": PASSWORD},
            {"name": "POSTGRES_DB", "value": "shop"},
            {"name": "PGDATA", "value": "/var/lib/server/data"},
        ],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1"]}, "periodSeconds": 2},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/server"}],
    }
    spec = {
        "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    meta = {"name": "db", "labels": labels}
    service = {"selector": labels, "ports": [{"port": 5432}]}
    return (
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service},
    )

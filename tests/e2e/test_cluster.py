"""The cluster under the tests does what the tests of the product rest on: each promise is seen, not assumed."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml
from tests.cluster import Cluster, EngineUnavailable, ensure_cluster
from tests.cluster.node_images import BUSYBOX

pytestmark = pytest.mark.e2e

_NAMESPACE: Final = "cluster-smoke"
_NOBODY: Final = 65534
_EXIT_CODE: Final = 42


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    try:
        return ensure_cluster()
    except EngineUnavailable as reason:
        pytest.skip(f"no cluster: {reason}")


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    _apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE, "labels": labels}})
    yield _NAMESPACE
    cluster.kubectl("delete", "namespace", _NAMESPACE, "--timeout=120s")


def _apply(cluster: Cluster, *documents: dict[str, Any], check: bool = True) -> str:
    manifest = yaml.safe_dump_all(documents)
    result = cluster.kubectl("apply", "--server-side", "-f", "-", input=manifest, check=check)
    return result.stdout + result.stderr


def _pod_spec(script: str, volumes: dict[str, dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """Return a pod's spec that the `restricted` standard admits; `volumes` are mounted below /mnt by name."""
    confined = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    user = {"runAsNonRoot": True, "runAsUser": _NOBODY, "fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}}
    mounts = [{"name": name, "mountPath": f"/mnt/{name}"} for name in volumes or {}]
    container = {"name": "main", "image": BUSYBOX, "command": ["sh", "-euc", script], "securityContext": confined}
    return {
        "securityContext": user,
        "terminationGracePeriodSeconds": 1,
        "containers": [{**container, "volumeMounts": mounts}],
        "volumes": [{"name": name, **volume} for name, volume in (volumes or {}).items()],
        **more,
    }


def _job(name: str, script: str, volumes: dict[str, dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    template = {"spec": _pod_spec(script, volumes, restartPolicy="Never", automountServiceAccountToken=False)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": _NAMESPACE},
        "spec": {"backoffLimit": 0, "template": template, **spec},
    }


def _claim(name: str, size: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": _NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec},
    }


def _claimed(name: str) -> dict[str, Any]:
    return {"persistentVolumeClaim": {"claimName": name}}


def _output(cluster: Cluster, job: str, condition: str = "Complete") -> str:
    """Return what a Job printed, once it has ended as expected."""
    cluster.kubectl("-n", _NAMESPACE, "wait", f"--for=condition={condition}", f"job/{job}", "--timeout=90s")
    return cluster.kubectl("-n", _NAMESPACE, "logs", f"job/{job}").stdout


def _get(cluster: Cluster, *what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.kubectl("-n", _NAMESPACE, "get", *what, "-o", "json").stdout)
    return found


def test_a_service_is_found_by_name_and_reaches_every_pod(cluster: Cluster, namespace: str) -> None:
    labels = {"app": "web"}
    pod = _pod_spec("hostname > /mnt/www/index.html; exec httpd -f -p 8080 -h /mnt/www", {"www": {"emptyDir": {}}})
    pod["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    template = {"metadata": {"labels": labels}, "spec": pod}
    web = {"name": "web", "namespace": namespace}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}
    _apply(
        cluster,
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": web, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": web, "spec": service},
    )
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=90s")
    pods = {pod["metadata"]["name"] for pod in _get(cluster, "pods", "-l", "app=web")["items"]}

    # a Service's rules follow its pods with a delay, and an early question may go nowhere: ask until both have answered
    ask = f"name=$(wget -q -O - http://web.{namespace}.svc.cluster.local/ 2>/dev/null) || sleep 0.2"
    new = 'case "$seen" in *"$name"*) ;; *) seen="$seen $name" ;; esac'
    _apply(cluster, _job("ask", f'seen=; until [ "$(echo $seen | wc -w)" = 2 ]; do {ask}; {new}; done; echo $seen'))

    assert set(_output(cluster, "ask").split()) == pods
    assert cluster.kubectl("-n", namespace, "exec", "deployment/web", "--", "id", "-u").stdout == f"{_NOBODY}\n"


def test_pods_without_the_restricted_standard_are_refused(cluster: Cluster, namespace: str) -> None:
    spec = {"containers": [{"name": "main", "image": BUSYBOX}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": namespace}, "spec": spec}

    assert 'violates PodSecurity "restricted' in _apply(cluster, pod, check=False)


def test_a_claim_is_provisioned_with_its_group_and_vanishes_with_it(cluster: Cluster, namespace: str) -> None:
    script = "echo kept > /mnt/data/file; stat -c '%g %a' /mnt/data; id -G"
    _apply(cluster, _claim("data", "1Gi"), _job("write", script, {"data": _claimed("data")}))
    owner, groups = _output(cluster, "write").splitlines()
    _apply(cluster, _job("read", "cat /mnt/data/file", {"data": _claimed("data")}))

    assert (owner, groups.split()[-1]) == ("2000 2775", "2000")
    assert _output(cluster, "read") == "kept\n"
    volume = _get(cluster, "pvc", "data")["spec"]["volumeName"]
    cluster.kubectl("-n", namespace, "delete", "job", "write", "read", "--cascade=foreground")
    cluster.kubectl("-n", namespace, "delete", "pvc", "data")
    cluster.kubectl("wait", "--for=delete", f"pv/{volume}", "--timeout=60s")
    assert volume not in cluster.exec(cluster.nodes[0], "ls", "/volumes", check=False).stdout


@pytest.mark.usefixtures("namespace")
def test_a_small_volume_is_really_full(cluster: Cluster) -> None:
    script = "dd if=/dev/zero of=/mnt/small/file bs=1M count=65 2>&1 || wc -c < /mnt/small/file"
    claim = _claim("small", "64Mi", storageClassName="small")
    _apply(cluster, claim, _job("fill", script, {"small": _claimed("small")}))

    output = _output(cluster, "fill")

    assert "No space left on device" in output
    assert output.splitlines()[-1] == str(64 * 1024**2)


@pytest.mark.usefixtures("namespace")
def test_a_job_fails_for_good_by_the_exit_code_that_its_policy_names(cluster: Cluster) -> None:
    codes = {"containerName": "main", "operator": "In", "values": [_EXIT_CODE]}
    policy = {"rules": [{"action": "FailJob", "onExitCodes": codes}]}
    _apply(cluster, _job("fatal", f"echo before; exit {_EXIT_CODE}", backoffLimit=5, podFailurePolicy=policy))

    assert _output(cluster, "fatal", condition="Failed") == "before\n"
    job = _get(cluster, "job", "fatal")
    reasons = {c["type"]: c["reason"] for c in job["status"]["conditions"]}
    assert (reasons["Failed"], job["status"]["failed"]) == ("PodFailurePolicy", 1)


@pytest.mark.parametrize(("zone", "refused"), [("America/Sao_Paulo", False), ("America/Nowhere", True)])
def test_a_cron_job_knows_time_zones(cluster: Cluster, namespace: str, *, zone: str, refused: bool) -> None:
    spec = {"schedule": "0 3 * * *", "timeZone": zone, "jobTemplate": {"spec": _job("any", "true")["spec"]}}
    name = {"name": zone.lower().replace("/", "-").replace("_", "-"), "namespace": namespace}
    answer = _apply(cluster, {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": name, "spec": spec}, check=False)

    assert ("unknown time zone" in answer) is refused


def test_the_same_image_is_loaded_once(cluster: Cluster) -> None:
    said: list[str] = []
    again = ensure_cluster(say=said.append)
    again.load(BUSYBOX)

    assert not [line for line in said if line.startswith("loading")]
    assert any(line.startswith("already up") for line in said)
    assert again.nodes == cluster.nodes

"""The CRDs and the manifests before a real API server: it compiles every rule, and agrees with the models.

The definitions are installed under a group of their own, so that neither a chart that is installed nor one that is to
be is disturbed. Everything but the changes is a dry run.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from kubernetes.client import ApiException
from tests.cluster import Cluster
from tests.tools.corpus import Case, Change, cases, changes
from tests.unit.builders.samples import manifests

from vya_backupdb.builders.crd import crds
from vya_backupdb.domain.specs import KINDS, VERSION

pytestmark = pytest.mark.e2e

GROUP = "crds-test.vya.digital"
NAMESPACE = "crds-test"
CASES = list(cases())
CHANGES = list(changes())
MANIFESTS = manifests()
PLURALS = {kind.name: kind.plural for kind in KINDS}


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Cluster]:
    """Give the cluster with the definitions and a restricted namespace in it; take both away again."""
    definitions = yaml.safe_dump_all(map(_renamed, crds()))
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    cluster.kubectl("apply", "--server-side", "-f", "-", input=definitions)
    cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(namespace))
    names = [f"crd/{plural}.{GROUP}" for plural in PLURALS.values()]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
    yield cluster
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
    cluster.kubectl("delete", *names, "--timeout=120s")


@pytest.fixture(scope="module")
def api(server: Cluster) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(config_file=str(server.kubeconfig)) as api:  # type: ignore[no-untyped-call]
        yield api


def _renamed(definition: dict[str, Any]) -> dict[str, Any]:
    renamed = copy.deepcopy(definition)
    renamed["spec"]["group"] = GROUP
    renamed["metadata"]["name"] = f"{renamed['spec']['names']['plural']}.{GROUP}"
    return renamed


def _refusal(call: Any, *arguments: Any, **options: Any) -> str | None:
    """Return the API server's message, or None where it takes what it is given."""
    try:
        call(*arguments, dry_run="All", field_validation="Strict", **options)
    except ApiException as error:
        if error.status not in (400, 422):
            raise
        return str(json.loads(error.body or "{}")["message"])
    return None


def _create(api: client.ApiClient, manifest: dict[str, Any], **options: Any) -> str | None:
    custom = client.CustomObjectsApi(api)
    body = {**manifest, "apiVersion": f"{GROUP}/{VERSION}"}
    plural = PLURALS[manifest["kind"]]
    return _refusal(custom.create_namespaced_custom_object, GROUP, VERSION, NAMESPACE, plural, body, **options)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_server_agrees_with_the_corpus(api: client.ApiClient, case: Case) -> None:
    refusal = _create(api, case.manifest)

    if case.server_takes_it:
        assert refusal is None
        return
    assert refusal is not None, "the API server takes what the operator refuses"
    assert case.field in refusal
    assert case.says in refusal


@pytest.fixture(scope="module")
def first_of_each(api: client.ApiClient) -> dict[str, dict[str, Any]]:
    """Create the least valid object of each kind; return what the API server made of them."""
    custom = client.CustomObjectsApi(api)
    made: dict[str, dict[str, Any]] = {}
    for case in CASES:
        if case.kind not in made:
            body = {**case.manifest, "apiVersion": f"{GROUP}/{VERSION}"}
            plural = PLURALS[case.kind]
            found: Any = custom.create_namespaced_custom_object(GROUP, VERSION, NAMESPACE, plural, body)
            made[case.kind] = found
    return made


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.title)
def test_what_may_change_and_what_may_not(
    api: client.ApiClient, first_of_each: dict[str, dict[str, Any]], change: Change
) -> None:
    custom = client.CustomObjectsApi(api)
    place = (GROUP, VERSION, NAMESPACE, PLURALS[change.kind], first_of_each[change.kind]["metadata"]["name"])
    body = {"spec": change.change}

    refusal = _refusal(
        custom.patch_namespaced_custom_object, *place, body, _content_type="application/merge-patch+json"
    )

    if not change.says:
        assert refusal is None
        return
    assert refusal is not None, "the API server takes a change that would lose backups"
    assert change.says in refusal


def test_status_says_not_yet_before_anyone_has_looked(first_of_each: dict[str, dict[str, Any]]) -> None:
    for one in first_of_each.values():
        assert one["status"] == {"observedGeneration": -1}


def test_defaults_are_written_where_they_cannot_be_seen_as_a_difference(
    first_of_each: dict[str, dict[str, Any]],
) -> None:
    schedule = first_of_each["BackupSchedule"]["spec"]
    instance = first_of_each["BackupInstance"]["spec"]

    assert (schedule["timeZone"], schedule["parallelism"]) == ("UTC", 2)
    assert "retention" not in schedule
    assert instance["storage"]["compressionLevel"] == 6
    assert "job" not in instance


@pytest.mark.usefixtures("first_of_each")
@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("bki", ["NAME", "ENGINE", "HOST", "VERSION", "DATABASES", "READY", "REASON", "AGE"]),
        ("bks", ["NAME", "INSTANCE", "SCHEDULE", "LAST-SUCCESS", "RESULT", "NEXT", "READY", "AGE"]),
        ("rr", ["NAME", "DATABASE", "BACKUP", "TARGET", "SUCCEEDED", "REASON", "AGE"]),
    ],
)
def test_kubectl_get_reads_like_a_dashboard(server: Cluster, kind: str, columns: list[str]) -> None:
    plural = next(one.plural for one in KINDS if one.short == kind)
    found = server.kubectl("get", f"{plural}.{GROUP}", "-n", NAMESPACE).stdout

    assert found.splitlines()[0].split() == columns
    assert "example" in found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("backupschedules.spec.retention", "keepWeekly"),
        ("backupschedules.spec.retention.minimum", "never deleted"),
        ("backupinstances.spec.credentials.encoding", "plain text"),
        ("restorerequests.spec.source.before", "RFC 3339"),
        ("backupinstances.status.conditions.reason", "CamelCase"),
    ],
)
def test_kubectl_explains(server: Cluster, path: str, text: str) -> None:
    found = server.kubectl("explain", path, f"--api-version={GROUP}/{VERSION}").stdout

    assert "DESCRIPTION" in found
    assert text in " ".join(found.split())


@pytest.mark.usefixtures("first_of_each")
def test_schedules_can_be_selected_by_their_instance(server: Cluster) -> None:
    selector = "--field-selector=spec.instanceRef.name=mariadb"
    found = server.kubectl("get", f"backupschedules.{GROUP}", "-n", NAMESPACE, selector, "-o", "name").stdout

    assert found.split() == [f"backupschedule.{GROUP}/example"]


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_server_takes_what_the_builders_make(api: client.ApiClient, manifest: dict[str, Any]) -> None:
    batch = client.BatchV1Api(api)
    create = batch.create_namespaced_cron_job if manifest["kind"] == "CronJob" else batch.create_namespaced_job
    body = {**manifest, "metadata": {**manifest["metadata"], "namespace": NAMESPACE}}

    assert _refusal(create, NAMESPACE, body) is None


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_restricted_namespace_takes_the_pod(api: client.ApiClient, manifest: dict[str, Any]) -> None:
    job = manifest["spec"]["jobTemplate"] if manifest["kind"] == "CronJob" else manifest
    template = job["spec"]["template"]
    body = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "probe"}}
    # a PriorityClass is the administrator's to make
    body["spec"] = {key: value for key, value in template["spec"].items() if key != "priorityClassName"}

    assert _refusal(client.CoreV1Api(api).create_namespaced_pod, NAMESPACE, body) is None

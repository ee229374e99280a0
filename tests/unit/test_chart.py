"""The chart: rendered by Helm itself, checked by Kubernetes' schemas, and held to what the code needs, no more."""

import shlex
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from helm_python.errors import HelmValuesError
from tests.tools.chart import notes, render, rendered
from tests.tools.generate import CHART, ROOT, install_text

from vya_backupdb import __version__
from vya_backupdb.builders.crd import crds
from vya_backupdb.controller.settings import parse as parse_settings
from vya_backupdb.domain.specs import SpecProblem, parse
from vya_backupdb.kube.gateway import RULES

VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "two namespaces": {"watchNamespaces": ["shop", "crm"]},
    "without CRDs": {"crds": {"enabled": False}},
    "CRDs that go with it": {"crds": {"keep": False}},
    "without RBAC": {"rbac": {"create": False, "aggregateToUserRoles": False}},
    "an account of one's own": {"serviceAccount": {"create": False, "name": "mine"}},
    "another name": {"fullnameOverride": "vya", "nameOverride": "v"},
    "images by digest": {
        "image": {"registry": "registry.example.com", "digest": f"sha256:{'0' * 64}"},
        "dumper": {"image": {"tag": "1.2.3", "pullPolicy": "Never"}, "imagePullSecrets": [{"name": "theirs"}]},
        "imagePullSecrets": [{"name": "pull"}],
    },
    "placement": {
        "podLabels": {"team": "data"},
        "podAnnotations": {"note": "x"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
        ],
        "priorityClassName": "high",
        "serviceAccount": {"annotations": {"a": "b"}},
        "resyncSeconds": 60,
        "logLevel": "DEBUG",
        "logFormat": "text",
    },
}


def _one(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (document for document in documents if document["kind"] == kind)
    return found


def _container(values: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = _one(render(values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return container


def test_helm_lint_finds_nothing() -> None:
    found = helm_python.lint(str(ROOT / CHART))

    assert found["errors"] == []
    assert [one["error"] for one in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_object_fits_kubernetes_schema(values: dict[str, Any]) -> None:
    documents = render(values)

    assert documents
    for document in documents:
        kubernetes_validate.validate(document, "1.36", strict=True)


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS.keys())
def test_pod_passes_the_restricted_level(values: dict[str, Any]) -> None:
    spec = _one(render(values), "Deployment")["spec"]["template"]["spec"]
    security = spec["containers"][0]["securityContext"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert [list(volume) for volume in spec["volumes"]] == [["name", "emptyDir"]]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()


def _rights(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


NEEDED = {(rule.group, resource, verb) for rule in RULES for resource in rule.resources for verb in rule.verbs}


def test_cluster_role_is_what_the_code_needs() -> None:
    (role,) = (
        document
        for document in render()
        if document["kind"] == "ClusterRole" and document["metadata"]["name"] == "vya-backupdb"
    )

    assert _rights(role["rules"]) == NEEDED


def test_roles_are_what_the_code_needs_and_only_where_it_watches() -> None:
    documents = render({"watchNamespaces": ["shop", "crm"], "rbac": {"aggregateToUserRoles": False}})
    roles = [document for document in documents if document["kind"] == "Role"]
    bindings = [document for document in documents if document["kind"] == "RoleBinding"]

    assert {role["metadata"]["namespace"] for role in roles} == {"shop", "crm"}
    assert {binding["metadata"]["namespace"] for binding in bindings} == {"shop", "crm"}
    assert all(_rights(role["rules"]) == NEEDED for role in roles)
    assert all(binding["subjects"][0]["namespace"] == "backup" for binding in bindings)
    assert not [document for document in documents if document["kind"].startswith("ClusterRole")]


def test_operator_has_no_right_to_secrets_logs_or_wildcards() -> None:
    for group, resource, verb in NEEDED:
        assert resource not in {"secrets", "pods/log", "pods/exec", "*"}
        assert "*" not in (group, verb)


def test_only_administrators_of_a_namespace_may_restore() -> None:
    roles = {
        document["metadata"]["name"].removeprefix("vya-backupdb-"): document
        for document in render()
        if document["kind"] == "ClusterRole" and document["metadata"]["name"] != "vya-backupdb"
    }
    right = ("backupdb.vya.digital", "restorerequests", "create")
    may_restore = [name for name, role in roles.items() if right in _rights(role["rules"])]

    assert set(roles) == {"view", "edit", "restore"}
    assert may_restore == ["restore"]
    assert roles["restore"]["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"] == "true"
    assert not [right for role in roles.values() for right in _rights(role["rules"]) if right[1].endswith("/status")]


def test_crds_of_the_chart_are_those_of_the_code() -> None:
    found = [
        document for document in render({"crds": {"keep": False}}) if document["kind"] == "CustomResourceDefinition"
    ]

    assert sorted(found, key=str) == sorted(crds(), key=str)


def test_crds_survive_the_chart_unless_told_otherwise() -> None:
    kept = [document for document in render() if document["kind"] == "CustomResourceDefinition"]

    assert len(kept) == 3
    assert all(one["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for one in kept)
    assert not [one for one in render({"crds": {"enabled": False}}) if one["kind"] == "CustomResourceDefinition"]


def test_images_default_to_the_version_of_the_chart() -> None:
    container = _container({})

    assert container["image"] == f"vya-backupdb-operator:{__version__}"
    assert f"--dumper-image=vya-backupdb-dumper:{__version__}" in container["args"]


def test_digest_wins_and_registry_is_shared() -> None:
    container = _container(VARIANTS["images by digest"])

    assert container["image"] == f"registry.example.com/vya-backupdb-operator@sha256:{'0' * 64}"
    assert "--dumper-image=registry.example.com/vya-backupdb-dumper:1.2.3" in container["args"]
    assert "--dumper-image-pull-policy=Never" in container["args"]


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS.keys())
def test_operator_understands_its_arguments(values: dict[str, Any]) -> None:
    container = _container(values)
    settings = parse_settings(container["args"], {})

    assert settings.namespaces == tuple(values.get("watchNamespaces", ()))
    assert settings.resync_seconds == values.get("resyncSeconds", 300)
    assert (settings.log_level, settings.log_format) == (
        values.get("logLevel", "INFO"),
        values.get("logFormat", "json"),
    )
    probed = container["livenessProbe"]["httpGet"]
    (port,) = container["ports"]
    assert settings.liveness == f"http://0.0.0.0:{port['containerPort']}{probed['path']}"
    assert probed["port"] == port["name"]


def test_pull_secrets_reach_both_pods() -> None:
    values = VARIANTS["images by digest"]

    assert _one(render(values), "Deployment")["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert parse_settings(_container(values)["args"], {}).pull_secrets == ("theirs",)


@pytest.mark.parametrize(
    "values",
    [
        {"unknown": 1},
        {"image": {"repository": "x", "tags": "typo"}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"image": {"digest": "sha256:short"}},
        {"watchNamespaces": "shop"},
        {"watchNamespaces": ["Shop"]},
        {"logLevel": "info"},
        {"resyncSeconds": 0},
        {"crds": {"keep": "yes"}},
        {"resources": {"request": {}}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(HelmValuesError):
        render(values)


def test_notes_hold_three_commands_that_can_be_typed() -> None:
    text = notes({"watchNamespaces": ["shop"]})
    commands = [line for line in text.splitlines() if line.startswith("kubectl -n ")]

    assert [shlex.split(command)[:3] for command in commands] == [["kubectl", "-n", "shop"]] * 3
    assert "WARNING" not in text
    assert "WARNING: crds.keep is false" in notes({"crds": {"keep": False}})


def test_notes_example_is_valid() -> None:
    text = notes().split("<<END\n")[1].split("\nEND\n")[0]
    parsed = [parse(document) for document in yaml.safe_load_all(text)]

    assert len(parsed) == 2
    assert not [one for one in parsed if isinstance(one, SpecProblem)]


def test_examples_for_artifact_hub_are_valid() -> None:
    annotations = yaml.safe_load((ROOT / CHART / "Chart.yaml").read_text())["annotations"]
    examples = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])

    assert len(examples) == 3
    assert not [one for one in map(parse, examples) if isinstance(one, SpecProblem)]
    assert {one["name"] for one in yaml.safe_load(annotations["artifacthub.io/crds"])} == {
        one["metadata"]["name"] for one in crds()
    }


def test_versions_agree() -> None:
    chart = yaml.safe_load((ROOT / CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == __version__
    assert __version__ in chart["annotations"]["artifacthub.io/images"]


def test_readme_tells_every_value() -> None:
    values = yaml.safe_load((ROOT / CHART / "values.yaml").read_text())
    readme = (ROOT / CHART / "README.md").read_text()

    assert [key for key in values if f"`{key}" not in readme] == []


def test_install_yaml_is_the_chart() -> None:
    text = install_text()

    assert (ROOT / "install.yaml").read_text() == text, "install.yaml is stale; run 'make generate'"
    documents = list(yaml.safe_load_all(text))
    assert documents[0]["kind"] == "Namespace"
    assert [document["kind"] for document in documents].count("CustomResourceDefinition") == 3
    assert not [document for document in documents if "helm" in str(document["metadata"]).lower()]


@pytest.mark.parametrize("path", sorted(rendered()), ids=lambda path: Path(path).name)
def test_nothing_is_random_or_looked_up(path: str) -> None:
    """A chart that renders differently each time never comes to rest under Argo CD."""
    assert rendered()[path] == rendered()[path]

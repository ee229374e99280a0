"""A service account that may do what `kube.gateway.RULES` says, and nothing else; and the CRDs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import Cluster
from tests.e2e.support.waiting import until
from vya_backupdb.kube.gateway import RULES, Manifest

NAME = "operator"
CRDS = Path(__file__).parents[2] / "crds"
_OWNER = "meta.helm.sh/release-name"
_HELM_OF_THE_README = "vya-backupdb"


def install_definitions(cluster: Cluster) -> None:
    """Apply the CRDs, marked such that an install by Helm may take them over later."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    for name in cluster.kubectl("get", "-f", str(CRDS), "-o", "name").stdout.split():
        cluster.kubectl("wait", name, "--for=condition=Established", "--timeout=60s")
        if _OWNER not in cluster.kubectl("get", name, "-o", "jsonpath={.metadata.annotations}").stdout:
            space = f"meta.helm.sh/release-namespace={_HELM_OF_THE_README}"
            cluster.kubectl("annotate", name, f"{_OWNER}={_HELM_OF_THE_README}", space)
            cluster.kubectl("label", name, "app.kubernetes.io/managed-by=Helm")


def role_rules() -> list[Manifest]:
    """Return the rules of the role that `RULES` describes."""
    return [{"apiGroups": [rule.group], "resources": list(rule.resources), "verbs": list(rule.verbs)} for rule in RULES]


@dataclass(frozen=True)
class ServiceAccount:
    """An account in one namespace, with a token."""

    cluster: Cluster
    namespace: str
    token: str

    @classmethod
    @contextmanager
    def made(cls, cluster: Cluster, namespace: str) -> Iterator["ServiceAccount"]:
        """Make the namespace and the account in it; take both away at the end."""
        cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s")
        cluster.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(_manifests(namespace)))
        token = cluster.kubectl("-n", namespace, "create", "token", NAME, "--duration=2h").stdout.strip()
        _await_rights(cluster, namespace)
        try:
            yield cls(cluster, namespace, token)
        finally:
            cluster.kubectl("delete", "namespace", namespace, "--timeout=120s")

    def kubeconfig(self) -> dict[str, Any]:
        """Return a kubeconfig of the account, as data."""
        shown = self.cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json").stdout
        config: dict[str, Any] = json.loads(shown)
        config["users"] = [{"name": NAME, "user": {"token": self.token}}]
        for one in config["contexts"]:
            one["context"] = {**one["context"], "user": NAME, "namespace": self.namespace}
        return config


def _await_rights(cluster: Cluster, namespace: str) -> None:
    """Return when the API server knows the role: it learns of one a little after it was made."""
    ask = ("auth", "can-i", "delete", "cronjobs.batch", f"--as=system:serviceaccount:{namespace}:{NAME}")
    until("the role is known", lambda: not cluster.kubectl("-n", namespace, *ask, check=False).returncode, seconds=60)


def _manifests(namespace: str) -> list[Manifest]:
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": namespace}
    meta = {"name": NAME, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": role_rules()},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": NAME},
            "subjects": [subject],
        },
    ]

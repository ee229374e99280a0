"""The chart, rendered by Helm's own library: no cluster, and nothing that a plain ``helm template`` would not see."""

from collections.abc import Iterator
from typing import Any

import yaml
from helm_python import Chart

from tests.tools.generate import CHART, ROOT

# Helm's own order of installation, as far as this chart has kinds
_ORDER = (
    "ServiceAccount",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Deployment",
)


def rendered(
    values: dict[str, Any] | None = None, *, name: str = "vya-backupdb", namespace: str = "backup"
) -> dict[str, str]:
    """Return the text of each template, by its path. Raise HelmError where Helm would refuse."""
    with Chart.load(ROOT / CHART) as chart:
        return chart.render(values or {}, name=name, namespace=namespace)


def render(
    values: dict[str, Any] | None = None, *, name: str = "vya-backupdb", namespace: str = "backup"
) -> list[dict[str, Any]]:
    """Return the objects in Helm's order of installation."""
    texts = rendered(values, name=name, namespace=namespace)
    documents = list(_documents(texts))
    return sorted(documents, key=lambda document: _ORDER.index(document["kind"]))


def notes(values: dict[str, Any] | None = None) -> str:
    """Return what Helm prints after an installation."""
    return next(text for path, text in rendered(values).items() if path.endswith("NOTES.txt"))


def _documents(texts: dict[str, str]) -> Iterator[dict[str, Any]]:
    for path in sorted(texts):
        if path.endswith(".yaml"):
            yield from (document for document in yaml.safe_load_all(texts[path]) if document)

"""``python -m tests.tools.generate`` writes what is made from code: crds/, the chart's copies of them, install.yaml.

The builders are pure, so the writing is done here. ``--check`` writes nothing, names what is stale and ends with 1; a
unit test does the same, so that a model and its schema are never committed apart.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from vya_backupdb.builders.crd import crds

ROOT = Path(__file__).resolve().parents[2]
CHART = Path("charts/vya-backupdb")
HEADER = "# Generated from operator/vya_backupdb/domain/specs*.py by 'make generate'; do not edit.\n"
INSTALL_NAMESPACE = "vya-backupdb"
_HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")
_ANNOTATION = """\
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def crd_text(definition: dict[str, Any]) -> str:
    """Return one CRD as a file's text."""
    return HEADER + yaml.safe_dump(definition, sort_keys=False, width=120, allow_unicode=True)


def template_text(definition: dict[str, Any]) -> str:
    """Return one CRD as a chart template: the same, with the switches of the values around it."""
    text = crd_text(definition)
    if "{{" in text:
        raise ValueError("a CRD holds '{{', which Helm would read as its own")
    name = f"  name: {definition['metadata']['name']}\n"
    return "{{- if .Values.crds.enabled }}\n" + text.replace(name, name + _ANNOTATION, 1) + "{{- end }}\n"


def generated() -> dict[Path, str]:
    """Return each generated file, by its path from the project's root."""
    files: dict[Path, str] = {}
    for definition in crds():
        file = f"{definition['metadata']['name'].split('.')[0]}.yaml"
        files[Path("crds") / file] = crd_text(definition)
        files[CHART / "templates" / "crds" / file] = template_text(definition)
    return files


def install_text() -> str:
    """Return install.yaml: the chart with its default values, for those who do not use Helm."""
    from tests.tools.chart import render

    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": INSTALL_NAMESPACE, "labels": labels}}
    documents = [namespace, *map(_without_helm, render(namespace=INSTALL_NAMESPACE, name="vya-backupdb"))]
    head = "# Generated from charts/vya-backupdb with its default values by 'make generate'; do not edit.\n"
    hint = "# kubectl apply --server-side -f install.yaml\n"
    return head + hint + yaml.safe_dump_all(documents, sort_keys=False, width=120, allow_unicode=True)


def _without_helm(document: dict[str, Any]) -> dict[str, Any]:
    """Return `document` without the marks by which Helm knows its own: these objects would not be."""
    metadata = document["metadata"]
    labels = {key: value for key, value in metadata.get("labels", {}).items() if key not in _HELM_LABELS}
    metadata = {**metadata, "labels": labels}
    metadata.pop("annotations", None)
    return {**document, "metadata": metadata}


def stale(files: dict[Path, str]) -> list[Path]:
    """Return those of `files` whose text on disk is another."""
    return [path for path, text in files.items() if not (ROOT / path).is_file() or (ROOT / path).read_text() != text]


def main(arguments: list[str]) -> int:
    """Write, or with ``--check`` compare; return the exit code."""
    check = "--check" in arguments
    found = []
    # install.yaml is rendered from the chart, so its CRDs are written first
    for files in (generated, lambda: {Path("install.yaml"): install_text()}):
        for path in stale(wanted := files()):
            found.append(path)
            if not check:
                (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
                (ROOT / path).write_text(wanted[path])
    for path in found:
        print(f"{'stale' if check else 'wrote'} {path}")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The CustomResourceDefinitions, made from the models in ``domain.specs``.

A structural schema is less than JSON Schema: no ``$ref``, no ``anyOf`` with null, every node has a type. Defaults are
written for scalars only and never inside a list of objects: there Argo CD's client-side diff sees a difference for ever
(argo-cd#28724). What a default of an object or a list would say, its description says.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from vya_backupdb.domain.specs import GROUP, INSTANCE, KINDS, RESTORE, SCHEDULE, VERSION, Kind

Schema = dict[str, Any]

_DROPPED: Final = frozenset({"title", "$defs", "additionalProperties", "const", "prefixItems"})
_READY: Final = '.status.conditions[?(@.type=="Ready")]'
_SUCCEEDED: Final = '.status.conditions[?(@.type=="Succeeded")]'
_AGE: Final[Schema] = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def _column(name: str, path: str, description: str, *, kind: str = "string", wide: bool = False) -> Schema:
    """Return one printer column. A time to come must be a string: kubectl prints ``<invalid>`` for a future date."""
    column = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**column, "priority": 1} if wide else column


_COLUMNS: Final[Mapping[str, list[Schema]]] = {
    INSTANCE.name: [
        _column("Engine", ".spec.engine", "Product of the server."),
        _column("Host", ".spec.host", "Host name of the server."),
        _column("Version", ".status.server.version", "Version of the server."),
        _column("Databases", ".status.databases.count", "Databases that are backed up.", kind="integer"),
        _column("Ready", f"{_READY}.status", "Whether backups can run."),
        _column("Reason", f"{_READY}.reason", "Why it is ready or not."),
        _column("Uncovered", ".status.databases.uncovered", "Databases not backed up.", kind="integer", wide=True),
        _column("Claim", ".spec.storage.persistentVolumeClaim.claimName", "Claim of the volume.", wide=True),
        _AGE,
    ],
    SCHEDULE.name: [
        _column("Instance", ".spec.instanceRef.name", "The BackupInstance."),
        _column("Schedule", ".spec.schedule", "When backups begin."),
        _column("Last-Success", ".status.lastSuccessfulTime", "When all was last backed up.", kind="date"),
        _column("Result", ".status.lastRun.result", "How the last run ended."),
        _column("Next", ".status.nextScheduleTime", "When a backup next comes due."),
        _column("Ready", f"{_READY}.status", "Whether the CronJobs are as the spec says."),
        _column("Suspended", ".spec.suspend", "Whether the schedule is suspended.", kind="boolean", wide=True),
        _column("Time-Zone", ".spec.timeZone", "Time zone of the schedule.", wide=True),
        _column("Reason", f"{_READY}.reason", "Why it is ready or not.", wide=True),
        _AGE,
    ],
    RESTORE.name: [
        _column("Database", ".spec.source.database", "The database that was backed up."),
        _column("Backup", ".status.backup", "The backup that was chosen."),
        _column("Target", ".status.target", "The database that is created."),
        _column("Succeeded", f"{_SUCCEEDED}.status", "Whether it is done."),
        _column("Reason", f"{_SUCCEEDED}.reason", "How it ended."),
        _column("Instance", ".spec.source.instanceRef.name", "The BackupInstance.", wide=True),
        _column("Rows", ".status.restored.rows", "Rows that came back.", kind="integer", wide=True),
        _AGE,
    ],
}
_SELECTABLE: Final[Mapping[str, tuple[str, ...]]] = {
    INSTANCE.name: (".spec.engine",),
    SCHEDULE.name: (".spec.instanceRef.name", ".spec.suspend"),
    RESTORE.name: (".spec.source.instanceRef.name", ".spec.source.database"),
}


def crd(kind: Kind) -> Schema:
    """Return the CustomResourceDefinition of `kind`."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/name": "vya-backupdb"}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["backupdb"],
            },
            "scope": "Namespaced",
            "versions": [_version(kind)],
        },
    }


def crds() -> list[Schema]:
    """Return the definitions of all kinds, in a fixed order."""
    return [crd(kind) for kind in KINDS]


def _version(kind: Kind) -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": _COLUMNS[kind.name],
        "selectableFields": [{"jsonPath": path} for path in _SELECTABLE[kind.name]],
        "schema": {"openAPIV3Schema": _root(kind)},
    }


def _root(kind: Kind) -> Schema:
    spec = structural(kind.spec)
    # no defaults in it: what the operator leaves out must stay out, or it would see a difference for ever
    status = structural(kind.status, defaults=False)
    # so that kubectl wait and kstatus see "not yet reconciled" before the operator has seen the object
    status["default"] = {"observedGeneration": -1}
    return {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{kind.name}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
        "x-kubernetes-validations": [rule.as_validation() for rule in kind.rules],
    }


def structural(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """Return the structural schema of `model`, with its scalar defaults or with none."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(schema, schema.get("$defs", {}), defaults=defaults)


def _convert(node: Schema, definitions: Mapping[str, Schema], *, defaults: bool) -> Schema:
    """Return `node` with references inlined and everything that is not structural taken out."""
    node = _flat(node, definitions)
    out = {key: value for key, value in node.items() if key not in _DROPPED}
    if not defaults or not isinstance(node.get("default"), str | int | bool):
        out.pop("default", None)
    if "const" in node:
        out["enum"] = [node["const"]]
    if node.get("type") == "integer":
        out["format"] = "int64"
    if "properties" in node:
        out["properties"] = {
            name: _convert(child, definitions, defaults=defaults) for name, child in node["properties"].items()
        }
    elif isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = _convert(node["additionalProperties"], definitions, defaults=False)
    if "items" in node:
        out["items"] = _convert(node["items"], definitions, defaults=False)
        out.setdefault("x-kubernetes-list-type", "atomic")
    return out


def _flat(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return `node` with its reference, and its union with null, resolved; what stands beside them wins."""
    beside = {key: value for key, value in node.items() if key not in {"$ref", "anyOf"}}
    if "$ref" in node:
        return {**_flat(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions), **beside}
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        (only,) = (one for one in node["anyOf"] if one.get("type") != "null")
        return {**_flat(only, definitions), **beside}
    return node

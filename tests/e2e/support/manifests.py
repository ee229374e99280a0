"""The resources that the stories apply: what a user would write, shortened by what all stories have in common."""

from typing import Any, Final

from tests.e2e.support.databases import ENGINES
from tests.e2e.support.space import API, Manifest

#: Small requests: many Jobs at once must fit on a machine with two cores.
RESOURCES: Final = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}}
NEVER: Final = "0 0 1 1 *"


def secret(name: str, **values: str) -> Manifest:
    """Return a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def claim(name: str = "backups", size: str = "1Gi", storage_class: str | None = None) -> Manifest:
    """Return a claim; of the default class, or of `small`, whose volumes are really full when they are."""
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def instance(
    name: str,
    product: str,
    *include: str,
    host: str | None = None,
    credentials: dict[str, Any] | None = None,
    storage: dict[str, Any] | None = None,
    job: dict[str, Any] | None = None,
    **spec: Any,
) -> Manifest:
    """Return a BackupInstance of one of the shared servers; its Secret is called like the server."""
    engine = ENGINES[product]
    return _object(
        "BackupInstance",
        name,
        {
            "engine": engine.kind,
            "host": host or engine.host,
            "databases": {"include": list(include) or ["*"]},
            "credentials": {"secretRef": {"name": product}, "encoding": "Plain", **(credentials or {})},
            "storage": {"persistentVolumeClaim": {"claimName": "backups"}, **(storage or {})},
            "job": {"resources": RESOURCES, **(job or {})},
            **spec,
        },
    )


def schedule(name: str, instance_name: str, *, cron: str = NEVER, **spec: Any) -> Manifest:
    """Return a BackupSchedule that comes due on New Year's Day, unless it is told otherwise."""
    retention = {"schedule": NEVER, **spec.pop("retention", {})}
    return _object(
        "BackupSchedule",
        name,
        {"instanceRef": {"name": instance_name}, "schedule": cron, "retention": retention, **spec},
    )


def restore(name: str, instance_name: str, database: str, *, backup: str = "latest", to: str | None = None) -> Manifest:
    """Return a RestoreRequest."""
    source = {"instanceRef": {"name": instance_name}, "database": database, "backup": backup}
    return _object("RestoreRequest", name, {"source": source, **({"target": {"database": to}} if to else {})})


def _object(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}

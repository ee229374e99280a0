"""A stage for the reconciler: the fake API server, a clock that a test moves, and controllers that a test plays."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.contract.fake import FakeGateway

from vya_backupdb.builders.jobs import JobSettings
from vya_backupdb.kube.gateway import (
    CLAIMS,
    CRONJOBS,
    EVENTS,
    INSTANCES,
    JOBS,
    PODS,
    RESTORES,
    SCHEDULES,
    Manifest,
    ResourceType,
)
from vya_backupdb.reconcile.conditions import find, timestamp
from vya_backupdb.reconcile.reconciler import Reconciler
from vya_backupdb.reconcile.world import Decision, Key, Kind

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAMESPACE = "team"
INSTANCE = Key(Kind.INSTANCE, NAMESPACE, "shop")
SCHEDULE = Key(Kind.SCHEDULE, NAMESPACE, "nightly")
RESTORE = Key(Kind.RESTORE, NAMESPACE, "back")
TYPES: Mapping[Kind, ResourceType] = {Kind.INSTANCE: INSTANCES, Kind.SCHEDULE: SCHEDULES, Kind.RESTORE: RESTORES}

INSTANCE_SPEC: dict[str, Any] = {
    "engine": "PostgreSQL",
    "host": "db.team.svc",
    "credentials": {"secretRef": {"name": "db"}, "encoding": "Plain"},
    "storage": {"persistentVolumeClaim": {"claimName": "backups"}},
}
SCHEDULE_SPEC: dict[str, Any] = {"instanceRef": {"name": "shop"}, "schedule": "30 2 * * *"}
RESTORE_SPEC: dict[str, Any] = {"source": {"instanceRef": {"name": "shop"}, "database": "orders", "backup": "latest"}}
SPECS = {Kind.INSTANCE: INSTANCE_SPEC, Kind.SCHEDULE: SCHEDULE_SPEC, Kind.RESTORE: RESTORE_SPEC}


def report(run: str, **changes: Any) -> str:
    """Return a termination message of `run`: a success that knows the server, unless `changes` say otherwise."""
    base = {
        "operation": "backup",
        "run": run,
        "reason": "Succeeded",
        "message": "3 databases backed up",
        "exit_code": 0,
        "started_at": "2026-11-22T12:00:00Z",
        "finished_at": "2026-11-22T12:00:30Z",
        "server": {"product": "PostgreSQL", "version": "17.2", "databases": 3},
        "storage": {"free_bytes": 5_000_000, "total_bytes": 10_000_000},
    }
    return json.dumps(base | changes)


@dataclass
class Stage:
    """One cluster in memory and one operator in it."""

    now: datetime = START
    gateway: FakeGateway = field(init=False)
    reconciler: Reconciler = field(init=False)

    def __post_init__(self) -> None:
        self.gateway = FakeGateway(lambda: self.now)
        settings = JobSettings(dumper_image="dumper:1")
        self.reconciler = Reconciler(self.gateway, settings, lambda: self.now)

    def later(self, **delta: float) -> None:
        """Move the clock."""
        self.now += timedelta(**delta)

    def user(self, key: Key, **spec: Any) -> Manifest:
        """Play `kubectl apply`: the usual spec of this kind with `spec` merged into it."""
        manifest = {"metadata": {"namespace": key.namespace, "name": key.name}, "spec": {**SPECS[key.kind], **spec}}
        return self.gateway.put(TYPES[key.kind], manifest)

    def claim(self, *modes: str) -> None:
        """Play the volume."""
        meta = {"namespace": NAMESPACE, "name": "backups"}
        self.gateway.put(CLAIMS, {"metadata": meta, "spec": {"accessModes": list(modes)}})

    async def reconcile(self, key: Key) -> Decision:
        """Reconcile once."""
        return await self.reconciler.reconcile(key)

    def status(self, key: Key) -> dict[str, Any]:
        """Return the object's status."""
        one = self.gateway.objects[TYPES[key.kind].kind, key.namespace, key.name]
        return dict(one.get("status") or {})

    def write_status(self, key: Key, fields: Mapping[str, Any]) -> None:
        """Play somebody who writes into the object's status."""
        one = self.gateway.objects[TYPES[key.kind].kind, key.namespace, key.name]
        self.gateway.put(TYPES[key.kind], {**one, "status": {**one.get("status", {}), **fields}})

    def condition(self, key: Key, type_: str) -> tuple[str, str] | None:
        """Return status and reason of a condition, or None."""
        one = find(self.status(key), type_)
        return (str(one["status"]), str(one["reason"])) if one else None

    def names(self, type_: ResourceType) -> list[str]:
        """Return the names of all objects of a type."""
        return sorted(name for kind, _, name in self.gateway.objects if kind == type_.kind)

    def events(self) -> list[str]:
        """Return the reasons of the Events on users' objects."""
        found = [one for (kind, *_), one in self.gateway.objects.items() if kind == EVENTS.kind]
        return sorted(one["reason"] for one in found if "source" in one)

    def pod(self, job: str, state: Mapping[str, Any], *, phase: str = "Running", **status: Any) -> Manifest:
        """Play the kubelet: the pod of `job` with this container state."""
        owner = self.gateway.objects[JOBS.kind, NAMESPACE, job]
        count = sum(kind == PODS.kind and name.startswith(f"{job}-") for kind, _, name in self.gateway.objects)
        meta = {
            "namespace": NAMESPACE,
            "name": f"{job}-{status.pop('number', count)}",
            "labels": {"batch.kubernetes.io/job-name": job},
            "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True, "kind": "Job", "name": job}],
        }
        containers = [{"name": "dumper", "state": dict(state)}]
        return self.gateway.put(
            PODS, {"metadata": meta, "status": {"phase": phase, "containerStatuses": containers, **status}}
        )

    def end(self, job: str, message: str | None = None, *, code: int = 0, reason: str = "", why: str = "") -> None:
        """Play pod and Job controller: the run of `job` ends with this message and exit code."""
        ended = {"exitCode": code, "finishedAt": timestamp(self.now), "reason": reason or "Completed"}
        self.pod(job, {"terminated": ended | ({"message": message} if message else {})}, phase="Succeeded")
        self.finish(job, complete=code == 0, why=why)

    def finish(self, job: str, *, complete: bool, why: str = "") -> None:
        """Play the Job controller alone."""
        moment = timestamp(self.now)
        condition = {
            "type": "Complete" if complete else "Failed",
            "status": "True",
            "reason": why or ("CompletionsReached" if complete else "BackoffLimitExceeded"),
            "lastTransitionTime": moment,
        }
        one = self.gateway.objects[JOBS.kind, NAMESPACE, job]
        started = one.get("status", {}).get("startTime") or one["metadata"]["creationTimestamp"]
        status = {"startTime": started, "conditions": [condition]} | ({"completionTime": moment} if complete else {})
        self.gateway.put(JOBS, {**one, "status": status})

    def cron(self, cronjob: str, slot: datetime | str) -> str:
        """Play the CronJob controller (or, with a name for `slot`, a user's `kubectl create job --from`)."""
        parent = self.gateway.objects[CRONJOBS.kind, NAMESPACE, cronjob]
        name = slot if isinstance(slot, str) else f"{cronjob}-{int(slot.timestamp()) // 60}"
        template = parent["spec"]["jobTemplate"]
        owner = {"uid": parent["metadata"]["uid"], "controller": True, "kind": "CronJob", "name": cronjob}
        meta = {**template["metadata"], "namespace": NAMESPACE, "name": name, "ownerReferences": [owner]}
        self.gateway.put(JOBS, {"metadata": meta, "spec": template["spec"]})
        if isinstance(slot, datetime):
            self.gateway.put(CRONJOBS, {**parent, "status": {"lastScheduleTime": timestamp(slot)}})
        return name

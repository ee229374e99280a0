"""An API server in memory, as far as the Gateway's contract goes; the same suite holds it to the real one.

What it has: uids, resource versions that move only on a change, generations, preconditions, server-side apply of one
manager, cascading deletion by controller. What it lacks: schemas, admission, watches, and the controllers; a test plays
those by `put`.
"""

import copy
import itertools
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from vya_backupdb.kube.errors import AlreadyExists, Conflict, NotFound, Rejected
from vya_backupdb.kube.gateway import CRONJOBS, EVENTS, FIELD_MANAGER, TYPES, Manifest, ResourceType
from vya_backupdb.reconcile.conditions import timestamp

Address = tuple[str, str, str]


class FakeGateway:
    """Keeps objects by kind, namespace and name. `clock` stamps them; `writes` counts what changed something."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.objects: dict[Address, Manifest] = {}
        self.writes: list[str] = []
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda call: None
        self._clock = clock
        self._applied: dict[str, Manifest] = {}
        self._version = itertools.count(1)
        self._uid = itertools.count(1)

    async def get(self, type_: ResourceType, namespace: str, name: str) -> Manifest:
        """Return a copy, as a wire would."""
        self._call(f"get {type_.plural}/{name}")
        return copy.deepcopy(self._there(type_, namespace, name))

    async def find(self, type_: ResourceType, namespace: str | None, labels: Mapping[str, str]) -> list[Manifest]:
        """Return copies of what carries all `labels`."""
        self._call(f"list {type_.plural}")
        return [
            copy.deepcopy(one)
            for (kind, where, _), one in sorted(self.objects.items())
            if kind == type_.kind
            and namespace in (None, where)
            and labels.items() <= (one["metadata"].get("labels") or {}).items()
        ]

    async def events_about(self, namespace: str, uid: str) -> list[Manifest]:
        """Return the Events about `uid`."""
        return [one for one in await self.find(EVENTS, namespace, {}) if one["involvedObject"].get("uid") == uid]

    async def create(self, type_: ResourceType, manifest: Manifest) -> Manifest:
        """Store a new object."""
        meta = manifest["metadata"]
        self._call(f"create {type_.plural}/{meta['name']}")
        if (type_.kind, meta["namespace"], meta["name"]) in self.objects:
            raise AlreadyExists(f"{type_.plural} {meta['name']!r} already exists")
        return self._store(type_, {**manifest, "status": {}} if type_ in TYPES[:3] else manifest)

    async def apply(self, type_: ResourceType, manifest: Manifest, *, uid: str | None) -> Manifest:
        """Merge what is applied, and take out what was applied before and is no more."""
        meta = manifest["metadata"]
        self._call(f"apply {type_.plural}/{meta['name']}")
        old = self.objects.get((type_.kind, meta["namespace"], meta["name"]))
        if old is None:
            if uid is not None:
                raise Conflict(f"{type_.plural} {meta['name']!r}: uid mismatch: the object does not exist")
            stored = self._store(type_, manifest)
        else:
            if uid not in (None, old["metadata"]["uid"]):
                raise Conflict(f"{type_.plural} {meta['name']!r}: uid mismatch")
            before = self._applied.get(old["metadata"]["uid"], {})
            stored = self._change(old, _merged(_without(old, before, manifest), manifest), f"apply {type_.plural}")
        self._applied[stored["metadata"]["uid"]] = copy.deepcopy(manifest)
        if old is None or stored["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
            entry = {"manager": FIELD_MANAGER, "operation": "Apply", "time": timestamp(self._clock())}
            self._there(type_, meta["namespace"], meta["name"])["metadata"]["managedFields"] = [entry]
        return stored

    async def suspend(self, namespace: str, name: str, *, uid: str) -> None:
        """Set ``spec.suspend``."""
        self._call(f"suspend cronjobs/{name}")
        old = self._there(CRONJOBS, namespace, name)
        if old["metadata"]["uid"] != uid:
            raise Conflict(f"cronjobs {name!r}: uid mismatch")
        self._change(old, self._signed(_merged(old, {"spec": {"suspend": True}}), FIELD_MANAGER), "suspend cronjobs")

    async def replace_status(self, type_: ResourceType, manifest: Manifest, status: Mapping[str, Any]) -> Manifest:
        """Replace the status if the object is as it was read."""
        meta = manifest["metadata"]
        self._call(f"status {type_.plural}/{meta['name']}")
        old = self._there(type_, meta["namespace"], meta["name"])
        if (old["metadata"]["resourceVersion"], old["metadata"]["uid"]) != (meta["resourceVersion"], meta["uid"]):
            raise Conflict(f"{type_.plural} {meta['name']!r}: the object has been modified")
        if not status and not old.get("status"):
            return copy.deepcopy(old)
        return self._change(old, {**old, "status": dict(status)}, f"status {type_.plural}")

    async def delete(self, type_: ResourceType, namespace: str, name: str, *, uid: str) -> None:
        """Delete by uid, with what it controls."""
        self._call(f"delete {type_.plural}/{name}")
        old = self.objects.get((type_.kind, namespace, name))
        if old is not None and old["metadata"]["uid"] == uid:
            self.remove(type_, namespace, name)

    def put(self, type_: ResourceType, manifest: Manifest) -> Manifest:
        """Play a user or a controller: create or replace at once, past every precondition."""
        meta = manifest["metadata"]
        old = self.objects.get((type_.kind, meta["namespace"], meta["name"]))
        if old is None:
            return self._store(type_, manifest)
        changed = {**old, **manifest, "metadata": {**old["metadata"], **meta}}
        if type_ is CRONJOBS and changed.get("spec") != old.get("spec"):
            changed = self._signed(changed, "user")
        return self._change(old, changed, None)

    def remove(self, type_: ResourceType, namespace: str, name: str) -> None:
        """Play the deletion of an object and the garbage collector after it."""
        gone = self.objects.pop((type_.kind, namespace, name), None)
        self.writes.append(f"delete {type_.plural}")
        for (kind, where, child), one in list(self.objects.items()):
            owners = one["metadata"].get("ownerReferences") or ()
            if gone and any(owner["uid"] == gone["metadata"]["uid"] for owner in owners) and where == namespace:
                self.remove(next(type_ for type_ in TYPES if type_.kind == kind), where, child)

    def collect(self) -> None:
        """Play the garbage collector: what names a controller that is gone goes too."""
        alive = {one["metadata"]["uid"] for one in self.objects.values()}
        for (kind, where, name), one in list(self.objects.items()):
            owners = one["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] not in alive for owner in owners):
                self.remove(next(type_ for type_ in TYPES if type_.kind == kind), where, name)

    def _signed(self, manifest: Manifest, manager: str) -> Manifest:
        """Return `manifest` with the account of an update by `manager`."""
        meta = manifest["metadata"]
        entry = {"manager": manager, "operation": "Update", "time": timestamp(self._clock())}
        return {**manifest, "metadata": {**meta, "managedFields": [*meta.get("managedFields", ()), entry]}}

    def _call(self, what: str) -> None:
        self.calls.append(what)
        self.before(what)

    def _there(self, type_: ResourceType, namespace: str, name: str) -> Manifest:
        found = self.objects.get((type_.kind, namespace, name))
        if found is None:
            raise NotFound(f"{type_.plural} {name!r} not found")
        return found

    def _store(self, type_: ResourceType, manifest: Manifest) -> Manifest:
        meta = manifest["metadata"]
        if type_.plural == "jobs" and "template" not in manifest.get("spec", {}):
            raise Rejected("spec.template: required value")
        server = {
            "uid": f"uid-{next(self._uid)}",
            "resourceVersion": str(next(self._version)),
            "generation": 1,
            "creationTimestamp": timestamp(self._clock()),
        }
        kind = {"apiVersion": type_.api_version, "kind": type_.kind}
        stored = copy.deepcopy({**kind, **manifest, "metadata": {**server, **meta}})
        self.objects[type_.kind, meta["namespace"], meta["name"]] = stored
        self.writes.append(f"create {type_.plural}")
        return copy.deepcopy(stored)

    def _change(self, old: Manifest, new: Manifest, what: str | None) -> Manifest:
        meta = old["metadata"]
        if new != old:
            changed = copy.deepcopy(new)
            generation = meta["generation"] + (1 if new.get("spec") != old.get("spec") else 0)
            changed["metadata"] |= {"resourceVersion": str(next(self._version)), "generation": generation}
            self.objects[old["kind"], meta["namespace"], meta["name"]] = changed
            if what:
                self.writes.append(what)
        return copy.deepcopy(self.objects[old["kind"], meta["namespace"], meta["name"]])


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return copy.deepcopy(new)
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def _without(current: Any, before: Any, after: Any) -> Any:
    """Return `current` without the leaves that `before` applied and `after` does not."""
    if not isinstance(current, Mapping) or not isinstance(before, Mapping):
        return current
    rest = after if isinstance(after, Mapping) else {}
    dropped = {key for key in before if key not in rest and not isinstance(before[key], Mapping)}
    return {
        key: _without(value, before.get(key), rest.get(key)) if isinstance(before.get(key), Mapping) else value
        for key, value in current.items()
        if key not in dropped
    }

"""What the operator asks of the API server, and the right that each question needs.

Few verbs, each with one meaning: `create` never patches, `apply` is server-side and complete, `replace_status` fails
with `Conflict` unless the object is the one that was read. There is no method for Secrets, pod logs or exec, so that
neither a bug nor a hostile spec can make the operator use them.

`RULES` is the whole of the operator's RBAC as data: the chart's role is held to it by a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from vya_backupdb.domain.specs import GROUP, VERSION

Manifest = dict[str, Any]

FIELD_MANAGER: Final = "vya-backupdb"
PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource as its address has it; every one of ours is namespaced."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


INSTANCES = ResourceType(GROUP, VERSION, "BackupInstance", "backupinstances")
SCHEDULES = ResourceType(GROUP, VERSION, "BackupSchedule", "backupschedules")
RESTORES = ResourceType(GROUP, VERSION, "RestoreRequest", "restorerequests")
JOBS = ResourceType("batch", "v1", "Job", "jobs")
CRONJOBS = ResourceType("batch", "v1", "CronJob", "cronjobs")
PODS = ResourceType("", "v1", "Pod", "pods")
EVENTS = ResourceType("", "v1", "Event", "events")
CLAIMS = ResourceType("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
TYPES: Final = (INSTANCES, SCHEDULES, RESTORES, JOBS, CRONJOBS, PODS, EVENTS, CLAIMS)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the role: `why` names what would not work without it."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str


RULES: Final = (
    Rule(
        GROUP,
        ("backupinstances", "backupschedules", "restorerequests"),
        ("get", "list", "watch"),
        "reading what users ask for; never writing it",
    ),
    Rule(
        GROUP,
        ("backupinstances/status", "backupschedules/status", "restorerequests/status"),
        ("update",),
        "telling what came of it",
    ),
    Rule("batch", ("jobs",), ("get", "list", "watch", "create", "delete"), "checks, manual backups, restores"),
    Rule("batch", ("cronjobs",), ("get", "list", "watch", "create", "patch", "delete"), "backup and retention"),
    Rule("", ("pods",), ("list", "watch"), "reading how a run ended, or why it does not begin"),
    Rule("", ("events",), ("list", "create"), "why a pod does not begin; telling of transitions"),
    Rule("", ("persistentvolumeclaims",), ("get",), "whether a volume may be on several nodes"),
)


class Gateway(Protocol):
    """The API server. Every method may raise a `kube.errors.KubernetesError`."""

    async def get(self, type_: ResourceType, namespace: str, name: str) -> Manifest:
        """Return the object (a live read, never a cache's). Raise NotFound."""

    async def find(self, type_: ResourceType, namespace: str | None, labels: Mapping[str, str]) -> list[Manifest]:
        """Return the objects that carry all `labels`, of one namespace or (None) of all; an empty map takes any."""

    async def events_about(self, namespace: str, uid: str) -> list[Manifest]:
        """Return the Events whose involved object has this `uid`."""

    async def create(self, type_: ResourceType, manifest: Manifest) -> Manifest:
        """Create the object. Raise AlreadyExists if its name is taken."""

    async def apply(self, type_: ResourceType, manifest: Manifest, *, uid: str | None) -> Manifest:
        """Server-side apply the complete `manifest`. Raise Conflict if the object of that name has another `uid`."""

    async def suspend(self, namespace: str, name: str, *, uid: str) -> None:
        """Set a CronJob's ``spec.suspend`` and nothing else. Raise NotFound, or Conflict for another `uid`."""

    async def replace_status(self, type_: ResourceType, manifest: Manifest, status: Mapping[str, Any]) -> Manifest:
        """Give the object in `manifest` (as it was read) this whole `status`. Raise Conflict if it changed since.

        An equal status is not a write, but is checked all the same: a fence against acting on an old reading.
        """

    async def delete(self, type_: ResourceType, namespace: str, name: str, *, uid: str) -> None:
        """Delete the object of this `uid` and, in the background, what it owns. What is gone already is well."""

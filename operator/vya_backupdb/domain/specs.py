"""The three kinds: what of an object of theirs the operator uses, and the one place that reads it.

The API server has validated an object by the schema that stood when it was written; it is validated again here, because
that may have been an older schema. What does not fit is a `SpecProblem`: data for a condition, never an exception.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from vya_backupdb.domain.faults import explain
from vya_backupdb.domain.ids import PREFIX, restore_claim
from vya_backupdb.domain.specs_base import Model, Rule, Status
from vya_backupdb.domain.specs_instance import DATABASE_ID_RULE, InstanceSpec, InstanceStatus
from vya_backupdb.domain.specs_restore import RestoreSpec, RestoreStatus, restore_identity
from vya_backupdb.domain.specs_schedule import ScheduleSpec, ScheduleStatus

GROUP = PREFIX
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
MAX_NAME = 63

S = TypeVar("S", bound=Model)

NAME_RULE = Rule(
    cel="size(self.metadata.name) <= 63 && !self.metadata.name.contains('.')",
    message="metadata.name must be at most 63 characters without '.', because Jobs and directories are named after it",
    holds=lambda name: len(name) <= MAX_NAME and "." not in name,
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who an object is. `status` is what the API server holds, unread: it may be an older operator's."""

    kind: ClassVar[str] = ""
    namespace: str
    name: str
    uid: str
    generation: int
    labels: Mapping[str, str] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    deleting: bool = False


@dataclass(frozen=True, kw_only=True)
class SpecProblem(Identity):
    """An object whose spec does not fit. `message` names each field and what to write instead.

    `suspend` says whether the spec asks for rest all the same: nothing else of it is believed.
    """

    of_kind: str
    message: str
    suspend: bool = False


@dataclass(frozen=True, kw_only=True)
class Resource(Identity, Generic[S]):
    """An object whose spec fits."""

    spec: S


@dataclass(frozen=True, kw_only=True)
class BackupInstance(Resource[InstanceSpec]):
    """A database server and the place of its backups."""

    kind: ClassVar[str] = "BackupInstance"

    @property
    def database_id(self) -> str:
        """The instance's name in the tree."""
        return self.spec.storage.database_id or self.name


@dataclass(frozen=True, kw_only=True)
class BackupSchedule(Resource[ScheduleSpec]):
    """When an instance is backed up, and what is kept."""

    kind: ClassVar[str] = "BackupSchedule"


@dataclass(frozen=True, kw_only=True)
class RestoreRequest(Resource[RestoreSpec]):
    """One restore, once."""

    kind: ClassVar[str] = "RestoreRequest"

    @property
    def claim(self) -> str:
        """The name of this request's entry in the ledger on the volume."""
        return restore_claim(self.namespace, self.name, restore_identity(self.spec))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind as the API server and kubectl know it."""

    name: str
    plural: str
    short: str
    description: str
    spec: type[Model]
    status: type[Status]
    rules: tuple[Rule, ...]


INSTANCE = Kind(
    name="BackupInstance",
    plural="backupinstances",
    short="bki",
    description="A database server whose databases are backed up, the account to do it with, and the volume for it.",
    spec=InstanceSpec,
    status=InstanceStatus,
    rules=(NAME_RULE, DATABASE_ID_RULE),
)
SCHEDULE = Kind(
    name="BackupSchedule",
    plural="backupschedules",
    short="bks",
    description="When a BackupInstance is backed up, and which of the backups are kept.",
    spec=ScheduleSpec,
    status=ScheduleStatus,
    rules=(NAME_RULE,),
)
RESTORE = Kind(
    name="RestoreRequest",
    plural="restorerequests",
    short="rr",
    description="One restore of one database. It runs once, also when the object is deleted and made again.",
    spec=RestoreSpec,
    status=RestoreStatus,
    rules=(NAME_RULE,),
)
KINDS = (INSTANCE, SCHEDULE, RESTORE)


class _Envelope(BaseModel, Generic[S]):
    """Gives each error its path from the object's root."""

    model_config = ConfigDict(extra="ignore")

    spec: S


def parse_instance(obj: Mapping[str, Any]) -> BackupInstance | SpecProblem:
    """Return the BackupInstance in `obj`, as the API server sends it, or what is wrong with it."""
    spec = _spec(obj, InstanceSpec)
    return BackupInstance(**_identity(obj), spec=spec) if isinstance(spec, InstanceSpec) else _problem(obj, spec)


def parse_schedule(obj: Mapping[str, Any]) -> BackupSchedule | SpecProblem:
    """Return the BackupSchedule in `obj`, as the API server sends it, or what is wrong with it."""
    spec = _spec(obj, ScheduleSpec)
    return BackupSchedule(**_identity(obj), spec=spec) if isinstance(spec, ScheduleSpec) else _problem(obj, spec)


def parse_restore(obj: Mapping[str, Any]) -> RestoreRequest | SpecProblem:
    """Return the RestoreRequest in `obj`, as the API server sends it, or what is wrong with it."""
    spec = _spec(obj, RestoreSpec)
    return RestoreRequest(**_identity(obj), spec=spec) if isinstance(spec, RestoreSpec) else _problem(obj, spec)


def parse(obj: Mapping[str, Any]) -> BackupInstance | BackupSchedule | RestoreRequest | SpecProblem:
    """Return the object in `obj` by its ``kind``; a kind that is not ours is a `SpecProblem`."""
    kind = obj.get("kind")
    if kind == INSTANCE.name:
        return parse_instance(obj)
    if kind == SCHEDULE.name:
        return parse_schedule(obj)
    if kind == RESTORE.name:
        return parse_restore(obj)
    return _problem(obj, f"kind {kind!r} is none of {', '.join(one.name for one in KINDS)}")


def _identity(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = obj.get("metadata") or {}
    return {
        "namespace": metadata.get("namespace") or "default",
        "name": metadata.get("name") or "",
        "uid": metadata.get("uid") or "",
        "generation": metadata.get("generation") or 0,
        "labels": dict(metadata.get("labels") or {}),
        "status": dict(obj.get("status") or {}),
        "deleting": metadata.get("deletionTimestamp") is not None,
    }


def _problem(obj: Mapping[str, Any], message: str) -> SpecProblem:
    spec = obj.get("spec")
    suspend = isinstance(spec, Mapping) and spec.get("suspend") is True
    return SpecProblem(**_identity(obj), of_kind=str(obj.get("kind")), message=message, suspend=suspend)


def _spec(obj: Mapping[str, Any], model: type[S]) -> S | str:
    """Return the spec, or one line for each fault.

    By way of JSON and strictly: pydantic's lax mode takes "5" for 5, the API server does not.
    """
    if not NAME_RULE.holds(_identity(obj)["name"]):
        return NAME_RULE.message
    text = json.dumps({"spec": obj.get("spec")} if "spec" in obj else {}, default=str)
    try:
        return _Envelope[model].model_validate_json(text, strict=True).spec  # type: ignore[valid-type]
    except ValidationError as error:
        return explain(error)

"""Labels and owners of what the operator makes. The labels are how it finds its own again, so they are never changed.

Nothing of the parent's own labels or annotations is copied: Argo CD would prune a child that carries its parent's
tracking label (kube-arangodb#1260).
"""

import re
from enum import StrEnum
from typing import Any, Final

from vya_backupdb.domain.ids import PREFIX, digest
from vya_backupdb.domain.specs import API_VERSION, Identity

APP: Final = "vya-backupdb"
INSTANCE: Final = f"{PREFIX}/instance"
SCHEDULE: Final = f"{PREFIX}/schedule"
RESTORE_REQUEST: Final = f"{PREFIX}/restore-request"
ROLE: Final = f"{PREFIX}/role"
CLAIM: Final = f"{PREFIX}/claim"
#: Annotation of a Job: the value of ``spec.manualTrigger`` that it answers.
MANUAL_TRIGGER: Final = f"{PREFIX}/manual-trigger"
#: Annotation of a pod: the dumper's whole configuration.
CONFIG: Final = f"{PREFIX}/config"
#: How the container of each of our pods is called.
CONTAINER: Final = "dumper"
JOB_NAME: Final = "batch.kubernetes.io/job-name"
JOB_UID: Final = "batch.kubernetes.io/controller-uid"

_MAX_VALUE: Final = 63
_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


class Role(StrEnum):
    """What a Job is for."""

    BACKUP = "backup"
    RETENTION = "retention"
    CHECK = "check"
    RESTORE = "restore"


def label_value(text: str) -> str:
    """Return `text` where it can be a label's value; else its plain part, cut, with a hash of the whole."""
    if _VALUE.fullmatch(text):
        return text
    tail = f"-{digest(text, 8)}"
    head = re.sub(r"[^-A-Za-z0-9_.]", "-", text)[: _MAX_VALUE - len(tail)].strip("-_.")
    return f"{head}{tail}" if head else tail[1:]


def labels(
    role: Role, *, instance: str, claim: str, schedule: str | None = None, request: str | None = None
) -> dict[str, str]:
    """Return the labels of a Job and its pod, given the names of what it belongs to."""
    ours = {
        "app.kubernetes.io/name": APP,
        "app.kubernetes.io/component": role.value,
        "app.kubernetes.io/managed-by": f"{APP}-operator",
        ROLE: role.value,
        INSTANCE: label_value(instance),
        CLAIM: label_value(claim),
    }
    if schedule is not None:
        ours[SCHEDULE] = label_value(schedule)
    if request is not None:
        ours[RESTORE_REQUEST] = label_value(request)
    return ours


def owner(parent: Identity) -> list[dict[str, Any]]:
    """Return the ``ownerReferences`` of a child of `parent`.

    Without ``blockOwnerDeletion``: setting it needs a right on the parent's finalizers that the operator does not have.
    """
    return [
        {
            "apiVersion": API_VERSION,
            "kind": parent.kind,
            "name": parent.name,
            "uid": parent.uid,
            "controller": True,
        }
    ]

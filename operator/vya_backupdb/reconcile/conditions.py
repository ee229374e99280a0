"""Conditions as a list-map by type: set, kept and removed without churn.

``lastTransitionTime`` moves only when ``status`` does, as the API conventions ask; a condition that is equal in all
else is the same object as before, so that an unchanged world makes an unchanged status. ``Reconciling`` and
``Stalled`` are abnormal-true (kstatus): they stand only while they are true, and clear by being left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MESSAGE_CHARACTERS = 1024  # a condition's message may hold 32 Ki; a person reads one sentence

Condition = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A condition to be: `status` True, False, or None for Unknown."""

    type: str
    status: bool | None
    reason: str
    message: str = ""


def timestamp(moment: datetime) -> str:
    """Return `moment` (aware) as Kubernetes writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: Any) -> datetime | None:
    """Return the aware moment in an RFC 3339 `text`, or None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def find(status: Mapping[str, Any], type_: str) -> Mapping[str, Any] | None:
    """Return the condition `type_` of `status`, or None."""
    return next((one for one in conditions_of(status) if one.get("type") == type_), None)


def is_true(status: Mapping[str, Any], type_: str) -> bool:
    """Whether condition `type_` stands and is True."""
    condition = find(status, type_)
    return condition is not None and condition.get("status") == "True"


def conditions_of(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the conditions of `status` that have a shape; a status is text from the cluster and may lack all."""
    listed = status.get("conditions")
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def since(status: Mapping[str, Any], type_: str) -> datetime | None:
    """Return when condition `type_` last changed its status, or None where it does not stand."""
    condition = find(status, type_)
    return parse_time(condition.get("lastTransitionTime")) if condition else None


def merge(
    status: Mapping[str, Any], wanted: Iterable[Wanted | None], *, generation: int, now: datetime
) -> list[Condition]:
    """Return exactly the `wanted` conditions, in their order, each keeping the time of its last real change."""
    return [_merged(find(status, one.type), one, generation=generation, now=now) for one in wanted if one is not None]


def _merged(old: Mapping[str, Any] | None, wanted: Wanted, *, generation: int, now: datetime) -> Condition:
    status = "Unknown" if wanted.status is None else str(wanted.status)
    kept = old.get("lastTransitionTime") if old is not None and old.get("status") == status else None
    return {
        "type": wanted.type,
        "status": status,
        "reason": wanted.reason,
        "message": _cut(wanted.message),
        "lastTransitionTime": kept or timestamp(now),
        "observedGeneration": generation,
    }


def keep(status: Mapping[str, Any], type_: str, otherwise: Wanted) -> Wanted:
    """Return condition `type_` as it stands in `status`, or `otherwise` where it does not stand."""
    old = find(status, type_)
    if old is None:
        return otherwise
    value = {"True": True, "False": False}.get(str(old.get("status")))
    return Wanted(type_, value, str(old.get("reason") or otherwise.reason), str(old.get("message") or ""))


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE_CHARACTERS else text[: MESSAGE_CHARACTERS - 1] + "…"

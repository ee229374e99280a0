"""The next status from the old one: complete, compact, and equal where nothing changed.

A status is replaced as a whole, so a field that is left out is gone. Empty values are left out, because the API server
would otherwise hold them apart from absent ones and every comparison would differ.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from vya_backupdb.domain.specs import SpecProblem
from vya_backupdb.reconcile.conditions import Wanted, conditions_of, find, keep, merge, since
from vya_backupdb.reconcile.reasons import PATIENCE, Reason, needs_person
from vya_backupdb.reconcile.world import SETTLED, Announcement, JobView, Status, Trouble


def compact(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return `fields` without None, empty texts, lists and maps; zero and False stay."""
    return {key: value for key, value in fields.items() if value not in (None, "", [], {}, ())}


def build(
    old: Status,
    fields: Mapping[str, Any],
    wanted: Iterable[Wanted | None],
    *,
    generation: int,
    now: datetime,
) -> dict[str, Any]:
    """Return a whole status: `fields`, the `wanted` conditions merged with those of `old`, and the generation."""
    conditions = merge(old, wanted, generation=generation, now=now)
    return {"observedGeneration": generation, "conditions": conditions, **compact(fields)}


def waiting(trouble: Trouble, start: datetime | None, *, now: datetime) -> tuple[Wanted, datetime | None]:
    """Return ``Stalled`` or ``Reconciling`` for `trouble` that began at `start`, and when the one becomes the other.

    What needs a person is stalled at once; the rest is in progress until it has lasted `PATIENCE`.
    """
    patient_until = (trouble.since or start or now) + PATIENCE
    if trouble.person or needs_person(trouble.reason) or now >= patient_until:
        return Wanted("Stalled", True, trouble.reason, trouble.message), None
    return Wanted("Reconciling", True, trouble.reason, trouble.message), patient_until


def holding(job: JobView, *, now: datetime) -> tuple[Trouble | None, datetime | None]:
    """Return what holds `job` up, and when that which has only just begun will count."""
    trouble = job.blocked
    if trouble is None or trouble.since is None:
        return trouble, None
    counts = trouble.since + SETTLED
    return (trouble, None) if now >= counts else (None, counts)


def failed(
    old: Status,
    new: Status,
    trouble: Trouble,
    summary: str,
    *,
    generation: int,
    now: datetime,
    untrue: bool = False,
) -> dict[str, Any]:
    """Return `new` with `trouble` of the operator's own work in it: a forbidden call, a stranger's name.

    The `summary` condition (Ready, Succeeded) stays as it is, since a call that failed says nothing about the database;
    `untrue` says that it does make it false.
    """
    known = [
        keep(new, str(one.get("type")), Wanted("", None, trouble.reason))
        for one in conditions_of(new)
        if one.get("type") not in ("Stalled", "Reconciling")
    ]
    if not any(one.type == summary for one in known):
        known.insert(0, Wanted(summary, None, trouble.reason, trouble.message))
    if untrue:
        known = [
            Wanted(summary, False, trouble.reason, trouble.message) if one.type == summary else one for one in known
        ]
    same = next((flag for flag in ("Stalled", "Reconciling") if _reason(old, flag) == trouble.reason), None)
    flag = Wanted("Stalled", True, trouble.reason, trouble.message)
    if same != "Stalled":
        flag = waiting(trouble, since(old, same) if same else now, now=now)[0]
    rest = {key: value for key, value in new.items() if key not in ("conditions", "observedGeneration")}
    return build(old, rest, [*known, flag], generation=generation, now=now)


def invalid(problem: SpecProblem, summary: Wanted, *, now: datetime) -> dict[str, Any]:
    """Return the status of an object whose spec does not fit: nothing is done for it until it is corrected."""
    status, message, generation = problem.status, problem.message, problem.generation
    rest = {key: value for key, value in status.items() if key not in ("conditions", "observedGeneration")}
    wanted = (
        summary,
        Wanted("Stalled", True, Reason.INVALID_SPEC, message),
    )
    return build(status, rest, wanted, generation=generation, now=now)


def transition(old: Status, new: Status, type_: str) -> bool | None:
    """Return the new value of condition `type_` if it has just become True or False, else None."""
    before, after = find(old, type_), find(new, type_)
    value = after.get("status") if after else None
    if value not in ("True", "False") or (before is not None and before.get("status") == value):
        return None
    return bool(value == "True")


def stalled(old: Status, new: Status) -> tuple[Announcement, ...]:
    """Return the Event for an object that has just become stalled."""
    condition = find(new, "Stalled")
    if condition is None or _reason(old, "Stalled") == condition["reason"]:
        return ()
    return (Announcement("Stalled", f"{condition['reason']}: {condition['message']}", warning=True),)


def earliest(*moments: datetime | None) -> datetime | None:
    """Return the first of the `moments` that are given."""
    return min((moment for moment in moments if moment is not None), default=None)


def later(moment: datetime, seconds: int) -> datetime:
    """Return `moment` and `seconds` more."""
    return moment + timedelta(seconds=seconds)


def _reason(status: Status, type_: str) -> str | None:
    condition = find(status, type_)
    return str(condition.get("reason")) if condition else None

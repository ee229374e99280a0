"""Why nothing may be deleted now, whatever the rules say: circumstances in which a plan cannot be trusted. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from vya_backupdb.domain.series import CLOCK_TOLERANCE, Backup


class FreezeCode(StrEnum):
    """Why nothing may be deleted. Not each is an error: an empty tree under a new schedule is none."""

    CLOCK_SKEW = "ClockSkew"
    RUN_FAILED = "RunFailed"
    TREE_EMPTY = "TreeEmpty"
    TREE_FOREIGN = "TreeForeign"
    SERVER_CHANGED = "ServerChanged"
    NOTES_DAMAGED = "NotesDamaged"
    TOO_MANY = "TooMany"


@dataclass(frozen=True, slots=True)
class Frozen:
    """A refusal to delete, as data: `reason` is half a sentence in lower case, `hint` the remedy."""

    code: FreezeCode
    reason: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else bears on a plan. `clock_skew` is the server's clock minus ours, None where it was not asked.

    `tree_owner` is the owner whom the tree names if it is not us; `server_changed` says that another server now answers
    behind the instance, and that nobody accepted it yet; `notes_problem` why the pins on the volume cannot be read.
    """

    clock_skew: timedelta | None = None
    run_failed: bool = False
    tree_owner: str | None = None
    server_changed: bool = False
    notes_problem: str = ""


def refusals(every: Iterable[Backup], circumstances: Circumstances) -> tuple[Frozen, ...]:
    """Return every reason why nothing of `every`, all backups of one instance, may be deleted now."""
    refused = []
    if circumstances.run_failed:
        refused.append(Frozen(FreezeCode.RUN_FAILED, "this run failed", "Mend the cause; the next good run expires."))
    if circumstances.tree_owner is not None:
        reason = f"the tree belongs to {circumstances.tree_owner}"
        refused.append(Frozen(FreezeCode.TREE_FOREIGN, reason, "Check the volume and the path of the instance."))
    elif not any(backup.good for backup in every):
        hint = "If there should be backups, check that the right volume is mounted."
        refused.append(Frozen(FreezeCode.TREE_EMPTY, "the tree holds no good backup", hint))
    if circumstances.notes_problem:
        hint = "Put the file back from a copy; without it nobody knows which backups are pinned."
        refused.append(Frozen(FreezeCode.NOTES_DAMAGED, circumstances.notes_problem, hint))
    if circumstances.server_changed:
        hint = "If this is meant, run 'vya-backupdb retention accept'."
        refused.append(Frozen(FreezeCode.SERVER_CHANGED, "another server answers behind this instance", hint))
    if circumstances.clock_skew is not None and abs(circumstances.clock_skew) > CLOCK_TOLERANCE:
        seconds = round(circumstances.clock_skew.total_seconds())
        reason = f"the database server's clock is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} this one"
        refused.append(Frozen(FreezeCode.CLOCK_SKEW, reason, "Set both clocks by NTP."))
    return tuple(refused)

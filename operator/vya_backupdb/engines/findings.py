"""What an engine finds before a dump, as `domain.report.Finding`s, each with its remedy; and what blocks it.

A dump that would lack something in silence, or that no restore could take, is not begun: two hours later it would be
the same dump, and look like a backup.
"""

from collections.abc import Sequence
from typing import Final

from vya_backupdb.domain.errors import BackupDBError, DumpFailed, PrivilegeMissing
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import Finding

PRIVILEGE: Final = ExitCode.PRIVILEGE_MISSING.reason
_TOLD: Final = 3


def obstacle(reason: str, message: str, remedy: str) -> Finding:
    """Return a finding that blocks; `remedy` is the statement that mends it."""
    return Finding(reason=reason, message=f"{message} ({remedy})", blocking=True)


def note(reason: str, message: str, remedy: str) -> Finding:
    """Return a finding that is a warning: the dump is complete all the same."""
    return Finding(reason=reason, message=f"{message} ({remedy})", blocking=False)


def require_dumpable(findings: Sequence[Finding]) -> None:
    """Raise PrivilegeMissing or DumpFailed with the first findings that block, if there are any."""
    blocking = [one for one in findings if one.blocking]
    if not blocking:
        return
    kind: type[BackupDBError] = PrivilegeMissing if blocking[0].reason == PRIVILEGE else DumpFailed
    more = f"; and {len(blocking) - _TOLD} more" if len(blocking) > _TOLD else ""
    raise kind(
        "; ".join(one.message for one in blocking[:_TOLD]) + more,
        hint="The backup would not be whole; 'vya-backupdb check' shows all that is in its way.",
    )


def warnings(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the sentences of those that do not block, for the metadata."""
    return tuple(one.message for one in findings if not one.blocking)


def names(found: Sequence[str], most: int = 10) -> str:
    """Return names for a message: at most `most`, and how many more."""
    shown = ", ".join(found[:most])
    return shown if len(found) <= most else f"{shown} and {len(found) - most} more"

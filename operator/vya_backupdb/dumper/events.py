"""What a run tells while it goes on, as data: the command line shows it, a Job's log keeps it as JSON lines.

A listener is called from several threads at once and must not raise: showing progress fails no backup.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from vya_backupdb.domain.report import DatabaseRow, RunReport

Kind = Literal["database", "users"]


class Step(StrEnum):
    """Where one database's backup, or a restore, stands."""

    LOCKING = "locking"
    DUMPING = "dumping"
    VERIFYING = "verifying"
    CREATING = "creating"
    LOADING = "loading"
    FINISHING = "finishing"
    COMPARING = "comparing"
    PLACING = "placing"


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began with these names to do ('' is the users file)."""

    run: str
    operation: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepStarted:
    """`name` entered `step`; `expected_bytes` (uncompressed) is what the last backup had, None where there is none."""

    name: str
    kind: Kind
    step: Step
    expected_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """So many bytes have passed in the present step: `raw_bytes` uncompressed, `file_bytes` compressed."""

    name: str
    kind: Kind
    raw_bytes: int
    file_bytes: int


@dataclass(frozen=True, slots=True)
class DatabaseEnded:
    """One database is done, well or not."""

    row: DatabaseRow


@dataclass(frozen=True, slots=True)
class Noted:
    """A sentence for a person: a warning, or what recovery found."""

    message: str
    name: str = ""
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is over; `report` is what is delivered."""

    report: RunReport


Event = RunStarted | StepStarted | Moved | DatabaseEnded | Noted | RunEnded
Listener = Callable[[Event], None]

_NAMES = {
    RunStarted: "run_started",
    StepStarted: "step_started",
    Moved: "progress",
    DatabaseEnded: "database_finished",
    Noted: "note",
    RunEnded: "run_finished",
}


def to_dict(event: Event, at: datetime) -> dict[str, Any]:
    """Return the event as plain JSON types with its name and `at`."""
    head: dict[str, Any] = {"time": at.isoformat(timespec="milliseconds"), "event": _NAMES[type(event)]}
    if isinstance(event, DatabaseEnded):
        return head | event.row.model_dump(mode="json", exclude_none=True)
    if isinstance(event, RunEnded):
        return head | {"report": event.report.model_dump(mode="json", exclude_none=True)}
    return head | {key: value for key, value in asdict(event).items() if value is not None}

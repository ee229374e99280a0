"""The ledger of restores: ``.restores/{claim}``, so that a RestoreRequest, made again from Git, does not run again.

An entry appears whole or not at all, is synced before its restore first touches the target, and is never removed by us.
The same Job (uid and run) may start again until the point of no return, and past it where the restore's journal tells
that the target is as it was (`ClaimState.revert`); anybody else is told what happened before.
A damaged entry counts as executed: rather not restore than restore twice.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from vya_backupdb.domain.errors import AlreadyExecuted
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.report import RunReport
from vya_backupdb.storage.faults import map_os_errors
from vya_backupdb.storage.volume import Directory

LIMIT_BYTES: Final = 1 << 20
_HINT: Final = "To restore again, make a RestoreRequest with another name."


class Phase(StrEnum):
    """How far a restore came. From `SWAPPING` on the target may be changed for good: only its journal can tell."""

    CLAIMED = "claimed"
    LOADING = "loading"
    SWAPPING = "swapping"
    DONE = "done"


_RESTARTABLE: Final = frozenset({Phase.CLAIMED, Phase.LOADING})


class Entry(BaseModel):
    """The file. `result` is the report of the restore that ended well."""

    model_config = ConfigDict(extra="allow", frozen=True)

    version: Literal[1] = 1
    claim: str
    uid: str
    run: str
    phase: Phase
    claimed_at: AwareDatetime
    result: RunReport | None = None


class ClaimState:
    """A claim that is ours. `is_restart` says that an earlier attempt of the same Job came as far as `phase`."""

    def __init__(self, ledger: "Ledger", entry: Entry, *, is_restart: bool) -> None:
        self._ledger = ledger
        self._entry = entry
        self.is_restart = is_restart

    @property
    def phase(self) -> Phase:
        """How far it came, as on the volume."""
        return self._entry.phase

    @property
    def result(self) -> RunReport | None:
        """The report, once it is done."""
        return self._entry.result

    def advance(self, phase: Phase | str) -> None:
        """Note, durably, that the restore now enters `phase`; call it before the deed. Phases only go forward."""
        wanted = Phase(phase)
        order = list(Phase)
        if order.index(wanted) < order.index(self._entry.phase):
            raise ValueError(f"a restore does not go from {self._entry.phase} back to {wanted}")
        self._save(self._entry.model_copy(update={"phase": wanted}))

    def revert(self) -> None:
        """Note, durably, that a swap was undone: the target is as it was, and the restore may start again."""
        if self._entry.phase is Phase.SWAPPING:
            self._save(self._entry.model_copy(update={"phase": Phase.LOADING}))

    def finish(self, result: RunReport) -> None:
        """Note, durably, that the restore is done, with its report."""
        self._save(self._entry.model_copy(update={"phase": Phase.DONE, "result": result}))

    def _save(self, entry: Entry) -> None:
        self._ledger.save(entry)
        self._entry = entry


class Ledger:
    """The entries of one instance. `open_directory` opens ``.restores``; `exclusively` holds the tree's lock.

    `file_name` gives the name of a claim's file.
    """

    def __init__(
        self,
        open_directory: Callable[..., AbstractContextManager[Directory]],
        exclusively: Callable[[], AbstractContextManager[object]],
        file_name: Callable[[str], str],
    ) -> None:
        self._open_directory = open_directory
        self._exclusively = exclusively
        self._file_name = file_name

    def claim(self, name: str, uid: str, run: RunId, *, now: datetime) -> ClaimState:
        """Claim `name` for the object `uid` and its Job `run`; call it just before the first touch of the target.

        Return the claim if it is new, or the same Job's own before the point of no return. Otherwise raise
        AlreadyExecuted, saying what happened before.
        """
        entry = Entry(claim=name, uid=uid, run=run, phase=Phase.CLAIMED, claimed_at=now)
        with (
            map_os_errors(f"claiming the restore {name}"),
            self._exclusively(),
            self._open_directory(create=True) as directory,
        ):
            file_name = self._file_name(name)
            if directory.stat(file_name) is None:
                directory.replace(file_name, _json(entry))
                return ClaimState(self, entry, is_restart=False)
            found = _read(directory, file_name)
        if found is None:
            raise AlreadyExecuted(f"the ledger's entry of the restore {name} is damaged: it may have run", hint=_HINT)
        if found.uid == uid and found.run == run and found.phase in _RESTARTABLE:
            return ClaimState(self, found, is_restart=True)
        raise AlreadyExecuted(_history(found, uid), hint=_HINT)

    def resume(self, name: str, uid: str, run: RunId) -> ClaimState | None:
        """Return the claim of this very Job, however far it came; None if there is none, or it is another's or done."""
        found = self.look_up(name)
        if found is None or (found.uid, found.run) != (uid, run) or found.phase is Phase.DONE:
            return None
        return ClaimState(self, found, is_restart=True)

    def look_up(self, name: str) -> Entry | None:
        """Return the entry of `name`, None if there is none. Raise AlreadyExecuted if it is damaged."""
        with map_os_errors(f"reading the restore {name}"):
            try:
                with self._open_directory() as directory:
                    if directory.stat(self._file_name(name)) is None:
                        return None
                    found = _read(directory, self._file_name(name))
            except FileNotFoundError:
                return None
        if found is None:
            raise AlreadyExecuted(f"the ledger's entry of the restore {name} is damaged: it may have run", hint=_HINT)
        return found

    def save(self, entry: Entry) -> None:
        """Put `entry` in its predecessor's place."""
        with (
            map_os_errors(f"noting the restore {entry.claim}"),
            self._exclusively(),
            self._open_directory() as directory,
        ):
            directory.replace(self._file_name(entry.claim), _json(entry))


def _history(found: Entry, uid: str) -> str:
    when = found.claimed_at.isoformat(timespec="seconds")
    who = "this request" if found.uid == uid else "a request of the same name and content, made before,"
    how = {
        Phase.DONE: "was restored",
        Phase.SWAPPING: "changed its target, and was cut short",
    }.get(found.phase, "began, and may have touched its target")
    return f"{who} {how} (claimed {when} by {found.run}): it does not run again"


def _read(directory: Directory, name: str) -> Entry | None:
    try:
        return Entry.model_validate_json(directory.read(name, limit=LIMIT_BYTES))
    except ValidationError:
        return None


def _json(entry: Entry) -> bytes:
    return entry.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"

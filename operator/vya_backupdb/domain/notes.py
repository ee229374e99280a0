"""What was said about backups after they were made, by people and by `verify`: pins, accepted findings, damage.

One file an instance, ``.notes.json`` (`storage.notes` reads and writes it). The backups themselves never change.
`docs/tree-format.md` is the twin of these models.
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from vya_backupdb.domain.faults import explain
from vya_backupdb.domain.series import Pin

_SEALED: Final = re.compile(rb'\{"seal": "([0-9a-f]{64})",')


class Model(BaseModel):
    """Frozen; unknown keys of a later version are kept, not refused."""

    model_config = ConfigDict(extra="allow", frozen=True)


class PinNote(Model):
    """A backup (by id) that a person keeps from being deleted: until `until`, for ever if None."""

    backup: str
    reason: str
    until: AwareDatetime | None = None
    by: str
    at: AwareDatetime

    def pin(self) -> Pin:
        """Return what retention looks at."""
        return Pin(self.until, self.reason)


class Acceptance(Model):
    """What a person has looked at and accepted: an anomalous backup (by id), another server, or many deletions."""

    what: Literal["anomaly", "server", "deletions"]
    backup: str | None = Field(default=None, description="for an anomaly: the backup's id")
    database: str | None = Field(default=None, description="for deletions: of which database, null for users")
    backups: tuple[str, ...] = Field(default=(), description="for deletions: the ids of those that may go")
    finding: str = Field(description="what was accepted, in words")
    reason: str = ""
    by: str
    at: AwareDatetime


class Damage(Model):
    """A backup, by its data file's `path` below the base path, whose bytes `verify` found to be wrong at `at`."""

    path: str
    problem: str
    at: AwareDatetime


class Notes(Model):
    """The whole file. No two pins are of one backup, no two damages of one path."""

    version: Literal[1] = 1
    pins: tuple[PinNote, ...] = ()
    accepted: tuple[Acceptance, ...] = ()
    damaged: tuple[Damage, ...] = ()

    def pin_of(self, backup: str) -> PinNote | None:
        """Return the pin of the backup with that id, expired or not."""
        return next((one for one in self.pins if one.backup == backup), None)

    @property
    def accepted_backups(self) -> frozenset[str]:
        """The ids of the backups whose anomalies were accepted."""
        return frozenset(one.backup for one in self.accepted if one.what == "anomaly" and one.backup)

    @property
    def accepted_deletions(self) -> frozenset[str]:
        """The ids of the backups that may go although they are many."""
        return frozenset(name for one in self.accepted if one.what == "deletions" for name in one.backups)

    def with_pin(self, pin: PinNote) -> "Notes":
        """Return these notes with `pin` in place of an earlier one of its backup."""
        return self.model_copy(update={"pins": (*self.without_pin(pin.backup).pins, pin)})

    def without_pin(self, backup: str) -> "Notes":
        """Return these notes without the pin of `backup`."""
        return self.model_copy(update={"pins": tuple(one for one in self.pins if one.backup != backup)})

    def with_accepted(self, more: Iterable[Acceptance]) -> "Notes":
        """Return these notes with `more` acceptances; nothing is ever taken out of this list."""
        return self.model_copy(update={"accepted": (*self.accepted, *more)})

    def after_check(self, path: str, problem: str, at: datetime) -> "Notes":
        """Return these notes after the bytes of the file at `path` were read: `problem` is '' if they are right."""
        others = tuple(one for one in self.damaged if one.path != path)
        mine = (Damage(path=path, problem=problem, at=at.astimezone(UTC)),) if problem else ()
        return self.model_copy(update={"damaged": (*others, *mine)})

    def to_json(self) -> bytes:
        """Return the file's bytes: JSON whose first line is a seal over all that follows it.

        Without it a flipped bit in an id would unpin a backup, and nobody would notice.
        """
        rest = self.model_dump_json(indent=2, exclude_none=True).encode().removeprefix(b"{") + b"\n"
        return b'{"seal": "%s",' % _seal(rest) + rest


def parse_notes(data: bytes) -> Notes:
    """Return the notes in `data`. Raise ValueError, saying what is wrong, if it is damaged or of a later format."""
    match = _SEALED.match(data)
    if match is None or match[1] != _seal(data[match.end() :]):
        raise ValueError("its seal does not fit its content")
    try:
        return Notes.model_validate_json(b"{" + data[match.end() :])
    except ValidationError as error:
        raise ValueError(explain(error)) from None


def _seal(rest: bytes) -> bytes:
    return hashlib.sha256(rest).hexdigest().encode()

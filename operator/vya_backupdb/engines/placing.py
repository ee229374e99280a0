"""How a restored database gets its final name, and what a restore meets under that name; one `Placer` for each server.

What is put in place is whole and compared already. A swap is prepared first (`Swap` holds all that is needed to undo
or to finish it), noted by the caller in its journal, then done. Whatever kills us in between, `settle` decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from vya_backupdb.domain.undertaking import Swap


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a restore must not begin, as a sentence, and the remedy as another."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class TargetLook:
    """What a restore finds under the target's name: what it holds, who uses it, and why it must not be replaced.

    `objects` counts what is in it by kind (``tables``, ``views`` …), `sessions` are those that work in it now.
    """

    exists: bool
    size_bytes: int | None = None
    objects: Mapping[str, int] = field(default_factory=dict)
    sessions: tuple[str, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    notes: tuple[str, ...] = ()


class Placer(Protocol):
    """The part of an engine that a restore's last step needs. Every method may raise ServerError's children."""

    def look(self, target: str) -> TargetLook:
        """Look at what a restore to `target` would meet, and would replace; nothing is changed."""

    def identity(self, database: str) -> str | None:
        """Return what tells `database` from another of its name: an id, or its marker. None where there is neither."""

    def unmark(self, database: str, marker: str) -> None:
        """Take the marker out of the loaded `database`, if it has one."""

    def prepare_swap(self, scratch: str, target: str, *, kept: str | None, stays: bool = False) -> Swap:
        """Return what `swap` needs to put the loaded `scratch` under the name `target`; nothing is changed.

        `kept` is the name that the present `target` gets, None where there is none. With `stays` it is for use there.
        """

    def swap(self, wanted: Swap) -> tuple[str, ...]:
        """Do it; return warnings. On an error the target is as it was, or the error says what is left of it.

        Raise TargetExists if the name is taken meanwhile.
        """

    def settle(self, begun: Swap) -> tuple[bool, tuple[str, ...]]:
        """After a crash within `swap`: finish it if the new content stands under the target's name, else undo it.

        Return whether it does, and warnings. Calling it again changes nothing. Raise RestoreFailed if nobody can tell.
        """

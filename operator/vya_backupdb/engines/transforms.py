"""What is changed in a file on its way into a server, and what is refused: counted, and said in sentences.

Rules judge one statement at a time, in the order of the file, and know nothing of what follows. So the plan and the
load come to the same judgement.
"""

from collections import Counter
from typing import Final, Protocol

from vya_backupdb.engines.loading import LoadOptions, Refusal, Transform
from vya_backupdb.engines.statements import Command, Statement

#: Names of transforms, and what each does; ``{}`` stands for what it did it to.
SENTENCES: Final = {
    "restrict": "psql's \\restrict and \\unrestrict are left out: no command of a client is run at all",
    "sandbox": "the line that makes MariaDB's client refuse its own commands is left out: none is run at all",
}
_SHOWN: Final = 5
_KEPT_REFUSALS: Final = 50


class Notes:
    """What rules did so far. Refusals are kept in their number, the first 50 with their words."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._details: dict[str, dict[str, None]] = {}
        self.refusals: list[Refusal] = []
        self.refused = 0

    def transform(self, name: str, detail: str = "") -> None:
        """Count one more transform of that name; `detail` is what it was done to."""
        self._counts[name] += 1
        if detail:
            self._details.setdefault(name, {})[detail] = None

    def refuse(self, line: int, message: str, hint: str) -> None:
        """Note that the file cannot be loaded, because of `line`."""
        self.refused += 1
        if len(self.refusals) < _KEPT_REFUSALS:
            self.refusals.append(Refusal(line, message, hint))

    def transforms(self) -> tuple[Transform, ...]:
        """Return what was done so far, in the order of its first time."""
        return tuple(
            Transform(name, count, SENTENCES[name].format(_shown(list(self._details.get(name, ())))))
            for name, count in self._counts.items()
        )


class Rules(Protocol):
    """What may pass, and how, of the files for one server."""

    @property
    def notes(self) -> Notes:
        """What was done and refused so far."""

    def judge(self, statement: Statement) -> bytes | None:
        """Return the text to be executed, or None if the statement (with its rows) is left out or refused."""

    def command(self, command: Command) -> None:
        """Leave out a client's command, or refuse it."""

    @property
    def databases(self) -> tuple[str, ...]:
        """The databases that the file names in lines of its own."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that the file makes or fills, sorted."""

    @property
    def resolved(self) -> LoadOptions:
        """The options with what the file told so far."""


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

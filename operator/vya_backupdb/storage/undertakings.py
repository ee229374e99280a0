"""``.runs/{run}.restore``: the journals of restores that are under way, died, or keep a former database on purpose.

They are no reports: retention of reports (the last 100) never touches them, because what one names on a server would
then stay there for ever. A damaged one is told, and stays: nothing is dropped on its word.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final

from pydantic import ValidationError

from vya_backupdb.domain.errors import StorageUnavailable
from vya_backupdb.domain.undertaking import Undertaking
from vya_backupdb.storage.faults import map_os_errors
from vya_backupdb.storage.runs import JOURNAL
from vya_backupdb.storage.volume import Directory

LIMIT_BYTES: Final = 256 << 20


class Undertakings:
    """The journals of one instance, which is the server that they are about.

    `open_runs` opens ``.runs``; `changing` opens it under the tree's lock, making it.
    """

    def __init__(
        self,
        open_runs: Callable[[], AbstractContextManager[Directory]],
        changing: Callable[[], AbstractContextManager[Directory]],
    ) -> None:
        self._open_runs = open_runs
        self._changing = changing

    def all(self) -> list[Undertaking]:
        """Return every journal, oldest first. Raise StorageUnavailable, naming the file, if one is damaged."""
        found = []
        with map_os_errors("reading the journals of restores"), suppress(FileNotFoundError), self._open_runs() as runs:
            found = [_read(runs, name) for name in runs.names() if name.endswith(JOURNAL) and not name.startswith(".")]
        return sorted((one for one in found if one), key=lambda one: (one.started_at, one.run))

    def of(self, target: str) -> list[Undertaking]:
        """Return the journals of restores to `target`, oldest first."""
        return [one for one in self.all() if one.target == target]

    def save(self, one: Undertaking) -> None:
        """Put `one` in its predecessor's place, durably, before the deed that it names."""
        content = one.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"
        with map_os_errors(f"noting what the restore {one.run} does"), self._changing() as runs:
            runs.replace(f"{one.run}{JOURNAL}", content)

    def remove(self, run: str) -> None:
        """Forget the journal of `run`: nothing of it is left on the server."""
        with map_os_errors(f"removing the journal of the restore {run}"), self._changing() as runs:
            runs.unlink(f"{run}{JOURNAL}")
            runs.sync()


def _read(runs: Directory, name: str) -> Undertaking | None:
    try:
        return Undertaking.model_validate_json(runs.read(name, limit=LIMIT_BYTES))
    except FileNotFoundError:
        return None
    except ValidationError:
        raise StorageUnavailable(
            f"the journal {runs.path / name} is damaged: what its restore left on the server is not known",
            hint="Look for databases named vya_… on the server, drop what is of no use, then remove the file.",
        ) from None

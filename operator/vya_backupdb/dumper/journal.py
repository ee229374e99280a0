"""What a restore made on the server, noted on the volume before it is made: the only licence to drop anything.

The journal is the run's own report, saved while it goes on: its `restored.database` names the database, its reason
says ``Creating`` (the server may or may not have it yet) or ``Created``. A killed restore is cleaned up by the next
attempt of the same run, and by nobody else. Between ``Creating`` and ``Created`` somebody else may have made a database
of that name: then only an empty one is dropped.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from vya_backupdb.domain.errors import BackupDBError, StorageError, TargetExists
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.report import RestoredReport, RunReport
from vya_backupdb.engines.base import Engine
from vya_backupdb.storage.tree import InstanceTree

_log = logging.getLogger(__name__)

CREATING: Final = "Creating"
CREATED: Final = "Created"
CLEANED: Final = "Cleaned"


class Journal:
    """The journal of one restore run; its run lock must be held."""

    def __init__(self, tree: InstanceTree, run: RunId, *, started_at: datetime) -> None:
        self._tree, self._run = tree, run
        self.started_at = started_at
        before = tree.run(run)
        self._before = before
        self._reason = before.reason if before else ""

    @property
    def leftover(self) -> str | None:
        """The database that an earlier attempt of this run made, or was about to make, and did not remove."""
        before = self._before
        if before is None or before.restored is None or before.reason not in {CREATING, CREATED}:
            return None
        return before.restored.database

    def clean(self, engine: Engine) -> None:
        """Drop what an earlier attempt of this run left. Raise TargetExists if that may be somebody else's."""
        name = self.leftover
        if name is not None:
            self._drop(engine, name)
            self._note(name, CLEANED)

    @contextmanager
    def making(self, engine: Engine, name: str) -> Iterator[None]:
        """Note that `name` is about to be made; if the block fails, drop it again."""
        self._note(name, CREATING)
        done = False
        try:
            yield
            done = True
        finally:
            if not done:
                self._undo(engine, name)

    def made(self, name: str) -> None:
        """Note that the server has `name` now, and that it is ours."""
        self._note(name, CREATED)

    def close(self, report: RunReport) -> None:
        """Put the final `report` in the journal's place; not while something of ours is still on the server."""
        if self._reason in {CREATING, CREATED} and report.exit_code:
            return
        try:
            self._tree.save_run(report)
        except StorageError as error:
            _log.warning("the report of run %s could not be saved: %s", self._run, error.message)

    def _undo(self, engine: Engine, name: str) -> None:
        """Drop `name`, if it is ours. Where that fails, the journal stays as it is, for the next attempt."""
        try:
            self._drop(engine, name)
            self._note(name, CLEANED)
        except BackupDBError as error:
            _log.warning("what this restore made, %r, could not be dropped: %s", name, error.message)

    def _drop(self, engine: Engine, name: str) -> None:
        """Drop `name` if it exists. Raise TargetExists if it may be somebody else's: noted, not made, and not empty."""
        if not engine.exists(name):
            return
        if self._reason == CREATING and engine.count(name).tables:
            raise TargetExists(
                f"{name!r} exists with tables in it, and this restore cannot tell whether it made it",
                hint="Look at it; drop it if it is of no use, then restore again.",
            )
        engine.drop(name)

    def _note(self, name: str, reason: str) -> None:
        self._reason = reason
        self._tree.save_run(
            RunReport(
                operation="restore",
                run=self._run,
                reason=reason,
                message=f"this restore made the database {name}",
                exit_code=0,
                started_at=self.started_at,
                restored=RestoredReport(backup_id="", database=name),
            )
        )

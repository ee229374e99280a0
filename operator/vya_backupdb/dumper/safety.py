"""The safety dump: what a restore is about to replace becomes a backup first, by the very way of every backup.

It is published, or nothing is replaced. Its run's reason is ``pre-restore``: it is never ``latest``, and retention does
not count it.
"""

from dataclasses import dataclass
from pathlib import Path

from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.series import PRE_RESTORE
from vya_backupdb.dumper import backup
from vya_backupdb.dumper.backup import Made, Run
from vya_backupdb.dumper.events import Noted
from vya_backupdb.dumper.session import Server, Session
from vya_backupdb.engines.base import HeldLock
from vya_backupdb.storage import space


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes on the volume: those that are free, and those that the newest backup of the database has (None: none)."""

    root: Path
    free_bytes: int
    needed_bytes: int | None
    min_free_bytes: int

    def require(self) -> None:
        """Raise NoSpace if the safety dump would find no room."""
        space.ensure_free(self.root, min_free_bytes=self.min_free_bytes, needed_bytes=self.needed_bytes or 0)


def room(session: Session, database: str) -> Room:
    """Return the room that the volume has for a safety dump of `database`, by what its last good backup needed."""
    good = [one.metadata for one in session.tree.backups(database) if one.problem is None and one.metadata]
    newest = good[-1].file_info if good else None
    root, least = session.tree.root, session.app.storage.min_free_bytes
    return Room(root, space.space(root).free_bytes, newest.size_bytes if newest else None, least)


def save_former(session: Session, run: RunId, server: Server, lock: HeldLock, database: str) -> Made:
    """Dump `database`, whose `lock` is held, and return what was published. Raise what prevented it."""
    for text in session.tree.claim(session.app.owner, server.info.identity):
        session.say(Noted(text, level="warning"))
    return backup.back_up_held(session, Run(run, PRE_RESTORE, server), database, lock, expected_bytes=None)

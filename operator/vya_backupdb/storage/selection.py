"""Which backup a word means: ``latest``, an id, or the newest before a moment. Pure: what lies there is given.

``latest`` never takes what a person would have to think about: a corrupt backup, one from the future, a safety dump of
a restore. Named by its id, a sound one of these is taken.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from vya_backupdb.domain import layout, series
from vya_backupdb.domain.errors import BackupCorrupt, NotFound
from vya_backupdb.storage.catalog import StoredBackup

LATEST: Final = "latest"
_SHOWN: Final = 5


def choose(
    backups: Sequence[StoredBackup], tree: layout.Tree, *, of: str, which: str, before: datetime | None, now: datetime
) -> StoredBackup:
    """Return the one of `backups` that is meant. `of` names their database in messages; all times are aware.

    `before` applies to ``latest`` only: the dump must have begun before it. Raise NotFound if there is none,
    BackupCorrupt if there is, but damaged.
    """
    if which != LATEST:
        return _named(backups, of, which.removesuffix(layout.DATA))
    by_key = {stored.summary(tree).key: stored for stored in backups}
    summaries = [stored.summary(tree) for stored in backups if before is None or stored.moment < before]
    chosen = series.latest(summaries, now=now)
    if chosen is not None:
        return by_key[chosen.key]
    limit = f" before {before.isoformat()}" if before else ""
    damaged = [one.id for one in summaries if not one.good]
    if damaged:
        raise BackupCorrupt(
            f"no sound backup of {of}{limit}: {_some(damaged)} {'is' if len(damaged) == 1 else 'are'} corrupt",
            hint="'list' says what is wrong with each.",
        )
    raise NotFound(f"there is no backup of {of}{limit}", hint=_known(backups))


def _named(backups: Sequence[StoredBackup], of: str, wanted: str) -> StoredBackup:
    for stored in backups:
        if stored.id == wanted:
            if stored.problem is not None:
                raise BackupCorrupt(f"the backup {wanted}: {stored.problem}", hint="Take another one; see 'list'.")
            return stored
    raise NotFound(f"there is no backup {wanted!r} of {of}", hint=_known(backups))


def _known(backups: Sequence[StoredBackup]) -> str:
    if not backups:
        return "There is none at all; see 'list'."
    return f"There are {_some([stored.id for stored in reversed(backups)])}; see 'list'."


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more

"""Which backup a word means: ``latest``, an id, or the newest before a moment. Pure: what lies there is given.

``latest`` never takes what a person would have to think about: a corrupt backup, one from the future, a safety dump of
a restore. Named by its id, a sound one of these is taken.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from vya_backupdb.domain import layout, series
from vya_backupdb.domain.errors import BackupCorrupt, NotFound, StorageUnavailable
from vya_backupdb.storage.catalog import StoredBackup

LATEST: Final = "latest"
_SHOWN: Final = 5


def choose(
    backups: Sequence[StoredBackup], tree: layout.Tree, *, of: str, which: str, before: datetime | None, now: datetime
) -> StoredBackup:
    """Return the one of `backups` that is meant. `of` names their database in messages; all times are aware.

    `before` applies to ``latest`` only: the dump must have begun before it. Raise NotFound if there is none,
    BackupCorrupt if there is, but damaged; StorageUnavailable where one that cannot be read may be newer.
    """
    if which != LATEST:
        return _named(backups, of, which.removesuffix(layout.DATA))
    eligible = [stored for stored in backups if before is None or stored.moment < before]
    by_key = {stored.summary(tree).key: stored for stored in eligible}
    summaries = [stored.summary(tree) for stored in eligible]
    chosen = series.latest(summaries, now=now)
    found = by_key[chosen.key] if chosen is not None else None
    _require_readable(eligible, found, of)
    if found is not None:
        return found
    limit = f" before {before.isoformat()}" if before else ""
    damaged = [one.id for one in summaries if not one.good]
    if damaged:
        raise BackupCorrupt(
            f"no sound backup of {of}{limit}: {_some(damaged)} {'is' if len(damaged) == 1 else 'are'} corrupt",
            hint="'list' says what is wrong with each.",
        )
    raise NotFound(f"there is no backup of {of}{limit}", hint=_known(backups))


def _require_readable(eligible: Sequence[StoredBackup], found: StoredBackup | None, of: str) -> None:
    """Raise unless everything newer than `found` could be looked at: what cannot be read is not absent."""
    for stored in eligible:
        if stored.is_unreadable and (found is None or stored.wall_clock > found.wall_clock):
            raise StorageUnavailable(
                f"the newest backup of {of} cannot be told: {stored.problem}",
                hint="Let the user of this process read it, or name the backup that you want (see 'list').",
            )


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

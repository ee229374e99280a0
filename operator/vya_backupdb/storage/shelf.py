"""The backups of one instance as a listing finds them: what lies there, and what was found out about it before.

A backup whose bytes `verify` found to be wrong is corrupt from then on, though its names and sizes fit. Raises OSError
as it comes.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from vya_backupdb.domain import layout, names
from vya_backupdb.domain.errors import StorageError
from vya_backupdb.domain.notes import Damage
from vya_backupdb.storage import catalog
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.notes import Notebook
from vya_backupdb.storage.site import Site
from vya_backupdb.storage.volume import Directory


@dataclass(frozen=True, slots=True)
class Shelf:
    """Every listing of one instance, oldest first, corrupt backups included."""

    site: Site

    def backups(self, database: str | None) -> list[StoredBackup]:
        """Return the backups of `database` (None: of all databases)."""
        component = None if database is None else names.encode(database)
        found: list[StoredBackup] = []
        for directory, relative in self.site.leaves(component=component):
            found += catalog.read_directory(self.site.layout, directory, relative, users=False)
        return self._marked(found if database is None else [one for one in found if one.is_of(database)])

    def users(self) -> list[StoredBackup]:
        """Return the backups of users and roles."""
        found: list[StoredBackup] = []
        for directory, relative in self._places(None):
            found += catalog.read_directory(self.site.layout, directory, relative, users=True)
        return self._marked(found)

    def by_id(self, backup_id: str) -> list[StoredBackup]:
        """Return the backups with that id; only their own files are read."""
        parsed = layout.parse_file_name(f"{backup_id}{layout.METADATA}")
        if parsed is None or not parsed.is_final:
            return []
        found: list[StoredBackup] = []
        for directory, relative in self._places(parsed.component):
            files = layout.FileSet(relative, backup_id)
            one = catalog.read_backup(self.site.layout, directory, files, parsed.wall_clock)
            found += [one] if one is not None else []
        return self._marked(found)

    def _places(self, component: str | None) -> Iterator[tuple[Directory, PurePosixPath]]:
        """Yield the open directories that can hold backups of `component` (None: users files)."""
        if component is not None:
            yield from self.site.leaves(component=component)
            return
        with suppress(FileNotFoundError), self.site.descend(self.site.layout.instance) as one:
            yield one, self.site.layout.instance

    def _marked(self, found: list[StoredBackup]) -> list[StoredBackup]:
        damaged = self._damaged(found)
        return catalog.in_order([_with_damage(one, damaged.get(one.place)) for one in found])

    def _damaged(self, found: list[StoredBackup]) -> dict[str, Damage]:
        """Return the known damages by path; notes that cannot be read hide no backup (and stop retention)."""
        try:
            return {one.path: one for one in Notebook(self.site).read().damaged} if found else {}
        except StorageError as error:
            self.site.volume.notice(error.message)
            return {}


def _with_damage(stored: StoredBackup, damage: Damage | None) -> StoredBackup:
    if damage is None or stored.problem is not None:
        return stored
    return replace(stored, problem=f"found damaged on {damage.at:%Y-%m-%d}: {damage.problem}", is_marked=True)

"""Deleting a backup, unless somebody reads it: a restore must not lose its source half way, to whatever retention.

Who reads a backup holds a shared ``flock`` on its data file (`shared`), from the first byte that it checks to the last
that it uses; who deletes one needs the lock exclusively. The kernel gives it back when the reader dies. Where the
volume cannot lock, a reader is only as safe as its open file is.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import PurePosixPath

from vya_backupdb.domain.errors import BackupCorrupt, BackupPinned, Busy
from vya_backupdb.domain.notes import Notes
from vya_backupdb.storage import catalog, locks, publish
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.notes import read_notes
from vya_backupdb.storage.site import Site
from vya_backupdb.storage.volume import Directory


def shared(directory: Directory, name: str) -> int:
    """Return a descriptor of the regular file `name` that nobody deletes while it is open; waits for a deletion."""
    descriptor = directory.open_read(name)
    try:
        _lock(directory, descriptor, fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def delete(site: Site, stored: StoredBackup, *, now: datetime, planned_by: Notes | None = None) -> None:
    """Delete a good backup; one that is gone already, even if another has its names, is no error.

    Raise BackupCorrupt, Busy, BackupPinned (a pin holds at `now`) or StorageUnavailable (the pins cannot be read), with
    nothing deleted. `planned_by` are the notes that the deletion was planned by: it is Busy if `verify` has found
    damage since, because what was to be kept instead may be what is damaged.
    """
    with site.exclusively() as instance:
        try:
            directory = site.descend(stored.files.directory)
        except FileNotFoundError:
            return
        with directory:
            found = catalog.read_backup(site.layout, directory, stored.files, stored.wall_clock)
            if found is None or catalog.is_another(stored, found):
                return
            _require_unchanged(stored, found)
            _require_unpinned(instance, stored, now, planned_by)
            with _unread(directory, stored):
                publish.remove(directory, stored.files)
        _remove_empty(instance, stored.files.directory.relative_to(site.layout.instance))


def _require_unchanged(stored: StoredBackup, found: StoredBackup) -> None:
    if found.problem is not None or found.metadata != stored.metadata:
        why = found.problem or "it is not the backup that was listed"
        raise BackupCorrupt(f"{stored.path} is not deleted: {why}", hint="Look at it, then remove it by hand.")


def _require_unpinned(instance: Directory, stored: StoredBackup, now: datetime, planned_by: Notes | None) -> None:
    """Raise unless no word of a person or of `verify`, even one that came after the plan, speaks against it."""
    notes = read_notes(instance)
    note = notes.pin_of(stored.id)
    if note is not None and note.pin().holds(now):
        raise BackupPinned(f"{stored.path} is not deleted: pinned: {note.reason}", hint="See 'unpin'.")
    damage = next((one for one in notes.damaged if one.path == stored.place), None)
    if damage is not None:
        raise BackupCorrupt(f"{stored.path} is not deleted: {damage.problem}", hint="Look at it, then remove it.")
    if planned_by is not None and (found := _paths(notes) - _paths(planned_by)):
        why = f"since it was planned, {min(found)} was found damaged"
        raise Busy(f"{stored.path} is not deleted: {why}", hint="The next run plans anew.")


def _paths(notes: Notes) -> set[str]:
    return {one.path for one in notes.damaged}


@contextmanager
def _unread(directory: Directory, stored: StoredBackup) -> Iterator[None]:
    """Keep readers out during the block. Raise Busy if there is one."""
    # for writing, because NFS gives no exclusive lock on a file that is open for reading only
    descriptor = directory.open_read(stored.files.data.name, and_write=True)
    try:
        try:
            _lock(directory, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"{stored.path} is not deleted: it is being read", hint="Wait for the restore that uses it."
            ) from None
        yield
    finally:
        os.close(descriptor)


def _lock(directory: Directory, descriptor: int, operation: int) -> None:
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in locks.CANNOT:
            raise
        directory.volume.notice(locks.NO_LOCKS)


def _remove_empty(instance: Directory, relative: PurePosixPath) -> None:
    """Remove `relative` below the instance's directory, and what then is empty above it."""
    for path in (relative, *relative.parents):
        if path.name:
            with instance.descend(path.parent) as parent:
                if not parent.remove_directory(path.name):
                    return

"""The tree of backups on a volume: the one door to it. ``metadata.json`` is the commit point.

Promises, each proved by killing us after every step: nothing is under a final name without metadata once the next run
has recovered; nothing is overwritten; nothing outside the tree is touched, and no link inside it followed; a crash
leaves garbage, never a lie. A run holds its own lock while it writes (`InstanceTree.lock_run`), so that another run's
recovery tells the living from the dead; the tree's lock is held only while names appear or disappear.

An `InstanceTree` may be shared by threads; a `PendingBackup` may not.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from vya_backupdb.domain import layout, structure
from vya_backupdb.domain.config import StorageConfig
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.metadata import BackupMetadata
from vya_backupdb.domain.notes import Notes
from vya_backupdb.domain.report import RunReport
from vya_backupdb.storage import catalog, owner, recovery, removal, selection, verify
from vya_backupdb.storage import runs as run_files
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.faults import map_os_errors
from vya_backupdb.storage.ledger import Ledger
from vya_backupdb.storage.notes import Notebook
from vya_backupdb.storage.owner import Owner
from vya_backupdb.storage.pending import Attempt, PendingBackup
from vya_backupdb.storage.runlocks import RunLocks
from vya_backupdb.storage.shelf import Shelf
from vya_backupdb.storage.site import Site
from vya_backupdb.storage.strangers import Stranger, strangers
from vya_backupdb.storage.undertakings import Undertakings
from vya_backupdb.storage.volume import Directory, Step, Volume, no_step

__all__ = ["InstanceTree", "PendingBackup", "StoredBackup", "Tree"]


class Tree:
    """Everything under ``storage.base_path``. `step` is called after each single step that changes the volume."""

    def __init__(self, storage: StorageConfig, *, step: Step = no_step) -> None:
        self._storage = storage
        self._structure = structure.parse_structure(storage.structure)
        self._step = step

    def _volume(self) -> Volume:
        return Volume(Path(self._storage.base_path), self._storage.file_mode, self._step)

    def instance(self, hostname: str, database_id: str) -> "InstanceTree":
        """Return the tree of one instance; nothing is touched yet."""
        names_ = layout.Tree(hostname, database_id, self._structure)
        return InstanceTree(self._storage, Site(self._volume(), names_))

    def instances(self) -> list["InstanceTree"]:
        """Return the instances that lie there, by their owner files. What has none is no instance of ours."""
        segments = self._structure.segments[: self._structure.segments.index(structure.DB_ID) + 1]
        found = []
        with map_os_errors(f"listing {self._storage.base_path}"):
            try:
                base = self._volume().root()
            except FileNotFoundError:
                return []
            with base:
                for relative in catalog.directories(base, segments, component=None):
                    with base.descend(relative) as directory:
                        theirs = owner.read_owner(directory)
                    if theirs is not None:
                        found.append(self.instance(theirs.hostname, theirs.database_id))
        return found


class InstanceTree:
    """The backups of one server. Made by `Tree.instance`. `frozen` (after `claim`) says why nothing may be deleted."""

    def __init__(self, storage: StorageConfig, site: Site) -> None:
        self._storage = storage
        self._site = site
        self._locks = RunLocks(site)
        self.layout = site.layout
        self.frozen = ""

    @property
    def root(self) -> Path:
        """The instance's own directory."""
        return self._site.root

    @property
    def notices(self) -> tuple[str, ...]:
        """What the volume was found not to provide, and what could not be removed; one sentence each."""
        return self._site.volume.notices

    def claim(self, owner_name: str | None, identity: str | None) -> tuple[str, ...]:
        """Make the instance's directories and note whose they are. Return warnings; sets `frozen`.

        Raise TreeOwnedByAnother if another instance writes here, StorageUnavailable or NoSpace if the volume fails.
        """
        ours = owner.Owner(
            owner=owner_name,
            server_identity=identity,
            hostname=self.layout.hostname,
            database_id=self.layout.database_id,
        )
        with map_os_errors(f"claiming {self.root}"), self._site.exclusively() as directory:
            self.frozen = owner.claim(directory, ours)
        return (self.frozen,) if self.frozen else ()

    def accept_server(self, identity: str) -> None:
        """Take the server `identity` for the right one from now on, so that deletion goes on."""
        with map_os_errors(f"claiming {self.root}"), self._site.exclusively() as directory:
            owner.accept(directory, identity)
        self.frozen = ""

    def owner(self) -> str | None:
        """Return the name of the instance that owns the tree, None if nobody does."""
        found = self._owner()
        return found.owner if found else None

    def require_owner(self, name: str | None) -> None:
        """Raise TreeOwnedByAnother if the tree is another instance's than `name`; None, a run by hand, is let in."""
        if name is not None:
            owner.require(self._owner(), name, self.root)

    def _owner(self) -> Owner | None:
        with (
            map_os_errors(f"reading {self.root}"),
            suppress(FileNotFoundError),
            self._site.descend(self.layout.instance) as one,
        ):
            return owner.read_owner(one)
        return None

    def lock_run(self, run: RunId) -> AbstractContextManager[None]:
        """Hold the lock of `run` during the block; `open` needs it. Raise Busy if the run lives elsewhere already."""
        return self._locks.hold(run)

    def recover(self) -> tuple[str, ...]:
        """Remove what crashed runs left, and finish deletions; return what was done, one sentence each.

        A run is crashed if nobody holds its lock. What earlier attempts of a run left whose lock is held here goes too,
        unless something of that run is open.
        """
        done: list[str] = []
        with map_os_errors(f"recovering {self.root}"):
            if not self._exists():
                return ()
            with self._site.exclusively() as instance, self._locks.dead(instance) as is_dead:
                done += recovery.recover_directory(instance, self.layout.instance, is_dead)
                for directory, relative in self._site.leaves():
                    done += recovery.recover_directory(directory, relative, is_dead)
        return tuple(done)

    def _exists(self) -> bool:
        with suppress(FileNotFoundError), self._site.descend(self.layout.instance):
            return True
        return False

    def open(self, database: str | None, moment: datetime, run: RunId) -> PendingBackup:
        """Begin the backup of `database` (None: users and roles), named by `moment` (aware, in the schedule's zone).

        The lock of `run` must be held. Raise NoSpace or StorageUnavailable.
        """
        self._locks.began(run)
        try:
            with map_os_errors(f"writing into {self.root}"):
                return self._begin(self._attempt(database, moment, run))
        except BaseException:
            self._locks.ended(run)
            raise

    def _attempt(self, database: str | None, moment: datetime, run: RunId) -> Attempt:
        def files(number: int) -> layout.FileSet:
            if database is None:
                return self.layout.users(moment, number=number)
            return self.layout.backup(database, moment, number=number)

        return Attempt(
            tree=self.layout,
            run=run,
            moment=moment,
            files=files,
            algorithm=self._storage.checksum_algorithm,
            level=self._storage.compression_level,
            min_free_bytes=self._storage.min_free_bytes,
            exclusively=self._site.exclusively,
            ended=partial(self._locks.ended, run),
        )

    def _begin(self, attempt: Attempt) -> PendingBackup:
        """Make the directory and the partial in it, under the tree's lock: a deletion removes empty directories."""
        with self._site.exclusively():
            directory = self._site.descend(attempt.files(1).directory, create=True)
            try:
                return PendingBackup(directory, attempt)
            except BaseException:
                directory.close()
                raise

    def backups(self, database: str | None = None) -> list[StoredBackup]:
        """Return the backups of `database` (None: of all), oldest first, corrupt ones included. Not the users files."""
        with map_os_errors(f"listing {self.root}"):
            return Shelf(self._site).backups(database)

    def users(self) -> list[StoredBackup]:
        """Return the backups of users and roles, oldest first, corrupt ones included."""
        with map_os_errors(f"listing {self.root}"):
            return Shelf(self._site).users()

    def by_id(self, backup_id: str) -> list[StoredBackup]:
        """Return the backups, of whatever kind and state, with that id: more than one only if somebody copied files."""
        with map_os_errors(f"listing {self.root}"):
            return Shelf(self._site).by_id(backup_id)

    def find(
        self, database: str | None, which: str = selection.LATEST, *, before: datetime | None = None, now: datetime
    ) -> StoredBackup:
        """Return the backup of `database` (None: the users file) that `which` means: ``latest``, or an id.

        ``latest`` (begun before `before`, if given) passes over corrupt ones, safety dumps, and any dated after `now`.
        Raise NotFound, or BackupCorrupt if there is none but a damaged one.
        """
        backups = self.users() if database is None else self.backups(database)
        of = f"users and roles of {self.layout.database_id}" if database is None else f"the database {database!r}"
        return selection.choose(backups, self.layout, of=of, which=which, before=before, now=now)

    def read(self, stored: StoredBackup) -> Iterator[bytes]:
        """Yield the SQL of `stored`, in pieces of at most 256 KiB. Raise BackupCorrupt, at the latest at the end."""
        with map_os_errors(f"reading {stored.path}"):
            directory = self._open_of(stored)
        with directory:
            yield from verify.plain(directory, stored)

    def verify(self, stored: StoredBackup) -> bytes:
        """Read all of `stored`: size, checksum, gzip to its end, checksum file. Return its SQL's last 64 KiB.

        Raise BackupCorrupt, NotFound or StorageUnavailable.
        """
        tail = verify.tail_of(self.read(stored))
        self.check_companion(stored)
        return tail

    def check_companion(self, stored: StoredBackup) -> None:
        """Raise BackupCorrupt unless the checksum file says what the metadata file is and says; cheap."""
        with map_os_errors(f"reading {stored.path}"), self._open_of(stored) as directory:
            verify.check_companion(directory, stored)

    def _open_of(self, stored: StoredBackup) -> Directory:
        try:
            return self._site.descend(stored.files.directory)
        except FileNotFoundError:
            raise verify.gone(stored) from None

    @contextmanager
    def reading(self, stored: StoredBackup) -> Iterator[None]:
        """Keep `stored` from being deleted during the block, by whatever process.

        Raise NotFound if it is gone, also if another backup has its names now.
        """
        with ExitStack() as held:
            with map_os_errors(f"reading {stored.path}"):
                directory = held.enter_context(self._open_of(stored))
                with suppress(OSError):  # what is missing or no file cannot be held; it says so when it is read
                    held.callback(os.close, removal.shared(directory, stored.files.data.name))
                found = catalog.read_backup(self.layout, directory, stored.files, stored.wall_clock)
                if found is None or catalog.is_another(stored, found):
                    raise verify.gone(stored)
            yield

    def strangers(self) -> list[Stranger]:
        """Return what lies in the instance's directory and is no backup, by directory and name."""
        with map_os_errors(f"listing {self.root}"):
            return list(strangers(self._site))

    def notebook(self) -> Notebook:
        """Return what was said about this instance's backups: pins, accepted findings, damage found."""
        return Notebook(self._site)

    def delete(self, stored: StoredBackup, *, now: datetime, planned_by: Notes | None = None) -> None:
        """Delete a good backup: first it stops being one, then its files go. One that is gone already is no error.

        Raise BackupCorrupt, with nothing deleted, if it is damaged or not what `stored` says any more; Busy if it is
        being read, or if others were found damaged since `planned_by`; BackupPinned if a pin of it holds at `now`.
        """
        with map_os_errors(f"deleting {stored.path}"):
            removal.delete(self._site, stored, now=now, planned_by=planned_by)

    def save_run(self, report: RunReport) -> None:
        """Put `report` under ``.runs``, in place of an earlier one of its run. The last 100 are kept."""
        with map_os_errors(f"saving the report of {report.run}"), self._changing_runs() as directory:
            run_files.save(directory, report)

    def save_failure(self, run: RunId, database: str | None, metadata: BackupMetadata) -> None:
        """Put the metadata of a backup that failed under ``.runs/{run}/``; it goes when the run's report goes."""
        name = self.layout.failed_backup(run, database).name
        with map_os_errors(f"saving the failure of {run}"), self._changing_runs() as directory:
            run_files.save_failure(directory, run, name, metadata)

    @contextmanager
    def _changing_runs(self) -> Iterator[Directory]:
        with (
            self._site.exclusively() as instance,
            instance.child(self.layout.runs.name, create=True) as directory,
        ):
            yield directory

    def run(self, run: str) -> RunReport | None:
        """Return the report of `run`; None if there is none, or it is damaged."""
        with (
            map_os_errors(f"reading {self.root / '.runs'}"),
            suppress(FileNotFoundError),
            self._site.descend(self.layout.runs) as one,
        ):
            return run_files.load(one, run)
        return None

    def runs(self) -> list[RunReport]:
        """Return the reports of the last runs, oldest first; damaged ones are left out."""
        with (
            map_os_errors(f"reading {self.root / '.runs'}"),
            suppress(FileNotFoundError),
            self._site.descend(self.layout.runs) as one,
        ):
            return run_files.load_all(one)
        return []

    def ledger(self) -> Ledger:
        """Return the ledger of restores from this instance."""
        return Ledger(
            partial(self._site.descend, self.layout.restores),
            self._site.exclusively,
            lambda claim: self.layout.restore_claim(claim).name,
        )

    def undertakings(self) -> Undertakings:
        """Return the journals of restores to this instance's server."""
        return Undertakings(partial(self._site.descend, self.layout.runs), self._changing_runs)

"""What backups the tree holds: read from its metadata files, because the volume is the truth.

Any bytes in any metadata file give a `StoredBackup` with a `problem`, never an exception: one damaged file must not
hide the others. An unreadable *directory* does raise: a tree that cannot be listed must not look empty to retention.
No metadata, no backup: data files alone are not listed. Cost is linear in the number of entries.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from vya_backupdb.domain import layout, names, series
from vya_backupdb.domain.errors import BackupCorrupt
from vya_backupdb.domain.metadata import BackupMetadata, FileInfo, parse_metadata
from vya_backupdb.domain.structure import DATE, DB_ID, DB_NAME, HOSTNAME
from vya_backupdb.storage.volume import Directory

METADATA_LIMIT_BYTES: Final = 64 << 20
SEAL_LIMIT_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class StoredBackup:
    """One backup in the tree. `path` is its data file; `files` is relative to the base path.

    `metadata` is None only if it could not be read; `problem` says why the backup is corrupt, None that it is not.
    `is_marked`: the problem is one of bytes that were read before, and all that a listing looks at is in order.
    `is_unreadable`: the problem is that the volume does not let us read it; it may be as good as any.
    """

    id: str
    path: Path
    files: layout.FileSet
    wall_clock: datetime
    metadata: BackupMetadata | None = None
    problem: str | None = None
    is_marked: bool = False
    is_unreadable: bool = False

    @property
    def place(self) -> str:
        """The data file below the base path, as notes name it: bytes of a name that are no text are escaped."""
        return str(self.files.data).encode("utf-8", "backslashreplace").decode()

    @property
    def moment(self) -> datetime:
        """When the dump began: by the metadata of a good one; by its name, taken as UTC, for a corrupt one."""
        if self.metadata is None or self.problem is not None:
            return self.wall_clock.replace(tzinfo=UTC)
        return self.metadata.backup_info.timestamp

    @property
    def database(self) -> str | None:
        """The database's name; by the file's name where the metadata is not to be trusted; None for a users file."""
        if self.metadata is not None and self.problem is None:
            return None if self.metadata.kind == "users" else self.metadata.backup_info.database_name
        parsed = layout.parse_file_name(self.files.data.name)
        if parsed is None or parsed.component is None:
            return None
        return names.decode(parsed.component) or parsed.component

    def is_of(self, database: str) -> bool:
        """Whether it is a backup of `database`; of a corrupt one, as far as its file's name tells."""
        return self.database in {database, names.encode(database)}

    def summary(self, tree: layout.Tree) -> series.Backup:
        """Return what retention and ``latest`` look at."""
        metadata = self.metadata if self.problem is None else None
        run = metadata.run if metadata else None
        made_by = self.metadata.run if self.metadata else None  # of a damaged one, too: its users stay
        return series.Backup(
            series.Series(tree.hostname, tree.database_id, self.database, metadata.schedule if metadata else None),
            self.id,
            self.moment,
            path=str(self.files.metadata),
            run_id=made_by.id if made_by else "",
            reason=run.reason if run else "",
            state=series.State.GOOD if self.problem is None else series.State.CORRUPT,
            size_bytes=metadata.file_info.size_bytes if metadata and metadata.file_info else 0,
        )


def misfit(tree: layout.Tree, files: layout.FileSet, metadata: BackupMetadata) -> str | None:
    """Return why `metadata` is not that of `files`, or None if it is: swapped and edited files are found here."""
    info, data = metadata.backup_info, metadata.file_info
    parsed = layout.parse_file_name(files.data.name)
    if not 1970 <= info.timestamp.year <= 9000:
        return f"its timestamp is of the year {info.timestamp.year}"
    if parsed is None:
        return "the file's name is not of this format"
    if info.status != "success" or data is None:
        return f"the metadata's status is {info.status}"
    if data.filename != files.data.name:
        return f"the metadata is that of {data.filename!r}"
    if info.database_id != tree.database_id:
        return f"the metadata is of the instance {info.database_id!r}"
    if (metadata.kind == "users") != parsed.is_users:
        return f"the metadata is of the kind {metadata.kind!r}"
    if parsed.component is not None and _component(info.database_name) != parsed.component:
        return f"the metadata is of the database {info.database_name!r}"
    return None


def _component(name: str) -> str | None:
    return names.encode(name) if name else None


def directories(directory: Directory, segments: tuple[str, ...], *, component: str | None) -> Iterator[PurePosixPath]:
    """Yield the directories, relative to `directory`, that can hold backups: those at the end of `segments`.

    `component` restricts ``{db_name}`` to one database. Hidden directories and links are not entered.
    """
    if not segments:
        yield PurePosixPath()
        return
    wanted = component if segments[0] == DB_NAME else None if segments[0] in {HOSTNAME, DB_ID, DATE} else segments[0]
    for name, is_directory in sorted(directory.scan()):
        if not is_directory or name.startswith("."):
            continue
        if wanted is not None and wanted.casefold() != name.casefold():
            continue  # on a volume that does not tell cases apart, a twin may have made the directory
        try:
            child = directory.child(name)
        except FileNotFoundError:
            continue  # a retention run removed it since the scan
        with child:
            for below in directories(child, segments[1:], component=component):
                yield name / below


def read_directory(
    tree: layout.Tree, directory: Directory, relative: PurePosixPath, *, users: bool
) -> Iterator[StoredBackup]:
    """Yield the backups in the open `directory`, which stands at `relative` below the base path, in no order.

    `users` says which kind: those of users and roles, or those of databases.
    """
    for name in directory.names():
        if not name.endswith(layout.METADATA):
            continue  # what the name would tell is read for one file of each backup only
        parsed = layout.parse_file_name(name)
        if parsed is None or not parsed.is_final or parsed.part is not layout.Part.METADATA:
            continue
        if parsed.is_users is not users:
            continue
        stored = read_backup(tree, directory, layout.FileSet(relative, parsed.stem), parsed.wall_clock)
        if stored is not None:
            yield stored


def read_backup(
    tree: layout.Tree, directory: Directory, files: layout.FileSet, wall_clock: datetime
) -> StoredBackup | None:
    """Return the backup `files` as it is on the volume; None if it was deleted meanwhile.

    Its three files are read one after the other. If they do not fit, and another backup has taken the names since, that
    one is read: a backup that was deleted and made again in its own second is not a damaged one.
    """
    path = directory.path / files.data.name
    while True:
        content, metadata, fault = _read_metadata(directory, files.metadata.name)
        if metadata is not None:
            text = misfit(tree, files, metadata)
            fault = _Fault(text) if text else _data_fault(directory, files.data.name, metadata)
            fault = fault or _seal_fault(directory, files, metadata, content)
        if fault and directory.stat(files.metadata.name) is None:
            return None
        if metadata is None or not fault or _read_metadata(directory, files.metadata.name)[0] == content:
            problem, unreadable = (fault.text, fault.by_volume) if fault else (None, False)
            return StoredBackup(files.stem, path, files, wall_clock, metadata, problem, is_unreadable=unreadable)


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with a backup; `by_volume`: nothing is known of it, because the volume does not give it out."""

    text: str
    by_volume: bool = False


#: What says nothing about a file's content. A link, a pipe, or a file too large is something else: no backup of ours.
_KEPT_FROM_US: Final = frozenset({errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT})


def _unread(name: str, error: OSError) -> _Fault:
    words = f"{name} cannot be read: {os.strerror(error.errno or 0).lower()}"
    return _Fault(words, by_volume=error.errno in _KEPT_FROM_US)


def is_another(stored: StoredBackup, found: StoredBackup) -> bool:
    """Whether `found`, under the names of `stored`, is what another run put there since `stored` was listed."""
    if stored.metadata is None or found.metadata is None or found.problem is not None:
        return False
    return found.metadata.run != stored.metadata.run


def _read_metadata(directory: Directory, name: str) -> tuple[bytes, BackupMetadata | None, _Fault | None]:
    try:
        content = directory.read(name, limit=METADATA_LIMIT_BYTES)
        return content, parse_metadata(content, source=name), None
    except OSError as error:
        return b"", None, _unread(name, error)
    except BackupCorrupt as error:
        return b"", None, _Fault(error.message)


def seal(files: layout.FileSet, info: FileInfo, content: bytes) -> bytes:
    """Return the checksum file's bytes: one line for the data, one for the metadata file, of this `content`."""
    digest = hashlib.new(info.checksum_algorithm, content, usedforsecurity=False).hexdigest()
    lines = layout.checksum_line(info.checksum, files.data), layout.checksum_line(digest, files.metadata)
    return "".join(lines).encode()


def broken_seal(directory: Directory, files: layout.FileSet, metadata: BackupMetadata, content: bytes) -> str | None:
    """Return what is wrong with the checksum file, or None: whoever edits the metadata by hand forgets this one.

    A file with the data's line alone is what other tools write: it is taken, and the metadata is as good as it looks,
    unless it says that we wrote it.
    """
    fault = _seal_fault(directory, files, metadata, content)
    return fault.text if fault else None


def _seal_fault(directory: Directory, files: layout.FileSet, metadata: BackupMetadata, content: bytes) -> _Fault | None:
    name, info = files.checksum.name, metadata.file_info
    if info is None:
        return _Fault("the metadata has no checksum")
    try:
        found = directory.read(name, limit=SEAL_LIMIT_BYTES)
    except FileNotFoundError:
        return _Fault(f"{name} is missing")
    except OSError as error:
        return _unread(name, error)
    text = _misfit_of_seal(files, metadata, info, content, found)
    return _Fault(text) if text else None


def _misfit_of_seal(
    files: layout.FileSet, metadata: BackupMetadata, info: FileInfo, content: bytes, found: bytes
) -> str | None:
    name = files.checksum.name
    data_line = layout.checksum_line(info.checksum, files.data).encode()
    if not found.startswith(data_line):
        return f"{name} has another checksum than the metadata"
    if found == data_line and not _is_ours(metadata):
        return None
    if found == data_line:
        return f"{name} lacks the checksum of {files.metadata.name}: it was cut"
    if found != seal(files, info, content):
        return f"{files.metadata.name} was edited: it is not the one whose checksum {name} holds"
    return None


def _is_ours(metadata: BackupMetadata) -> bool:
    adopted = metadata.run is not None and metadata.run.reason == series.ADOPTED
    return adopted or (metadata.tool is not None and metadata.tool.name == "vya-backupdb")


def _data_fault(directory: Directory, name: str, metadata: BackupMetadata) -> _Fault | None:
    """Return what is wrong with the data file as far as opening it shows.

    One that may not be read is no backup to count on: retention would keep it alone, and delete those that can be read.
    """
    try:
        descriptor = directory.open_read(name)
    except FileNotFoundError:
        return _Fault(f"{name} is missing")
    except OSError as error:
        return _unread(name, error)
    found = os.fstat(descriptor).st_size
    os.close(descriptor)
    expected = metadata.file_info.size_bytes if metadata.file_info else 0
    return _Fault(f"{name} has {found} bytes, its metadata says {expected}") if found != expected else None


def in_order(backups: list[StoredBackup]) -> list[StoredBackup]:
    """Return `backups`, oldest first, by the time in the metadata and then by id."""
    return sorted(backups, key=lambda stored: (stored.moment, stored.id))

"""A backup that is being written: hidden, under its run's partial name, until `PendingBackup.publish`.

What is counted and hashed is what was handed to the kernel; `finish` compares it with what the file system says, and
`reread`, which may go on in another thread meanwhile, with what comes back from the disk. Memory is constant.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from typing import Final, Literal, Self

from vya_backupdb.domain import layout
from vya_backupdb.domain.errors import BackupCorrupt, NoSpace
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.metadata import BackupMetadata, FileInfo, size_human
from vya_backupdb.storage import publish
from vya_backupdb.storage.behind import Behind, GivenUp
from vya_backupdb.storage.catalog import StoredBackup, misfit, seal
from vya_backupdb.storage.faults import map_os_errors
from vya_backupdb.storage.volume import Directory, write_all

SPACE_EVERY_BYTES: Final = 16 << 20


class _State(Enum):
    WRITING = auto()
    FINISHED = auto()
    PUBLISHED = auto()
    ABORTED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What an attempt is about. `files` gives, for the numbers 1, 2, …, the names that are tried in turn.

    `exclusively` holds the tree's lock; `ended` is called once, when the attempt has been published or aborted.
    """

    tree: layout.Tree
    run: RunId
    moment: datetime
    files: Callable[[int], layout.FileSet]
    algorithm: Literal["md5", "sha256"]
    level: int
    min_free_bytes: int
    exclusively: Callable[[], AbstractContextManager[object]]
    ended: Callable[[], None]


class PendingBackup:
    """One attempt. Made by ``InstanceTree.open``; a context manager that aborts unless it was published.

    Used by one thread at a time but for `reread`.
    """

    def __init__(self, directory: Directory, attempt: Attempt) -> None:
        self._directory = directory
        self._attempt = attempt
        self._hash = hashlib.new(attempt.algorithm, usedforsecurity=False)
        self._state = _State.WRITING
        self._sound = True
        self._was_reread = False
        self._behind = Behind()
        self._space_checked = 0
        self.size_bytes = 0
        self._number, self._descriptor = self._create()
        # once: to spell the path out took as long as a write
        self._doing = f"writing {self._path}"

    def _create(self) -> tuple[int, int]:
        """Make the data partial under the first free number."""
        number = 0
        while True:
            number += 1
            files = self._attempt.files(number)
            if not publish.is_free(self._directory, files):
                continue
            try:
                descriptor = self._directory.create(publish.partial_names(files, self._attempt.run)[0])
            except FileExistsError:
                continue  # another database of this run, on a volume that does not tell cases apart
            self._directory.volume.step("created data partial")
            return number, descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.abort()

    @property
    def files(self) -> layout.FileSet:
        """The names that it is to have; `publish` may give it the next number if they are taken meanwhile."""
        return self._attempt.files(self._number)

    @property
    def id(self) -> str:
        """The backup's id, as `files`."""
        return self.files.stem

    @property
    def _partial(self) -> str:
        return publish.partial_names(self.files, self._attempt.run)[0]

    @property
    def _path(self) -> Path:
        return self._directory.path / self._partial

    @property
    def checksum(self) -> str:
        """The hex digest of the bytes written so far."""
        return self._hash.hexdigest()

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Append all of `data`; return its length in bytes. Raise NoSpace or StorageUnavailable; then all is void."""
        self._require(_State.WRITING)
        sound, self._sound = self._sound, False
        if not sound:
            raise ValueError(f"{self._path}: an earlier write failed")
        with map_os_errors(self._doing):
            written = write_all(self._descriptor, data)
            self._hash.update(data)
            self.size_bytes += written
            self._keep_free()
        self._behind.wrote(self.size_bytes)
        self._sound = True
        return written

    def _keep_free(self) -> None:
        if self._attempt.min_free_bytes == 0 or self.size_bytes - self._space_checked < SPACE_EVERY_BYTES:
            return
        self._space_checked = self.size_bytes
        numbers = self._directory.free()
        if numbers.f_bavail * numbers.f_frsize < self._attempt.min_free_bytes:
            raise NoSpace(
                f"writing {self._path}: less than min_free_bytes ({self._attempt.min_free_bytes}) would be left",
                hint="Enlarge the volume or lower the retention.",
            )

    def finish(self) -> None:
        """Sync and close the data. Raise StorageUnavailable if the file is not as long as what was written."""
        self._require(_State.WRITING)
        if not self._sound:
            raise ValueError(f"{self._path}: an earlier write failed")
        volume = self._directory.volume
        with map_os_errors(f"syncing {self._path}"):
            volume.sync(self._descriptor, "files")
            volume.step("synced data")
            found = os.fstat(self._descriptor).st_size
            if found != self.size_bytes:
                raise OSError(errno.EIO, f"{self.size_bytes} bytes were written, the file has {found}")
            self._close_descriptor()
        self._state = _State.FINISHED
        self._behind.end()

    def reread(self) -> Iterator[bytes]:
        """Yield the bytes as they lie on the disk, each piece as soon as it is there; a thread of its own may do so.

        Raise BackupCorrupt at the end if they are not those written, or if this backup is aborted meanwhile.
        """
        digest = hashlib.new(self._attempt.algorithm, usedforsecurity=False)
        with map_os_errors(f"reading {self._path}"):
            descriptor = self._directory.open_read(self._partial)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
                for chunk in self._behind.chunks(descriptor, self._sync_data):
                    digest.update(chunk)
                    yield chunk
            except GivenUp:
                raise BackupCorrupt(f"{self._path}: was given up", hint="See why it was.") from None
            finally:
                os.close(descriptor)
        if digest.hexdigest() != self.checksum:
            raise BackupCorrupt(
                f"{self._path}: other bytes came back than were written", hint="Check the volume and the memory."
            )
        self._was_reread = True

    def _sync_data(self, descriptor: int) -> None:
        self._directory.volume.sync(descriptor, "files")

    def file_info(self, level: int | None = None) -> FileInfo:
        """Return what the metadata says about the file; `level` is the configured one unless given."""
        return FileInfo(
            filename=self.files.data.name,
            size_bytes=self.size_bytes,
            size_human=size_human(self.size_bytes),
            compression_level=self._attempt.level if level is None else level,
            checksum_algorithm=self._attempt.algorithm,
            checksum=self.checksum,
        )

    def publish(self, metadata: BackupMetadata) -> StoredBackup:
        """Make it a backup, in one step as seen from outside, and return it.

        `metadata.file_info` is filled in, with the name that it finally gets. What was not re-read yet is re-read now.
        Raise NoSpace or StorageUnavailable; ValueError if the metadata is not that of this backup.
        """
        self._require(_State.FINISHED)
        if not self._was_reread:
            for _chunk in self.reread():
                pass
        with map_os_errors(f"publishing {self._directory.path / self.files.data.name}"), self._attempt.exclusively():
            complete = self._write_companions(metadata)
            while not publish.commit(self._directory, self.files, self._attempt.run):
                self._renumber()
                complete = self._write_companions(metadata)
        self._end(_State.PUBLISHED)
        path = self._directory.path / self.files.data.name
        return StoredBackup(self.id, path, self.files, self._attempt.moment.replace(tzinfo=None), complete)

    def _write_companions(self, metadata: BackupMetadata) -> BackupMetadata:
        """Write the checksum's and the metadata's partials, the latter last: it is the journal."""
        level = metadata.file_info.compression_level if metadata.file_info else None
        info = self.file_info(level)
        complete = metadata.model_copy(update={"file_info": info})
        problem = misfit(self._attempt.tree, self.files, complete)
        if problem:
            raise ValueError(f"{self.files.data}: {problem}")
        _data, checksum, journal = publish.partial_names(self.files, self._attempt.run)
        step = self._directory.volume.step
        content = complete.to_json()
        self._directory.write(checksum, seal(self.files, info, content))
        step("wrote checksum partial")
        self._directory.write(journal, content)
        step("wrote journal")
        return complete

    def _renumber(self) -> None:
        """Move to the next number: data, checksum and metadata always carry the same."""
        data, checksum, journal = publish.partial_names(self.files, self._attempt.run)
        for name in (journal, checksum):
            self._directory.unlink(name)
            self._directory.volume.step("removed companion")
        number = self._number + 1
        while not publish.is_free(self._directory, self._attempt.files(number)):
            number += 1
        self._directory.rename(data, publish.partial_names(self._attempt.files(number), self._attempt.run)[0])
        self._number = number
        self._directory.volume.step("renumbered")

    def abort(self) -> None:
        """Remove what was written. Never raises: what cannot be removed now is removed by the next run's recovery."""
        if self._state in {_State.PUBLISHED, _State.ABORTED}:
            return
        self._behind.give_up()
        try:
            self._close_descriptor()
            with self._attempt.exclusively():
                publish.undo(self._directory, self.files, self._attempt.run)
        except OSError as error:
            self._directory.volume.notice(
                f"{self._path} could not be removed ({os.strerror(error.errno or 0).lower()}); the next run removes it"
            )
        self._end(_State.ABORTED)

    def _close_descriptor(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _end(self, state: _State) -> None:
        self._state = state
        self._directory.close()
        self._attempt.ended()

    def _require(self, state: _State) -> None:
        if self._state is not state:
            raise ValueError(f"{self._path} is {self._state.name.lower()}, not {state.name.lower()}")

"""The tree, format 1: which path each thing has. Nothing here touches a disk; ``docs/tree-format.md`` is its twin.

All paths are relative to ``storage.base_path`` and contain no ``..``. Of each backup there are three files beside each
other, `FileSet`; its `stem` is the backup's id. Invariants, each proved by a property test:

- no file name is longer than 255 bytes, hidden forms (partial, tombstone) with the longest run id included;
- a name that is taken is never used again: the next free of ``…_full``, ``…_full_2``, ``…_full_3`` is;
- in byte order the files of one backup stand together, and a repeated second's stand after those of the first;
- `parse_file_name` undoes `FileSet` and the hidden forms, and takes nothing else.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from vya_backupdb.domain import names
from vya_backupdb.domain.errors import StorageError
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.structure import DEFAULT_STRUCTURE, Structure

FORMAT: Final = 1
DATA: Final = ".sql.gz"
CHECKSUM: Final = ".sql.gz.sha256"
METADATA: Final = ".metadata.json"
PARTIAL: Final = ".partial-"
TOMBSTONE: Final = ".tombstone"
NAME_MAX: Final = 255
MAX_NUMBER: Final = 9999
MAX_RUN_IN_NAME: Final = 55
USERS: Final = "users"

_NUMBER: Final = r"[2-9]|[1-9]\d{1,3}"
_STEM: Final = (
    r"(?:(?P<users>users)|(?P<component>.+))_(?P<time>\d{8}_\d{6})(?(component)_full)"
    rf"(?:_(?P<number>{_NUMBER}))?"
)
_FINAL: Final = re.compile(rf"(?P<stem>{_STEM})(?P<part>\.sql\.gz\.sha256|\.sql\.gz|\.metadata\.json)", re.ASCII)
_HIDDEN: Final = re.compile(
    r"\.(?P<final>.+)(?:\.partial-(?P<run>[a-z0-9](?:[a-z0-9-]{0,54})(?:~[0-9a-f]{12})?)|(?P<tombstone>\.tombstone))",
    re.ASCII,
)


class Part(StrEnum):
    """Which of a backup's three files."""

    DATA = DATA
    CHECKSUM = CHECKSUM
    METADATA = METADATA


@dataclass(frozen=True, slots=True)
class FileSet:
    """The files of one backup: `directory` is relative to the base path, `stem` is the backup's id."""

    directory: PurePosixPath
    stem: str

    @property
    def data(self) -> PurePosixPath:
        """The dump itself, one gzip member."""
        return self.directory / f"{self.stem}{DATA}"

    @property
    def checksum(self) -> PurePosixPath:
        """One line that ``sha256sum -c`` (or ``md5sum -c``) reads."""
        return self.directory / f"{self.stem}{CHECKSUM}"

    @property
    def metadata(self) -> PurePosixPath:
        """The commit point: written last, removed first."""
        return self.directory / f"{self.stem}{METADATA}"

    @property
    def tombstone(self) -> PurePosixPath:
        """What the metadata is renamed to when its backup is deleted."""
        return self.directory / f".{self.metadata.name}{TOMBSTONE}"

    def partials(self, run: RunId) -> tuple[PurePosixPath, PurePosixPath, PurePosixPath]:
        """Return the hidden names under which `run` writes data, checksum and metadata (the journal)."""
        return partial(self.data, run), partial(self.checksum, run), partial(self.metadata, run)


@dataclass(frozen=True, slots=True)
class FileName:
    """What a file's name tells. The exact name and the time's zone stand only in the metadata."""

    stem: str
    part: Part
    component: str | None
    wall_clock: datetime
    number: int = 1
    run: str | None = None
    tombstone: bool = False

    @property
    def is_users(self) -> bool:
        """Whether it belongs to a backup of users and roles."""
        return self.component is None

    @property
    def is_final(self) -> bool:
        """Whether it is the name of a published file: neither a partial nor a tombstone."""
        return self.run is None and not self.tombstone


@dataclass(frozen=True, slots=True)
class Tree:
    """Where everything of one instance stands below the base path."""

    hostname: str
    database_id: str
    structure: Structure = DEFAULT_STRUCTURE

    @property
    def instance(self) -> PurePosixPath:
        """The directory that belongs to the instance alone: users files, ledgers, lock, and all its databases."""
        return self.structure.instance(hostname=self.hostname, database_id=self.database_id)

    @property
    def owner(self) -> PurePosixPath:
        """Who writes here: the instance's name and the server's identity."""
        return self.instance / ".owner.json"

    @property
    def lock(self) -> PurePosixPath:
        """The file that a run holds locked while it changes the tree."""
        return self.instance / ".lock"

    @property
    def runs(self) -> PurePosixPath:
        """The directory of the last 100 runs' reports."""
        return self.instance / ".runs"

    @property
    def restores(self) -> PurePosixPath:
        """The ledger of restores from this instance: one file a request, never removed by us."""
        return self.instance / ".restores"

    def run_report(self, run: RunId) -> PurePosixPath:
        """Return the whole report of `run`."""
        return self.runs / f"{run}.json"

    def failed_backup(self, run: RunId, database: str | None) -> PurePosixPath:
        """Return the metadata of a backup that failed in `run`; `database` is None for the users file."""
        directory = self.runs / run
        return directory / (f"{USERS}{METADATA}" if database is None else f"db_{names.encode(database)}{METADATA}")

    def restore_claim(self, claim: str) -> PurePosixPath:
        """Return the ledger's file for `claim` (``namespace.name.hash``, see ``ids.restore_claim``)."""
        return self.restores / names.encode(claim)

    def database(self, name: str) -> PurePosixPath:
        """Return the deepest directory that holds every backup of the database `name`."""
        return self.structure.database(hostname=self.hostname, database_id=self.database_id, database_name=name)

    def backup(self, name: str, local: datetime, *, number: int = 1) -> FileSet:
        """Return the files of the backup of `name` begun at `local` (aware, in the schedule's zone).

        `number` 2 and above is for names that are taken. Raise ValueError if `local` has no zone.
        """
        directory = self.structure.directory(
            hostname=self.hostname, database_id=self.database_id, database_name=name, day=names.day(local)
        )
        return FileSet(directory, f"{names.encode(name)}_{names.stamp(local)}_full{_suffix(number)}")

    def users(self, local: datetime, *, number: int = 1) -> FileSet:
        """Return the files of the backup of users and roles begun at `local`. As `backup` otherwise."""
        return FileSet(self.instance, f"{USERS}_{names.stamp(local)}{_suffix(number)}")

    def free_backup(self, name: str, local: datetime, *, taken: Iterable[str]) -> FileSet:
        """Return the first `backup` whose names are free; `taken` lists the directory's entries, hidden ones too."""
        return _first_free((self.backup(name, local, number=number) for number in _numbers()), taken)

    def free_users(self, local: datetime, *, taken: Iterable[str]) -> FileSet:
        """Return the first `users` whose names are free; `taken` lists the directory's entries, hidden ones too."""
        return _first_free((self.users(local, number=number) for number in _numbers()), taken)


def _numbers() -> range:
    return range(1, MAX_NUMBER + 1)


def _suffix(number: int) -> str:
    # after "_full": "." < "_", so a second backup of one second sorts after the first, and "…_full*" finds both
    if not 1 <= number <= MAX_NUMBER:
        raise ValueError(f"the number {number} of a repeated name is not within 1 and {MAX_NUMBER}")
    return "" if number == 1 else f"_{number}"


def _first_free(candidates: Iterator[FileSet], taken: Iterable[str]) -> FileSet:
    """Return the first candidate of whose files, tombstone included, none is in `taken`.

    Compared without case, because the volume may not tell cases apart. The tombstone counts: a deletion that was cut
    short would otherwise be finished on the files of the new backup. Raise StorageError if none is free.
    """
    occupied = {entry.casefold() for entry in taken}
    for files in candidates:
        if not any(
            path.name.casefold() in occupied for path in (files.data, files.checksum, files.metadata, files.tombstone)
        ):
            return files
    raise StorageError(
        f"{MAX_NUMBER} backups of one name and one second exist already", hint="Check the clock of this machine."
    )


def run_in_name(run: RunId) -> str:
    """Return `run` as it stands in a partial's name: cut like a long component above 55 bytes.

    Without that a database name of 150 bytes and a Job name of 63 would pass the 255 bytes of a file's name.
    """
    return names.shorten(run, limit=MAX_RUN_IN_NAME, exact=run.encode())


def partial(final: PurePosixPath, run: RunId) -> PurePosixPath:
    """Return ``.{name}.partial-{run}`` beside `final`: the name under which `run` writes it. For reports, too."""
    return final.with_name(f".{final.name}{PARTIAL}{run_in_name(run)}")


def checksum_line(digest: str, data: PurePosixPath) -> str:
    """Return the checksum file's content: hex digest, two blanks, bare name, newline. Encoded names need no escape."""
    return f"{digest}  {data.name}\n"


def _numbers_of(stamp: str) -> tuple[int, int, int, int, int, int]:
    # by hand: strptime took a third of the time that a listing takes
    day, time = stamp[:8], stamp[9:]
    return int(day[:4]), int(day[4:6]), int(day[6:]), int(time[:2]), int(time[2:4]), int(time[4:])


def parse_file_name(name: str) -> FileName | None:
    """Return what `name` tells: final, partial or tombstone; None if it is not of this format."""
    hidden = _HIDDEN.fullmatch(name)
    final = _FINAL.fullmatch(hidden["final"] if hidden else name)
    if final is None:
        return None
    component, part = final["component"], Part(final["part"])
    if component is not None and not names.is_component(component):
        return None
    if hidden and hidden["tombstone"] and part is not Part.METADATA:
        return None
    try:
        wall_clock = datetime(*_numbers_of(final["time"]))  # noqa: DTZ001 - the zone is in the metadata
    except ValueError:
        return None
    return FileName(
        stem=final["stem"],
        part=part,
        component=component,
        wall_clock=wall_clock,
        number=int(final["number"] or 1),
        run=hidden["run"] if hidden else None,
        tombstone=bool(hidden and hidden["tombstone"]),
    )

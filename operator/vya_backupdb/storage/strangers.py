"""What lies in an instance's directory and is no backup, shown as what it is: nothing here is ever removed by us.

Hidden names that are not ours are passed over, as are the directories of runs and restores. Links are named, not
followed. Raises OSError as it comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

from vya_backupdb.domain import layout
from vya_backupdb.storage.site import Site
from vya_backupdb.storage.volume import Directory


class Kind(StrEnum):
    """What it is."""

    PARTIAL = "partial"
    TOMBSTONE = "tombstone"
    NO_METADATA = "no-metadata"
    ALIEN = "alien"


@dataclass(frozen=True, slots=True)
class Stranger:
    """One file. `why` says in words what it is, and what may become of it."""

    path: Path
    kind: Kind
    why: str
    size_bytes: int


#: Levels that are looked into, each held open meanwhile: a structure has at most ten.
_DEEPEST: Final = 32

_WHY = {
    Kind.PARTIAL: "written by the run {run}; if that has ended, the next run removes it",
    Kind.TOMBSTONE: "a deletion that was cut short; the next run ends it",
    Kind.NO_METADATA: "no backup: it has no metadata; 'adopt' makes one of a dump",
    Kind.ALIEN: "not of this format: neither read nor removed",
}


def strangers(site: Site) -> Iterator[Stranger]:
    """Yield every file of the instance that belongs to no backup, directory by directory, sorted."""
    try:
        directory = site.descend(site.layout.instance)
    except FileNotFoundError:
        return
    with directory:
        yield from _below(directory, _DEEPEST)


def _below(directory: Directory, levels: int) -> Iterator[Stranger]:
    entries = sorted(directory.scan())
    names = {name for name, is_directory in entries if not is_directory}
    for name, is_directory in entries:
        if is_directory:
            if not name.startswith("."):
                yield from _inside(directory, name, levels - 1)
            continue
        kind = _kind(name, names)
        found = directory.stat(name) if kind is not None else None
        if kind is not None and found is not None:
            parsed = layout.parse_file_name(name)
            why = _WHY[kind].format(run=parsed.run if parsed else "")
            yield Stranger(directory.path / name, kind, why, found.st_size)


def _inside(directory: Directory, name: str, levels: int) -> Iterator[Stranger]:
    if levels == 0:
        yield Stranger(directory.path / name, Kind.ALIEN, "a directory so deep that nobody looks into it", 0)
        return
    try:
        child = directory.child(name)
    except FileNotFoundError:
        return  # a retention run removed it since the scan
    with child:
        yield from _below(child, levels)


def _kind(name: str, names: set[str]) -> Kind | None:
    """Return what the file `name` is among `names`, None if it belongs to a backup or is hidden and not ours."""
    parsed = layout.parse_file_name(name)
    if parsed is None:
        return None if name.startswith(".") else Kind.ALIEN
    if not parsed.is_final:
        return Kind.TOMBSTONE if parsed.tombstone else Kind.PARTIAL
    files = layout.FileSet(PurePosixPath(), parsed.stem)
    return None if files.metadata.name in names else Kind.NO_METADATA

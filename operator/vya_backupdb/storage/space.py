"""How much room the volume has."""

import os
from dataclasses import dataclass
from pathlib import Path

from vya_backupdb.domain.errors import NoSpace
from vya_backupdb.storage.faults import map_os_errors


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of the file system: those that we may still write, and all."""

    free_bytes: int
    total_bytes: int


def space(path: Path) -> Space:
    """Return the room of the file system that holds `path`, or its nearest existing parent."""
    with map_os_errors(f"asking {path} for free space"):
        existing = next((one for one in (path, *path.parents) if one.exists()), path)
        numbers = os.statvfs(existing)
    return Space(numbers.f_bavail * numbers.f_frsize, numbers.f_blocks * numbers.f_frsize)


def ensure_free(path: Path, *, min_free_bytes: int, needed_bytes: int = 0) -> Space:
    """Return the room at `path`. Raise NoSpace if, after `needed_bytes` more, less than `min_free_bytes` would be left.

    A volume without a single free byte is refused whatever `min_free_bytes` says.
    """
    found = space(path)
    left = found.free_bytes - needed_bytes
    if left < min_free_bytes or (found.free_bytes <= 0 and found.total_bytes > 0):
        raise NoSpace(
            f"{path} has {found.free_bytes} bytes free, {needed_bytes} are needed"
            f" and storage.min_free_bytes ({min_free_bytes}) must be left",
            hint="Enlarge the volume, lower the retention, or lower min_free_bytes.",
        )
    return found

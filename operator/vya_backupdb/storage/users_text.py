"""Users files outside of the tree: read by path, written to a path that nothing lies under yet.

They hold password hashes: what is written here is readable by its owner alone, and never replaces a file.
"""

import gzip
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from vya_backupdb.domain.errors import BackupCorrupt, ConfigurationError, NotFound
from vya_backupdb.storage.faults import map_os_errors

#: A server with 100,000 accounts has a file of about 60 MB; what is longer is none.
LIMIT_BYTES: Final = 512 << 20
_GZIP: Final = b"\x1f\x8b"
_PIECE_BYTES: Final = 1 << 20


def decoded(pieces: Iterable[bytes], *, source: str) -> str:
    """Return the text of a file. Raise BackupCorrupt if it is too long, or no UTF-8."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > LIMIT_BYTES:
            raise BackupCorrupt(f"{source}: is longer than a users file can be", hint="Name another file.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BackupCorrupt(f"{source}: is no UTF-8 text", hint="Name a users file.") from None


def read(path: Path) -> str:
    """Return the text of the file at `path`, inflated where it is gzip. Raise NotFound, BackupCorrupt, StorageError."""
    with map_os_errors(f"reading {path}"):
        try:
            with path.open("rb") as file:
                zipped = file.read(len(_GZIP)) == _GZIP
            with gzip.open(path, "rb") if zipped else path.open("rb") as file:
                return decoded(iter(lambda: file.read(_PIECE_BYTES), b""), source=str(path))
        except FileNotFoundError:
            raise NotFound(f"there is no file {path}", hint="Check the path.") from None
        except (EOFError, gzip.BadGzipFile) as error:
            raise BackupCorrupt(f"{path}: is no whole gzip file: {error}", hint="Take another one.") from None


def write(path: Path, chunks: Iterable[bytes]) -> int:
    """Write `chunks` to `path`, mode 0600, compressed where the name ends with ``.gz``; return the bytes of the text.

    A file that exists is not touched (ConfigurationError); what fails leaves none. Raise NoSpace, StorageUnavailable.
    """
    with map_os_errors(f"writing {path}"):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            raise ConfigurationError(f"{path} exists already", hint="Name a file that does not exist.") from None
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                if path.suffix == ".gz":
                    with gzip.GzipFile("", "wb", 6, file, 0) as packed:
                        total = sum(map(packed.write, chunks))
                else:
                    total = sum(map(file.write, chunks))
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
    return total

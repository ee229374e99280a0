"""A dump by its path, wherever it lies: one of ours, with its metadata beside it, or a foreign ``.sql`` or ``.sql.gz``.

Of ours everything is checked as in the tree. Of a foreign one nothing is known but what it says itself: whether it is
gzip is told by its first bytes, never by its name, and a gzip must be whole. The path is the user's own: links in it
are followed, what lies beside the file is not.
"""

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Final

from vya_backupdb.domain import layout
from vya_backupdb.domain.errors import BackupCorrupt, ConfigurationError, NotFound
from vya_backupdb.domain.metadata import parse_metadata
from vya_backupdb.domain.structure import DEFAULT_STRUCTURE
from vya_backupdb.storage import catalog, verify
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.compress import READ_BYTES, gunzip
from vya_backupdb.storage.faults import map_os_errors
from vya_backupdb.storage.volume import Directory, Volume

_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
#: What else people have, by its first bytes.
_OTHERS: Final = (
    (b"PGDMP", "pg_dump's custom format", "Make a plain one of it: pg_restore --file=dump.sql …"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "Unpack it first: zstd -d …"),
    (b"\xfd7zXZ", "compressed by xz", "Unpack it first: xz -d …"),
    (b"BZh", "compressed by bzip2", "Unpack it first: bzip2 -d …"),
    (b"PK\x03\x04", "a zip archive", "Unpack it first."),
)


def stored_at(path: Path) -> StoredBackup | None:
    """Return the backup of ours whose data file `path` is; None for a foreign file. Raise BackupCorrupt if damaged."""
    parsed = layout.parse_file_name(path.name)
    if parsed is None or not parsed.is_final or parsed.part is not layout.Part.DATA or parsed.is_users:
        return None
    files = layout.FileSet(PurePosixPath(), parsed.stem)
    with map_os_errors(f"reading {path}"), _beside(path) as directory:
        if directory.stat(files.metadata.name) is None:
            return None
        content = directory.read(files.metadata.name, limit=catalog.METADATA_LIMIT_BYTES)
        info = parse_metadata(content, source=files.metadata.name).backup_info
        tree = layout.Tree(info.hostname, info.database_id, DEFAULT_STRUCTURE)
        stored = catalog.read_backup(tree, directory, files, parsed.wall_clock)
    if stored is None:
        raise NotFound(f"{path} is gone", hint="It was deleted meanwhile.")
    if stored.problem is not None:
        raise BackupCorrupt(f"{path}: {stored.problem}", hint="Take another one.")
    return stored


def _beside(path: Path) -> Directory:
    return Volume(path.resolve().parent).root()


def read_stored(path: Path, stored: StoredBackup) -> Iterator[bytes]:
    """Yield the SQL of a backup of ours. Raise BackupCorrupt, at the latest at the end."""
    with map_os_errors(f"reading {path}"), _beside(path) as directory:
        yield from verify.plain(directory, stored)


def check_stored(path: Path, stored: StoredBackup) -> None:
    """Raise BackupCorrupt unless the checksum file says what the metadata file is and says."""
    with map_os_errors(f"reading {path}"), _beside(path) as directory:
        verify.check_companion(directory, stored)


def read_foreign(path: Path) -> Iterator[bytes]:
    """Yield the SQL in a foreign file, without a byte order mark. Raise BackupCorrupt for a gzip that is not whole.

    Raise ConfigurationError for what is no SQL, NotFound if it is not there.
    """
    with closing(_pieces(path)) as raw:
        pieces: Iterator[bytes] = raw
        first = next(pieces, b"")
        if first.startswith(_GZIP):
            pieces = gunzip(_again(first, raw), source=str(path))
            first = next(pieces, b"")
        _require_text(path, first)
        yield first.removeprefix(_BOM)
        yield from pieces


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _pieces(path: Path) -> Generator[bytes, None, None]:
    with map_os_errors(f"reading {path}"):
        try:
            # NONBLOCK: opening a FIFO would wait for ever
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"{path} does not exist", hint="Check the path.") from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationError(f"{path} is no regular file", hint="Name the file itself.")
            while chunk := os.read(descriptor, READ_BYTES):
                yield chunk
        finally:
            os.close(descriptor)


def _require_text(path: Path, first: bytes) -> None:
    for magic, what, hint in _OTHERS:
        if first.startswith(magic):
            raise ConfigurationError(f"{path} is {what}, not plain SQL", hint=hint)
    if first[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise ConfigurationError(f"{path} is in UTF-16", hint="Convert it: iconv -f UTF-16 -t UTF-8 …")

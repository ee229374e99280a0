"""Whether a backup's bytes are those that were published: size, checksum, gzip to its end, and the checksum file.

Whether the SQL inside is complete is its engine's judgement; the last bytes are returned for that.
"""

import hashlib
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Final

from vya_backupdb.domain.errors import BackupCorrupt, NotFound
from vya_backupdb.domain.metadata import parse_metadata
from vya_backupdb.storage import removal
from vya_backupdb.storage.catalog import METADATA_LIMIT_BYTES, StoredBackup, broken_seal
from vya_backupdb.storage.compress import READ_BYTES, gunzip
from vya_backupdb.storage.faults import map_os_errors
from vya_backupdb.storage.volume import Directory

TAIL_BYTES: Final = 64 << 10
_HINT: Final = "The backup is not used; take another one ('list' shows them)."


def plain(directory: Directory, stored: StoredBackup) -> Iterator[bytes]:
    """Yield the SQL of `stored`, whose open directory is given, in pieces of at most 256 KiB.

    Raise BackupCorrupt as soon as a byte is known to be wrong, at the latest after the last piece: whoever must not act
    on a damaged backup consumes it once before.
    """
    if stored.metadata is None or stored.metadata.file_info is None or stored.problem is not None:
        raise BackupCorrupt(f"{stored.path}: {stored.problem or 'no metadata'}", hint=_HINT)
    total = 0
    # closed here: after an error the file, and the lock on it, would wait for the garbage collector
    with closing(_compressed(directory, stored)) as compressed:
        for piece in gunzip(compressed, source=str(stored.path)):
            total += len(piece)
            yield piece
    expected = stored.metadata.uncompressed_bytes
    if expected is not None and total != expected:
        raise BackupCorrupt(f"{stored.path}: inflates to {total} bytes, its metadata says {expected}", hint=_HINT)


def _compressed(directory: Directory, stored: StoredBackup) -> Generator[bytes, None, None]:
    """Yield the file's bytes; raise BackupCorrupt at the end if size or checksum are not those of the metadata."""
    info = stored.metadata.file_info if stored.metadata else None
    if info is None:
        return
    digest = hashlib.new(info.checksum_algorithm, usedforsecurity=False)
    size = 0
    with map_os_errors(f"reading {stored.path}"):
        try:
            descriptor = removal.shared(directory, stored.files.data.name)
        except FileNotFoundError:
            raise gone(stored) from None
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while chunk := os.read(descriptor, READ_BYTES):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        finally:
            os.close(descriptor)
    if size != info.size_bytes:
        raise BackupCorrupt(f"{stored.path}: has {size} bytes, its metadata says {info.size_bytes}", hint=_HINT)
    if digest.hexdigest() != info.checksum:
        raise BackupCorrupt(f"{stored.path}: the checksum is not that of its metadata", hint=_HINT)


def check_companion(directory: Directory, stored: StoredBackup) -> None:
    """Raise BackupCorrupt unless the checksum file fits the metadata file, and that still is what was listed."""
    with map_os_errors(f"reading {stored.path}"):
        try:
            content = directory.read(stored.files.metadata.name, limit=METADATA_LIMIT_BYTES)
        except FileNotFoundError:
            raise gone(stored) from None
    metadata = parse_metadata(content, source=stored.files.metadata.name)
    problem = broken_seal(directory, stored.files, metadata, content)
    if problem is None and metadata != stored.metadata:
        problem = "its metadata changed since it was listed"
    if problem is not None:
        raise BackupCorrupt(f"{stored.path}: {problem}", hint=_HINT)


def gone(stored: StoredBackup) -> NotFound:
    """Return the error for a backup that was deleted since it was listed."""
    return NotFound(f"{stored.path} is gone", hint="It was deleted meanwhile; see 'list'.")


def tail_of(pieces: Iterator[bytes]) -> bytes:
    """Consume `pieces` and return the last 64 KiB."""
    tail = b""
    for piece in pieces:
        tail = (tail + piece)[-TAIL_BYTES:]
    return tail

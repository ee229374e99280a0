"""A dump that somebody else made becomes a backup: read whole, judged, copied into the tree, published like our own.

The file itself is never touched, nor linked: whoever owns it may change it later, and a backup never changes. One gzip
member is copied as it is; plain SQL, and a gzip of several members, are compressed anew. The closing marker of the
dialect is required, without exception: a dump that was cut cannot be told from one that never had a marker, and
no restore of ours would take it. What is not known about a foreign dump (how its snapshot was taken, what its schema
was) stays unknown in its metadata.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vya_backupdb import __version__
from vya_backupdb.domain.config import AppConfig, DatabaseConfig, Flavor
from vya_backupdb.domain.errors import ConfigurationError, DumpFailed, NotFound
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.metadata import BackupInfo, BackupMetadata, Consistency, RunInfo, ToolInfo
from vya_backupdb.domain.schedule import parse_time_zone
from vya_backupdb.domain.series import ADOPTED, CLOCK_TOLERANCE
from vya_backupdb.dumper import pipeline
from vya_backupdb.dumper.backup import timed
from vya_backupdb.dumper.pipeline import Meter, Passed
from vya_backupdb.dumper.session import Tools
from vya_backupdb.engines.registry import judge_for, reach_for, scanner_for
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.compress import READ_BYTES, GzipWriter, crc32, gunzip_members
from vya_backupdb.storage.faults import map_os_errors
from vya_backupdb.storage.pending import PendingBackup
from vya_backupdb.storage.tree import InstanceTree

HEAD_BYTES: Final = 8 << 10
_GZIP: Final = b"\x1f\x8b"
_CLIENTS: Final = (
    re.compile(rb"^-- (?P<client>MariaDB|MySQL) dump (?P<version>[0-9][^\s,]*)", re.MULTILINE),
    re.compile(rb"^-- Dumped by (?P<client>pg_dump) version (?P<version>[0-9][^\s]*)", re.MULTILINE),
)
_SERVERS: Final = (
    re.compile(rb"^-- Server version\t(?P<version>[0-9]\S*)", re.MULTILINE),
    re.compile(rb"^-- Dumped from database version (?P<version>[0-9]\S*)", re.MULTILINE),
)
_FLAVORS: Final = {"MariaDB": Flavor.MARIADB, "MySQL": Flavor.MYSQL}
_PROGRAMS: Final = {"MariaDB": "mariadb-dump", "MySQL": "mysqldump"}


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `taken_at` (aware) is when the dump began; None takes the file's own time."""

    run: RunId
    file: Path
    database: str
    taken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Foreign:
    """The file as it was read the first time."""

    passed: Passed
    head: bytes
    single_member: bool
    taken_at: datetime


def adopt(app: AppConfig, config: DatabaseConfig, tree: InstanceTree, tools: Tools, order: Order) -> StoredBackup:
    """Make a backup of the file, and return it. No server is asked, and the file stays where it is.

    Raise DumpFailed if it is no complete dump of one database in the instance's dialect, BackupCorrupt if its gzip is
    damaged, ConfigurationError for a name or a time that cannot be, StorageUnavailable or NoSpace.
    """
    _require_name(order.database)
    with _opened(order.file) as descriptor:
        foreign = _look(descriptor, config, order, tools)
        _require_past(foreign.taken_at, tools.clock())
        with tree.lock_run(order.run):
            tree.claim(app.owner, None)
            tree.recover()
            zone = parse_time_zone(app.time_zone, field="time_zone")
            with tree.open(order.database, foreign.taken_at.astimezone(zone), order.run) as pending:
                _copy(descriptor, pending, foreign, order, tools, level=app.storage.compression_level)
                pending.finish()
                _require_same(pending, foreign, tools)
                draft = _metadata(config, order, foreign, taken_at=foreign.taken_at.astimezone(zone))
                return pending.publish(timed(draft, 0))


def _require_name(database: str) -> None:
    if not database:
        raise ConfigurationError("--database is empty", hint="Give the name of the database that the dump is of.")


def _require_past(taken_at: datetime, now: datetime) -> None:
    if taken_at > now + CLOCK_TOLERANCE:
        raise ConfigurationError(
            f"the dump would be dated {taken_at.isoformat(timespec='seconds')}, which is to come",
            hint="Say with --taken-at when it was made.",
        )


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    """Give a descriptor of the regular file. NB: O_NONBLOCK, because opening a FIFO would wait for ever."""
    with map_os_errors(f"reading {file}"):
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"there is no file {file}", hint="Give the path of a .sql or .sql.gz file.") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigurationError(f"{file} is not a regular file", hint="Write what it gives into a file first.")
        yield descriptor
    finally:
        os.close(descriptor)


def _raw(descriptor: int, tools: Tools, file: Path) -> Iterator[bytes]:
    """Yield the bytes of the file from its beginning."""
    with map_os_errors(f"reading {file}"):
        os.lseek(descriptor, 0, os.SEEK_SET)
        while chunk := os.read(descriptor, READ_BYTES):
            tools.stop.check()
            yield chunk


def _plain(descriptor: int, tools: Tools, file: Path, ended: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the SQL in the file; `ended` learns of how many gzip members it consisted, 0 for plain text."""
    is_gzip = os.pread(descriptor, len(_GZIP), 0) == _GZIP
    raw = _raw(descriptor, tools, file)
    yield from gunzip_members(raw, source=str(file), ended=ended) if is_gzip else raw


def _look(descriptor: int, config: DatabaseConfig, order: Order, tools: Tools) -> _Foreign:
    """Read all of the file. Raise DumpFailed unless it is one whole dump, in this dialect, of one database.

    Raise RestoreFailed if it holds what a restore refuses on any server: it would be no backup.
    """
    scanner, reach, judge = scanner_for(config.type), reach_for(config.type), None
    members: list[int] = []
    head, total, crc = b"", 0, 0
    for piece in _plain(descriptor, tools, order.file, members.append):
        head = head if len(head) >= HEAD_BYTES else (head + piece)[:HEAD_BYTES]
        total, crc = total + len(piece), crc32(piece, crc)
        scanner.feed(piece)
        if judge is None:
            mariadb = _flavor(config, head) is not Flavor.MYSQL
            judge = judge_for(config.type, order.database, reach, mariadb=mariadb)
        judge.feed(piece)
    passed = Passed(scanner.result(), total, crc)
    if not passed.scan.complete:
        raise DumpFailed(
            f"{order.file} is no complete dump for {config.type.value}: {passed.scan.problem}",
            hint="Load it into a database, look whether all is there, and back that up.",
        )
    judged = judge.result() if judge is not None else None
    if reach.found:
        raise DumpFailed(
            f"{order.file} is not a dump of {order.database!r} alone: {reach.found}",
            hint="Load it into a server of its own, and back up the databases there.",
        )
    if reach.fills and not reach.makes:
        raise DumpFailed(
            f"{order.file} holds rows and makes no table: a dump of data alone can be restored nowhere",
            hint="Dump it with its definitions (without --data-only, --no-create-info).",
        )
    if judged is not None:
        judged.require_loadable(order.file)
    found = os.fstat(descriptor)
    taken_at = order.taken_at or datetime.fromtimestamp(found.st_mtime, UTC).replace(microsecond=0)
    return _Foreign(passed, head, members == [1], taken_at)


def _copy(
    descriptor: int, pending: PendingBackup, foreign: _Foreign, order: Order, tools: Tools, *, level: int
) -> None:
    if foreign.single_member:
        for chunk in _raw(descriptor, tools, order.file):
            pending.write(chunk)
        return
    with GzipWriter(pending, level=level) as gzip:
        for piece in _plain(descriptor, tools, order.file, lambda _members: None):
            gzip.write(piece)


def _require_same(pending: PendingBackup, foreign: _Foreign, tools: Tools) -> None:
    """Read the copy back from the disk. Raise DumpFailed unless it holds what was judged: the file may have changed."""
    meter = Meter(tools.say, name=pending.id, kind="database", lock=None)
    again = pipeline.read_back(pending.reread(), meter=meter, source=pending.id, check=tools.stop.check)
    if again != foreign.passed.content:
        raise DumpFailed(f"{pending.id}: the copy holds other content than the file had", hint="Does it still grow?")


def _metadata(config: DatabaseConfig, order: Order, foreign: _Foreign, *, taken_at: datetime) -> BackupMetadata:
    tool = _tool(foreign.head)
    return BackupMetadata(
        backup_info=BackupInfo(
            database_id=config.id,
            database_name=order.database,
            database_type=config.type,
            hostname=config.tree_hostname,
            timestamp=taken_at,
            duration_seconds=0,
            status="partial",  # the model refuses a success without a file
        ),
        tool=tool,
        run=RunInfo(id=order.run, reason=ADOPTED),
        flavor=_flavor(config, foreign.head),
        tables=foreign.passed.scan.tables or None,  # of INSERTs by pg_dump none are counted
        uncompressed_bytes=foreign.passed.raw_bytes,
        consistency=Consistency(scope="none", method="adopted: not known"),
        warnings=(
            f"adopted from {order.file.name}: how it was made, and whether its snapshot was consistent, is not known",
        ),
    )


def _flavor(config: DatabaseConfig, head: bytes) -> Flavor | None:
    """Return which product's dump it is: what its head tells, else what is configured."""
    tool = _tool(head)
    return _FLAVORS.get(tool.server_product) if tool else config.flavor


def _tool(head: bytes) -> ToolInfo | None:
    """Return which client made it of which server, as far as its head tells; None where it does not."""
    client = next(filter(None, (one.search(head) for one in _CLIENTS)), None)
    server = next(filter(None, (one.search(head) for one in _SERVERS)), None)
    if client is None or server is None:
        return None
    version = server["version"].decode("utf-8", "replace")
    name = client["client"].decode()
    product = "PostgreSQL" if name == "pg_dump" else "MariaDB" if "MariaDB" in version else "MySQL"
    return ToolInfo.model_validate(
        {
            "version": __version__,
            "client": f"{_PROGRAMS.get(name, name)} {client['version'].decode('utf-8', 'replace')}",
            "server_product": product,
            "server_version": version,
        }
    )

"""The way of the bytes: client → scanner → gzip → hash and file, in pieces of 256 KiB; and back again.

Memory is constant: a few blocks, whatever the size. Nothing here decides whether a dump is good, except that a failed
source never gets a gzip trailer: a truncated file must not look whole.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final, Protocol

from vya_backupdb.dumper.events import Event, Kind, Listener, Moved
from vya_backupdb.engines.base import HeldLock, ScanResult, StreamScanner
from vya_backupdb.storage.compress import GzipWriter, crc32, gunzip

TELL_EVERY_SECONDS: Final = 0.25
LOCK_EVERY_SECONDS: Final = 30.0


class Sink(Protocol):
    """Where compressed bytes go; `storage.tree` gives it."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`; return how many bytes that was."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What went through: the scan, and of the bytes before compression their number and, where asked, their CRC-32."""

    scan: ScanResult
    raw_bytes: int
    crc32: int | None = None

    @property
    def content(self) -> "Content":
        """What tells these bytes from any others."""
        return Content(self.raw_bytes, self.crc32)


@dataclass(frozen=True, slots=True)
class Content:
    """What tells a stream from any other: how many bytes it has, and their CRC-32."""

    raw_bytes: int
    crc32: int | None


class Meter:
    """Counts what passes in one step of one database, tells it four times a second, and looks after its lock."""

    def __init__(
        self, say: Listener, *, name: str, kind: Kind, lock: HeldLock | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._name, self._kind, self._lock, self._now = say, name, kind, lock, now
        self._told = self._verified = now()
        self.raw_bytes = 0
        self.file_bytes = 0

    def passed(self, raw_bytes: int) -> None:
        """Count `raw_bytes` more. Raise DumpFailed if the lock was lost."""
        self.raw_bytes += raw_bytes
        moment = self._now()
        if moment - self._told >= TELL_EVERY_SECONDS:
            self._told = moment
            self._say(Moved(self._name, self._kind, self.raw_bytes, self.file_bytes))
        if self._lock is not None and moment - self._verified >= LOCK_EVERY_SECONDS:
            self._verified = moment
            self._lock.verify()


@dataclass(slots=True)
class _Counted:
    """Passes writes on, and keeps the meter's count of compressed bytes."""

    sink: Sink
    meter: Meter

    def write(self, data: bytes) -> int:
        written = self.sink.write(data)
        self.meter.file_bytes += written
        return written


def write_dump(
    sink: Sink, source: Callable[[Callable[[bytes], None]], None], *, level: int, scanner: StreamScanner, meter: Meter
) -> Passed:
    """Write what `source` gives to its argument into `sink`, compressed at `level`, and return what was seen.

    `source` returns only after a good end: its error, like the sink's, goes on, and leaves a file without a trailer.
    """
    crc = 0
    with GzipWriter(_Counted(sink, meter), level=level) as gzip:

        def take(chunk: bytes) -> None:
            nonlocal crc
            scanner.feed(chunk)
            crc = crc32(chunk, crc)
            gzip.write(chunk)
            meter.passed(len(chunk))

        source(take)
    return Passed(scanner.result(), meter.raw_bytes, crc)


def read_back(compressed: Iterable[bytes], *, meter: Meter, source: str, check: Callable[[], None]) -> Content:
    """Inflate `compressed` to its end and return what it held. Raise BackupCorrupt naming `source`.

    Nothing is scanned again: what is the same to the last bit holds the same tables, rows and closing marker.
    `check` is called with each piece; it raises to give up.
    """
    crc = 0
    for chunk in gunzip(compressed, source=source):
        check()
        crc = crc32(chunk, crc)
        meter.passed(len(chunk))
    return Content(meter.raw_bytes, crc)


class Reread:
    """A file that is read back in a thread of its own while it is written; `result` waits for the end of that."""

    def __init__(self, read: Callable[[Listener], Content], say: Listener) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="reread")
        self._say, self._loud = say, False
        self._future = self._pool.submit(read, self._tell)

    def result(self, lock: HeldLock | None) -> Content:
        """Tell from now on how far it is, look after `lock`, and return what came back. Raise what reading raised."""
        self._loud = True
        while wait((self._future,), timeout=LOCK_EVERY_SECONDS).not_done:
            if lock is not None:
                lock.verify()
        return self._future.result()

    def close(self) -> None:
        """Wait for the thread; whoever writes the file has ended or given up."""
        self._pool.shutdown()

    def _tell(self, event: Event) -> None:
        if self._loud:
            self._say(event)

"""gzip: one member, byte-deterministic, readable by every ``zcat``.

Writing: `GzipWriter` over anything with ``write``, in the thread that calls it: while a block is deflated, outside the
GIL, the client goes on writing into its pipe, which holds several blocks. A thread more would only cost memory (queues)
and time (switches). An error of the sink surfaces at once, and after any error no trailer is written: a truncated file
must not look whole. Reading: `gunzip`, which takes exactly one whole member with nothing after it, in bounded memory
whatever the ratio.

Levels, measured 2026-11 on one core of a busy 2-core machine, 121 MB of generated INSERTs (numbers, times, words, hex;
in brackets Chinook for PostgreSQL, 0.6 MB, size only):

    level   by           MB/s   size left          not used     MB/s   size left
    1-3     ISA-L 1       262   52.8 % (28.3 %)    ISA-L 0       223   61.3 % (32.1 %)
    4-6     ISA-L 2       238   50.6 % (27.9 %)    zlib-ng 2      87   49.7 % (28.3 %)
    7-9     ISA-L 3       178   49.9 % (27.4 %)    zlib-ng 6/9    57/22   47.8/47.6 % (26.1/25.6 %)
                                                   zlib 6/9       18/14   47.8/47.6 % (25.7/25.4 %)

So ISA-L is taken at every level: zlib-ng would save another 4 to 6 % of the file at three to eight times the CPU, which
the database server next door needs more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol, Self

from isal import isal_zlib

from vya_backupdb.domain.errors import BackupCorrupt

BLOCK_BYTES: Final = 1 << 18
#: So much of a file is read, and inflated, at a time: what is left of a larger piece is copied again and again.
READ_BYTES: Final = 1 << 17
_GZIP: Final = 31
_DAMAGED: Any = isal_zlib.error
_NOT_USED: Final = "The backup is not used; take an older one ('list' shows them)."

#: ``storage.compression_level`` to ISA-L's level. ISA-L's own 0 is not offered: its 1 is faster *and* smaller on SQL.
LEVELS: Final[Mapping[int, int]] = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 3, 8: 3, 9: 3}


class Sink(Protocol):
    """Where compressed bytes go. `write` takes all of them or raises."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`; return how many bytes that was."""
        ...


class GzipWriter:
    """A gzip member being written. `level` is 1 to 9 as in the configuration.

    Leaving the ``with`` block by an exception aborts; otherwise it closes.
    """

    def __init__(self, sink: Sink, *, level: int) -> None:
        self._sink = sink
        self._open = True
        self._block = bytearray()
        self.plain_bytes = 0
        self._deflate: Any = isal_zlib.compressobj(LEVELS[level], isal_zlib.DEFLATED, _GZIP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_exception: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take all of `data` and return its length in bytes. Raise what the sink raised; then all is void."""
        view = memoryview(data).cast("B")
        length = len(view)
        while view:
            # blocks of one size whatever the pieces: else the same dump through a slower pipe would give other bytes
            if not self._block and len(view) >= BLOCK_BYTES:
                self._pack(view[:BLOCK_BYTES])
                view = view[BLOCK_BYTES:]
                continue
            room = BLOCK_BYTES - len(self._block)
            self._block += view[:room]
            view = view[room:]
            if len(self._block) == BLOCK_BYTES:
                self._flush_block()
        self.plain_bytes += length
        return length

    def _flush_block(self) -> None:
        block, self._block = self._block, bytearray()
        self._pack(block)

    def _pack(self, block: bytearray | memoryview) -> None:
        if not self._open:
            raise ValueError("the writer was closed")
        self._put(self._deflate.compress(block))

    def _put(self, packed: bytes) -> None:
        if packed:
            try:
                self._sink.write(packed)
            except BaseException:
                self.abort()
                raise

    def close(self) -> None:
        """Write what is left and the trailer. Raise what the sink raised; then there is no trailer."""
        if not self._open:
            return
        self._flush_block()
        self._put(self._deflate.flush())
        self._open = False

    def abort(self) -> None:
        """End without a trailer; nothing more reaches the sink. Further calls do nothing."""
        self._open = False


def crc32(data: bytes | bytearray | memoryview, before: int = 0) -> int:
    """Return the CRC-32 of `data` after bytes whose CRC-32 is `before`."""
    return int(isal_zlib.crc32(data, before))


def gunzip(chunks: Iterable[bytes], *, source: str) -> Iterator[bytes]:
    """Yield the plain bytes of the one gzip member in `chunks`, in pieces of at most 256 KiB.

    Raise BackupCorrupt, naming `source`, if it is damaged, ends early, or anything follows it. NB: only whoever has
    consumed the iterator to its end knows that the member is whole.
    """
    decompressor = isal_zlib.decompressobj(_GZIP)
    for chunk in chunks:
        if decompressor.eof:
            raise BackupCorrupt(f"{source}: bytes follow the end of the gzip member", hint=_NOT_USED)
        yield from _inflate(decompressor, chunk, source)
        if decompressor.unused_data:
            raise BackupCorrupt(f"{source}: bytes follow the end of the gzip member", hint=_NOT_USED)
    if not decompressor.eof:
        raise BackupCorrupt(f"{source}: the gzip member ends early", hint=_NOT_USED)


def gunzip_members(chunks: Iterable[bytes], *, source: str, ended: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the plain bytes of all gzip members in `chunks`, as ``zcat`` does; `ended` learns how many there were.

    Raise BackupCorrupt, naming `source`, if one is damaged or ends early, or anything else follows the last.
    """
    members, decompressor = 0, None
    for chunk in chunks:
        while chunk:
            decompressor = decompressor or isal_zlib.decompressobj(_GZIP)
            yield from _inflate(decompressor, chunk, source)
            chunk = b""
            if decompressor.eof:
                members, chunk, decompressor = members + 1, decompressor.unused_data, None
    if decompressor is not None or members == 0:
        raise BackupCorrupt(f"{source}: the gzip member ends early", hint=_NOT_USED)
    ended(members)


def _inflate(decompressor: Any, chunk: bytes, source: str) -> Iterator[bytes]:
    """Yield what `chunk` inflates to, at most 256 KiB at a time: a hostile file may hold a thousand times its size."""
    while chunk and not decompressor.eof:
        try:
            plain = decompressor.decompress(chunk, BLOCK_BYTES)
        except _DAMAGED as error:
            raise BackupCorrupt(f"{source}: {str(error).lower()}", hint=_NOT_USED) from None
        chunk = decompressor.unconsumed_tail
        if plain:
            yield plain
        elif not chunk:
            return

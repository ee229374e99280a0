"""One member, the same bytes for the same input, and no error that hides, hangs, or leaves a file that looks whole."""

import gzip
import random
import subprocess
import zlib
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vya_backupdb.domain.errors import BackupCorrupt, NoSpace
from vya_backupdb.storage.compress import BLOCK_BYTES, LEVELS, GzipWriter, gunzip


class Memory:
    """A sink that fails once it holds more than `room` bytes."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.data = bytearray()
        self.room = room

    def write(self, data: bytes, /) -> int:
        self.data += data[: max(0, self.room - len(self.data))]
        if len(self.data) >= self.room:
            raise NoSpace("writing into the test's memory: no space left on device")
        return len(data)


def _compress(data: bytes, *, level: int = 6, piece: int = 1 << 16) -> bytes:
    sink = Memory()
    with GzipWriter(sink, level=level) as writer:
        for start in range(0, len(data), piece):
            writer.write(data[start : start + piece])
    assert writer.plain_bytes == len(data)
    return bytes(sink.data)


def _plain(data: bytes, *, piece: int = 1 << 16) -> bytes:
    pieces = (data[start : start + piece] for start in range(0, len(data), piece))
    return b"".join(gunzip(pieces, source="test.sql.gz"))


SQL = b"".join(b"INSERT INTO t VALUES (%d, '%d');\n" % (i, i * i) for i in range(100_000))


@pytest.mark.parametrize("level", LEVELS)
def test_round_trip(level: int) -> None:
    data = _compress(SQL, level=level)
    assert _plain(data) == gzip.decompress(data) == SQL
    assert len(data) < len(SQL) / 2


@pytest.mark.parametrize("piece", [777, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, len(SQL)])
def test_one_member_and_the_same_bytes_however_it_is_fed(piece: int) -> None:
    data = _compress(SQL)
    assert data == _compress(SQL, piece=piece)
    member = zlib.decompressobj(31)
    assert len(member.decompress(data)) == len(SQL)
    assert member.eof
    assert member.unused_data == b""
    assert data[4:8] == b"\0\0\0\0", "a time in the header would make two dumps of one database differ"


def test_an_empty_dump_is_a_whole_member() -> None:
    assert _plain(_compress(b"")) == b""


def test_zcat_reads_it() -> None:
    assert subprocess.run(["zcat"], input=_compress(SQL), capture_output=True, check=True).stdout == SQL


@given(st.binary(max_size=4096), st.integers(1, 512), st.sampled_from(sorted(LEVELS)))
@settings(max_examples=50)
def test_any_bytes_in_any_pieces(data: bytes, piece: int, level: int) -> None:
    assert _plain(_compress(data, level=level, piece=piece), piece=piece) == data


@pytest.mark.parametrize("room", [0, 5, 10, 1000, 1_000_000, 3_000_000])
def test_a_sink_that_fails_is_told(room: int) -> None:
    sink = Memory(room)
    noise = random.Random(1).randbytes(BLOCK_BYTES)
    with pytest.raises(NoSpace):
        _write(GzipWriter(sink, level=1), [noise] * 64)
    _assert_not_whole(bytes(sink.data))


def _assert_not_whole(data: bytes) -> None:
    with pytest.raises(BackupCorrupt):
        _plain(data)


def _write(writer: GzipWriter, pieces: Iterable[bytes]) -> None:
    with writer:
        for piece in pieces:
            writer.write(piece)


def _dying_client() -> Iterator[bytes]:
    yield SQL
    raise KeyError("the client died")


def _leave_by_an_error(writer: GzipWriter) -> None:
    with pytest.raises(KeyError):
        _write(writer, _dying_client())


def _abort_twice(writer: GzipWriter) -> None:
    writer.write(SQL)
    writer.abort()
    writer.abort()


def _abort_then_close(writer: GzipWriter) -> None:
    writer.write(SQL[:100])
    writer.abort()
    writer.close()


@pytest.mark.parametrize("leave", [_leave_by_an_error, _abort_twice, _abort_then_close])
def test_aborting_writes_no_trailer(leave: Callable[[GzipWriter], None]) -> None:
    sink = Memory()
    leave(GzipWriter(sink, level=6))
    _assert_not_whole(bytes(sink.data))
    size = len(sink.data)
    assert size < len(_compress(SQL))


def test_an_error_at_the_close_leaves_no_trailer() -> None:
    whole = _compress(SQL[:1000])
    for room in range(1, len(whole)):
        sink = Memory(room)
        with pytest.raises(NoSpace), GzipWriter(sink, level=6) as writer:
            writer.write(SQL[:1000])
        _assert_not_whole(bytes(sink.data))


def test_every_truncation_flip_and_appendix_is_found() -> None:
    whole = _compress(SQL[:2000])
    for end in range(len(whole)):
        _assert_not_whole(whole[:end])
    for extra in (b"\0", b"junk", whole, b"\x1f\x8b"):
        _assert_not_whole(whole + extra)
    body = range(10, len(whole))  # the header's time and system may be anything
    for position in (*range(4), *body):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            try:
                plain = _plain(bytes(damaged))
            except BackupCorrupt:
                continue
            assert plain == SQL[:2000], f"bit {bit} of byte {position} went unnoticed"


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_are_corrupt_and_nothing_worse(data: bytes) -> None:
    _assert_not_whole(data)
    _assert_not_whole(b"\x1f\x8b\x08\x00\0\0\0\0\0\xff" + data)


def test_a_bomb_comes_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(50 << 20), 9)
    sizes = [len(piece) for piece in gunzip([bomb], source="bomb")]
    assert sum(sizes) == 50 << 20
    assert max(sizes) <= BLOCK_BYTES


@pytest.mark.parametrize("step", range(-12, 13))
def test_an_end_at_the_border_of_a_piece_is_an_end(step: int) -> None:
    plain = bytes(2 * BLOCK_BYTES + step)
    for data in (_compress(plain), gzip.compress(plain)):
        assert _plain(data) == plain
        assert _plain(data, piece=1) == plain

"""What is read ahead is what was there, in order; an error comes in its place; and no thread outlives its reader."""

import threading
from collections.abc import Iterator

import pytest

from vya_backupdb.domain.errors import BackupCorrupt
from vya_backupdb.dumper.ahead import PIECES, ahead

NAMES = [b"%d" % number for number in range(100)]


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("ahead")]


def damaged() -> Iterator[bytes]:
    yield from NAMES[:10]
    raise BackupCorrupt("the rest is missing")


def endless(given: list[int]) -> Iterator[bytes]:
    while True:
        given.append(1)
        yield b"more"


def test_all_pieces_come_in_order() -> None:
    for names in (NAMES, []):
        with ahead(names) as pieces:
            assert list(pieces) == names
    assert threads() == []


def test_an_error_comes_after_what_was_good() -> None:
    seen: list[bytes] = []
    with pytest.raises(BackupCorrupt, match="the rest is missing"), ahead(damaged()) as pieces:
        seen.extend(pieces)
    assert seen == NAMES[:10]
    assert threads() == []


def test_only_a_few_pieces_are_read_ahead_and_none_when_nobody_wants_more() -> None:
    given: list[int] = []
    with pytest.raises(KeyError) as kept, ahead(endless(given)) as pieces:
        raise KeyError(next(pieces))
    assert threads() == [], f"whoever keeps {kept} keeps no thread"
    assert len(given) <= PIECES + 3

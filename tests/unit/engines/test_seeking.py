"""The search by a rare byte finds what `bytes.find` finds, and lines are counted, whatever the bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.engines.seeking import count_lines, find_by

SEQUENCES = [(b"\n\\.\n", 1), (b";\n", 0)]


@pytest.mark.parametrize(("sequence", "rare"), SEQUENCES)
@given(
    pieces=st.lists(st.sampled_from([b"\n", b"\\", b".", b";", b"a", b"\\" * 40, b";" * 40, b"\n\\.\n"]), max_size=20)
)
def test_it_is_the_same_as_find(sequence: bytes, rare: int, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for start in range(len(data) + 2):
        assert find_by(data, sequence, rare, start) == data.find(sequence, start)


@given(
    lines=st.lists(st.tuples(st.sampled_from([0, 1, 7, 63, 64, 200, 5000]), st.integers(1, 900)), max_size=8),
    start=st.integers(0, 9000),
    spared=st.integers(0, 9000),
)
def test_lines_of_any_length_are_counted(lines: list[tuple[int, int]], start: int, spared: int) -> None:
    data = b"".join((b"x" * length + b"\n") * number for length, number in lines)

    end = max(0, len(data) - spared)
    assert count_lines(data, start, end) == data.count(b"\n", start, end)

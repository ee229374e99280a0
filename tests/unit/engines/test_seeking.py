"""The search by a rare byte finds what `bytes.find` finds, whatever the bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.engines.seeking import find_by

SEQUENCES = [(b"\n\\.\n", 1), (b";\n", 0)]


@pytest.mark.parametrize(("sequence", "rare"), SEQUENCES)
@given(
    pieces=st.lists(st.sampled_from([b"\n", b"\\", b".", b";", b"a", b"\\" * 40, b";" * 40, b"\n\\.\n"]), max_size=20)
)
def test_it_is_the_same_as_find(sequence: bytes, rare: int, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for start in range(len(data) + 2):
        assert find_by(data, sequence, rare, start) == data.find(sequence, start)

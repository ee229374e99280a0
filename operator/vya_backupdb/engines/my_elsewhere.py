"""Tables of MySQL and MariaDB that lie in a directory or a tablespace of their own, which a restore may not find.

Another server lacks it, or refuses it; and a second MyISAM or Aria table of that name has no room in one directory, so
that a database could not even be replaced. Their rows are the same wherever they lie.
"""

from collections.abc import Sequence
from typing import Final

from vya_backupdb.engines.tokens import Edit, Token, edited
from vya_backupdb.engines.transforms import Notes

_DIRECTORIES: Final = frozenset({"DATA", "INDEX"})


def without_place(pieces: Sequence[Token], text: bytes, notes: Notes) -> bytes | None:
    """Return the statement `text`, which makes a table, without where it is to lie; None if it does not say that."""
    if [piece.word for piece in pieces[:2]] != ["CREATE", "TABLE"]:
        return None
    edits = []
    for at, piece in enumerate(pieces):
        directory = piece.word == "DIRECTORY" and pieces[at - 1].word in _DIRECTORIES
        if not directory and piece.word != "TABLESPACE":
            continue
        last = at + (2 if at + 1 < len(pieces) and pieces[at + 1] == "=" else 1)
        if last < len(pieces) and pieces[last].kind == ("string" if directory else "name"):
            begin = pieces[at - 1] if directory else piece
            edits.append(Edit(begin.start, pieces[last].end, b""))
            place = pieces[last].text.decode("utf-8", "backslashreplace")
            notes.transform("directory" if directory else "tablespace", place)
    return edited(text, edits) if edits else None

"""Names of databases within a statement of MySQL or MariaDB: where they stand, and what they say there."""

from collections.abc import Sequence
from typing import Final

from vya_backupdb.engines.tokens import Token

_BEFORE_TABLES: Final = frozenset({"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "CALL", "STRAIGHT_JOIN"})
#: The functions of MariaDB's sequences. The server shows `NEXT VALUE FOR` and `PREVIOUS VALUE FOR` as the first two.
_COUNTING: Final = frozenset({"NEXTVAL", "LASTVAL", "SETVAL"})


def qualified(pieces: Sequence[Token]) -> list[tuple[Token, Token]]:
    """Return the pairs of a name, a dot and a name; of three parts the first two."""
    found, at = [], 0
    while at + 2 < len(pieces):
        first, dot, second = pieces[at : at + 3]
        if first.names and dot == "." and second.names and not first.text[:1].isdigit() and first.text[:1] != b"@":
            found.append((first, second))
            at += 2
        at += 1
    return found


def reads(pieces: Sequence[Token], at: int) -> bool:
    """Whether the name at `at` can only be a database's: of a table, of a routine, or the first of three parts."""
    back = at - 1
    while back >= 0 and pieces[back] == "(":
        back -= 1
    after = pieces[at + 3] if at + 3 < len(pieces) else None
    if pieces[back].word == "OF" and back:  # MariaDB's [ROW] TYPE OF
        return pieces[back - 1].word == "TYPE"
    return pieces[back].word in _BEFORE_TABLES or (after is not None and (after == "." or after == "(" or after == "%"))


def counts(pieces: Sequence[Token], at: int) -> bool:
    """Whether the name at `at` is the database of a sequence: `nextval(shop.s)`, `NEXT VALUE FOR shop.s`."""
    if at < 2:
        return False
    before, last = pieces[at - 2], pieces[at - 1]
    return (last == "(" and before.word in _COUNTING) or (last.word == "FOR" and before.word == "VALUE")


def points(pieces: Sequence[Token], at: int) -> bool:
    """Whether the name at `at` of a table's definition is the database of a sequence, or of the table of a key."""
    before = pieces[at - 1] if at else pieces[at]
    return before == "(" or before.word in {"REFERENCES", "FOR"}

"""What a statement of a script for MySQL or MariaDB is about, as far as a choice of tables needs to know."""

import re
from collections.abc import Sequence
from typing import Final

from vya_backupdb.engines.selection import ALWAYS, OTHER, SURROUNDINGS, About, Selection
from vya_backupdb.engines.tokens import Token

ROWS: Final = re.compile(rb"(?i)(?:INSERT|REPLACE)\s+(?:IGNORE\s+)?INTO\s+`((?:[^`]|``)++)`\s*(?:VALUES?\b|\()")
_SESSION: Final = {"SET", "UNLOCK", "BEGIN", "START", "COMMIT", "ROLLBACK"}
_ROWS: Final = {"INSERT", "REPLACE", "UPDATE", "DELETE", "TRUNCATE", "LOCK", "ANALYZE", "CHECK", "OPTIMIZE"}
_KINDS: Final = {
    "TABLE",
    "TRIGGER",
    "INDEX",
    "SEQUENCE",
    "VIEW",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "PACKAGE",
    "LIBRARY",
    "DATABASE",
}
_BEFORE_NAME: Final = {"IF", "NOT", "EXISTS", "LOW_PRIORITY", "DELAYED", "IGNORE", "INTO", "FROM", "TABLE", "TABLES"}


def of_rows(selection: Selection, name: bytes) -> About:
    """Return what an INSERT into the quoted `name` is about."""
    relation = (None, _text(name.replace(b"``", b"`")))
    selection.table(relation)
    return About(relation)


def about(selection: Selection, tokens: Sequence[Token]) -> About:
    """Return what a statement is about, and tell `selection` of the tables that it makes or fills."""
    first = tokens[0].word if tokens else ""
    if first in _SESSION:
        return ALWAYS
    if first in {"CREATE", "ALTER", "DROP"}:
        return _object(selection, tokens)
    if first in _ROWS:
        made = _named(tokens, 1)
        if first in {"INSERT", "REPLACE"} and made.relation is not None:
            selection.table(made.relation)
        return made
    # the values of sequences, on which defaults of tables stand
    return SURROUNDINGS if any(token.word in {"SETVAL", "NEXTVAL"} for token in tokens) else OTHER


def _object(selection: Selection, tokens: Sequence[Token]) -> About:
    at = next((at for at, token in enumerate(tokens) if token.word in _KINDS), len(tokens) - 1)
    kind = tokens[at].word
    if kind in {"SEQUENCE", "DATABASE"}:
        return SURROUNDINGS
    if kind in {"TRIGGER", "INDEX"} and tokens[0].word == "CREATE":
        on = next((at for at, token in enumerate(tokens) if token.word == "ON"), len(tokens))
        return _named(tokens, on + 1)
    if kind != "TABLE":
        return OTHER
    made = _named(tokens, at + 1)
    if tokens[0].word == "CREATE" and made.relation is not None:
        selection.table(made.relation)
    return made


def _named(tokens: Sequence[Token], at: int) -> About:
    """Return the table that is named at `at`, without the database in front."""
    while at < len(tokens) and tokens[at].word in _BEFORE_NAME:
        at += 1
    if at >= len(tokens) or not tokens[at].names:
        return OTHER
    qualified = at + 2 < len(tokens) and tokens[at + 1] == "." and tokens[at + 2].names
    return About((None, _text(tokens[at + 2 if qualified else at].text)))


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")

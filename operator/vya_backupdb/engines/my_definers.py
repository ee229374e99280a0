"""The definer that a statement of MySQL or MariaDB names: in whose name a view, routine, trigger or event works."""

from collections.abc import Sequence
from dataclasses import dataclass

from vya_backupdb.engines.tokens import Token


@dataclass(frozen=True, slots=True)
class Definer:
    """Where ``DEFINER = …`` stands, as it stands there, and the account's name (``name@host``); '' for ourselves."""

    start: int
    end: int
    shown: str
    account: str


def find(pieces: Sequence[Token]) -> Definer | None:
    """Return the first definer of a statement; None where it names none."""
    at = next((n for n, piece in enumerate(pieces[:-2]) if piece == "DEFINER" and pieces[n + 1] == "="), None)
    if at is None:
        return None
    end = at + 3
    if end < len(pieces) and (pieces[end] == "@" or pieces[end].word.startswith("@")):
        end += 2 if pieces[end] == "@" else 1
    elif end < len(pieces) and pieces[end] == "(":
        end += 2
    said = pieces[at + 2 : end]
    shown = b"".join(piece.text for piece in said).decode("utf-8", "replace")
    itself = said[0].word in {"CURRENT_USER", "CURRENT_ROLE"}
    return Definer(pieces[at].start, pieces[end - 1].end, shown, "" if itself else "".join(map(_name, said)))


def _name(piece: Token) -> str:
    text = piece.text.decode("utf-8", "backslashreplace")
    return text[1:-1] if piece.kind == "string" else text

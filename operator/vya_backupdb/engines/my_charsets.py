"""Text in the character sets of MySQL's and MariaDB's clients, and what their dumps mix in it.

A dump sets ``character_set_client`` to what a routine, trigger or event was made under, and writes its body in that.
But names and comments, which the server keeps apart from the body, stand there in UTF-8: of MySQL all of them, of
MariaDB those of events, and comments. The servers' own clients load them as other letters.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from typing import Final

from vya_backupdb.engines.statements import Quotes
from vya_backupdb.engines.tokens import ANY_VERSION, Edit, Token, edited, of_mysql

_CODECS: Final = {
    "latin1": "cp1252", "utf8mb4": "utf-8", "utf8mb3": "utf-8", "utf8": "utf-8", "koi8r": "koi8_r", "koi8u": "koi8_u",
    "ujis": "euc_jp", "euckr": "euc_kr", "tis620": "tis_620", "macroman": "mac_roman",
}  # fmt: skip
_AS_BYTE: Final = "vya-backupdb-as-byte"
_UTF8: Final = frozenset({"utf8mb4", "utf8mb3", "utf8", "binary"})
_PARTS: Final = frozenset({"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"})
#: Before the name of what is made.
_BEFORE_NAME: Final = frozenset({"IF", "NOT", "EXISTS", "BODY"})
#: With these a body begins; a comment behind them is its own.
_BODY: Final = re.compile(
    "BEGIN|RETURN|SELECT|SET|DO|INSERT|REPLACE|UPDATE|DELETE|CALL|IF|CASE|LOOP|WHILE|REPEAT|FOR|DECLARE|CREATE|ALTER|DROP"
    "|TRUNCATE|WITH|AS|IS|PREPARE|EXECUTE|SIGNAL|COMMIT|ROLLBACK|START|SHOW|USING|VALUES|TABLE"
)


def encoded(sql: str, charset: str) -> bytes | None:
    """Return a statement in MySQL's `charset`; None where it cannot be said in it."""
    try:
        return sql.encode("ascii" if sql.isascii() else _CODECS.get(charset, charset), _errors(charset))
    except (LookupError, UnicodeEncodeError):
        return None


def unmixed(sql: str, kind: str, charset: str, quotes: Quotes, *, mariadb: bool) -> str:
    """Return the statement that makes an object of `kind` as it was meant; SHOW CREATE shows it as a dump has it."""
    raw = None if sql.isascii() else encoded(sql, charset)
    if raw is None:
        return sql
    pieces = list(of_mysql(raw, mariadb=mariadb, version=ANY_VERSION, quotes=quotes))
    at = next((at for at, piece in enumerate(pieces) if piece.word == kind.partition(" ")[0]), None)
    if at is None:
        return sql
    meant = edited(raw, list(mixed(raw, pieces, at, charset, mariadb=mariadb)))
    return meant.decode(_CODECS.get(charset, charset), _errors(charset))


def _errors(charset: str) -> str:
    return _AS_BYTE if charset == "latin1" else "strict"


def _as_byte(error: UnicodeError) -> tuple[str | bytes, int]:
    """Take the five bytes that Windows leaves free in its Latin-1 for themselves, as MySQL does."""
    if isinstance(error, UnicodeDecodeError):
        return chr(error.object[error.start]), error.start + 1
    if isinstance(error, UnicodeEncodeError) and (number := ord(error.object[error.start])) < 256:
        return bytes([number]), error.start + 1
    raise error


codecs.register_error(_AS_BYTE, _as_byte)


def client_charset(pieces: Sequence[Token], before: str) -> str:
    """Return the character set of the session after a SET; saved ones (``@…``) are those of a dump's beginning."""
    for at, piece in enumerate(pieces[:-1]):
        named = piece.word == "NAMES" and at == 1
        if named or (piece.word == "CHARACTER_SET_CLIENT" and pieces[at + 1] == "="):
            word = pieces[at + 1 if named else at + 2 if at + 2 < len(pieces) else at].word.lower()
            return "utf8mb4" if word.startswith("@") or not word else word
    return before


def mixed(text: bytes, pieces: Sequence[Token], at: int, charset: str, *, mariadb: bool) -> Iterator[Edit]:
    """Yield what says a definition's name and comment in `charset`; `at` is where the word for its kind stands."""
    kind = pieces[at].word
    if charset in _UTF8 or kind not in _PARTS:
        return
    name = next((n for n in range(at + 1, len(pieces)) if pieces[n].word not in _BEFORE_NAME), at)
    if kind == "EVENT" or not mariadb:
        yield from _said(text, pieces[name], charset)
    for one, after in zip(pieces[name + 1 :], pieces[name + 2 :], strict=False):
        if one.word == "COMMENT" and after.kind == "string":
            yield from _said(text, after, charset)
            return
        if one.word == "DO" or (kind != "EVENT" and _BODY.fullmatch(one.word)):
            return


def _said(text: bytes, piece: Token, charset: str) -> Iterator[Edit]:
    written = text[piece.start : piece.end]
    try:
        meant = None if written.isascii() else encoded(written.decode(), charset)
    except UnicodeDecodeError:
        return
    if meant is not None:
        yield Edit(piece.start, piece.end, meant)

"""Words, names and strings of one statement, for whoever judges it; comments are passed over.

Where MySQL or MariaDB would execute the content of ``/*! … */`` it counts, and where the server would not it is a
comment: otherwise a word could be hidden from us or from the server.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from vya_backupdb.engines.statements import Quotes

Kind = Literal["word", "name", "string", "mark"]

_PG: Final = re.compile(
    rb"""\s++|--[^\n]*+|(?P<comment>/\*)
    |(?P<name>"(?:[^"]|"")*+")
    |(?P<string>[eE]'(?:[^'\\]++|\\.|'')*+'|'[^']*+'|\$(?P<tag>(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*+)?)\$.*?\$(?P=tag)\$)
    |(?P<word>[A-Za-z_\x80-\xff][\w$\x80-\xff]*+)|(?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
_NESTING: Final = re.compile(rb"/\*|\*/")
_USUAL: Final = Quotes()
#: For `of_mysql`: a server that reads the comments for every version.
ANY_VERSION: Final = 999_999


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement, and where it stands. A name is unquoted, a string is not."""

    kind: Kind
    text: bytes
    start: int
    end: int

    def __eq__(self, other: object) -> bool:
        """Whether this is the word or the mark `other` (given in upper case)."""
        return isinstance(other, str) and self.kind in {"word", "mark"} and self.text.upper() == other.encode()

    def __hash__(self) -> int:
        """Return a hash that fits nothing but the token itself: tokens are not kept in sets."""
        return id(self)

    @property
    def word(self) -> str:
        """The word in upper case; empty for anything else."""
        return self.text.decode("ascii", "replace").upper() if self.kind == "word" else ""

    @property
    def names(self) -> bool:
        """Whether it can be the name of something."""
        return self.kind in {"word", "name"}


def of_postgresql(text: bytes) -> Iterator[Token]:
    """Yield the tokens of one of PostgreSQL's statements. Words that name something are folded to lower case there."""
    at = 0
    while at < len(text) and (found := _PG.match(text, at)) is not None:
        at = found.end()
        if found.lastgroup == "comment":
            at = _after_comment(text, at, nested=True)
        elif found["name"] is not None:
            yield Token("name", found["name"][1:-1].replace(b'""', b'"'), found.start(), at)
        elif found["string"] is not None:
            yield Token("string", found["string"], found.start(), at)
        elif found["word"] is not None:
            yield Token("word", found["word"], found.start(), at)
        elif found["mark"] is not None:
            yield Token("mark", found["mark"], found.start(), at)


def of_mysql(text: bytes, *, mariadb: bool, version: int, quotes: Quotes = _USUAL) -> Iterator[Token]:
    """Yield the tokens of a statement, as a server of that product and version (101108 for 10.11.8) reads it."""
    at, pattern = 0, _of_mysql(quotes)
    while at < len(text) and (found := pattern.match(text, at)) is not None:
        at = found.end()
        if found["open"] is not None:
            if not _executed(found["open"], mariadb, version):
                at = _after_comment(text, at, nested=True)
        elif found["comment"] is not None:
            at = _after_comment(text, at, nested=False)
        elif found["name"] is not None:
            yield Token("name", _unquoted(found["name"]), found.start(), at)
        elif found["string"] is not None:
            yield Token("string", found["string"], found.start(), at)
        elif found["word"] is not None:
            yield Token("word", found["word"], found.start(), at)
        elif found["mark"] is not None:
            yield Token("mark", found["mark"], found.start(), at)


@lru_cache
def _of_mysql(quotes: Quotes) -> re.Pattern[bytes]:
    """Return what one token is, or what stands between two."""
    escape = rb"|\\." if quotes.backslash else rb""
    single, double = (
        (rb"%s(?:[^%s%s]++%s|%s%s)*+%s" % (q, q, b"\\\\" if escape else b"", escape, q, q, q)) for q in (b"'", b'"')
    )
    name = rb"`(?:[^`]|``)*+`" + (rb'|"(?:[^"]|"")*+"' if quotes.names else rb"")
    string = single if quotes.names else single + b"|" + double
    return re.compile(
        rb"""\s++|\#[^\n]*+|--(?=[\x00-\x20]|\Z)[^\n]*+|(?P<open>/\*M?!\d*)|(?P<close>\*/)|(?P<comment>/\*)
        |(?P<name>%s)|(?P<string>%s)
        |(?P<word>@{0,2}[A-Za-z_$0-9\x80-\xff][\w$\x80-\xff]*+)|(?P<mark>.)"""
        % (name, string),
        re.VERBOSE | re.DOTALL,
    )


def _unquoted(name: bytes) -> bytes:
    mark = name[:1]
    return name[1:-1].replace(mark * 2, mark)


def _executed(opener: bytes, mariadb: bool, version: int) -> bool:
    """Whether a server executes what follows ``/*!50003``: MariaDB leaves 50700 to 99999 to MySQL."""
    own = opener.startswith(b"/*M!")
    digits = opener.partition(b"!")[2][:6]
    if own and not mariadb:
        return False
    if len(digits) < 5:
        return True
    needed = int(digits)
    return needed <= version and not (mariadb and not own and 50700 <= needed <= 99999)


def _after_comment(text: bytes, at: int, *, nested: bool) -> int:
    depth = 1
    while depth:
        found = _NESTING.search(text, at)
        if found is None:
            return len(text)
        at = found.end()
        depth += 1 if nested and found[0] == b"/*" else -1 if found[0] == b"*/" else 0
    return at


@dataclass(frozen=True, slots=True)
class Edit:
    """What stands in the place of the bytes from `start` to `end`."""

    start: int
    end: int
    text: bytes


def edited(text: bytes, edits: list[Edit]) -> bytes:
    """Return `text` with `edits`, which do not overlap."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text

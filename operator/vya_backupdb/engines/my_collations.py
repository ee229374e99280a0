"""Collations that one product has and the other lacks, and what comes nearest on the server at hand.

MySQL's ``utf8mb4_0900_*`` follow Unicode 9, MariaDB's ``uca1400_*`` Unicode 14: the same order but for characters that
are younger than the elder. Both before fell back to Unicode 5.2 or 4.0, which know fewer characters still.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from vya_backupdb.engines.tokens import Token

_NEWER: Final = re.compile(r"utf8mb4_(?:(?P<locale>\w+?)_)?0900_(?P<strength>ai_ci|as_ci|as_cs|bin)")
_UCA: Final = re.compile(
    r"(?:(?P<charset>utf8mb4|utf8mb3|utf8)_)?uca1400_(?:(?P<locale>\w+?)_)?(?:nopad_)?(?P<strength>a[is]_c[is])"
)


def named(pieces: Sequence[Token]) -> Iterator[tuple[Token, bool]]:
    """Yield the words that name a collation, and whether they can be nothing else.

    A body may compare what is called ``collation_…`` with a variable of its own.
    """
    for number, piece in enumerate(pieces[1:], 1):
        equals = pieces[number - 1] == "=" and number > 1
        before = pieces[number - 2 if equals else number - 1]
        variable = equals and before.word.startswith("COLLATION_")
        if piece.word and (before == "COLLATE" or variable):
            yield piece, before == "COLLATE" or pieces[0] == "SET"


def nearest(collation: str, known: frozenset[str]) -> str | None:
    """Return the collation of `known` that is nearest to `collation`, which is not among them; None: there is none."""
    name = collation.lower()
    if (newer := _NEWER.fullmatch(name)) is not None:
        return _first(_for_newer(newer["locale"], newer["strength"]), known)
    if (uca := _UCA.fullmatch(name)) is not None:
        return _first(_for_uca(uca["charset"] or "utf8mb4", uca["strength"]), known)
    if name.startswith("utf8_"):
        return _first((f"utf8mb3_{name[5:]}",), known)
    return _first((f"utf8_{name[8:]}",), known) if name.startswith("utf8mb3_") else None


def _for_newer(locale: str | None, strength: str) -> tuple[str, ...]:
    if strength == "bin":
        return ("utf8mb4_nopad_bin", "utf8mb4_bin")
    own = (f"utf8mb4_uca1400_{_LOCALES[locale]}_{strength}",) if locale in _LOCALES else ()
    old = (f"utf8mb4_{_LOCALES[locale]}_ci",) if locale in _LOCALES else ()
    plain = ("utf8mb4_bin",) if strength == "as_cs" else ("utf8mb4_unicode_520_ci", "utf8mb4_unicode_ci")
    return (*own, f"utf8mb4_uca1400_{strength}", *old, *plain)


def _for_uca(charset: str, strength: str) -> tuple[str, ...]:
    if charset != "utf8mb4":
        return ("utf8mb3_unicode_ci",) if strength.endswith("ci") else ("utf8mb3_bin",)
    newer = strength if strength != "ai_cs" else "as_cs"
    plain = ("utf8mb4_unicode_520_ci",) if strength.endswith("ci") else ("utf8mb4_bin",)
    return (f"utf8mb4_0900_{newer}", *plain)


def _first(wanted: tuple[str, ...], known: frozenset[str]) -> str | None:
    return next((name for name in wanted if name in known), None)


#: MySQL's names of languages, and MariaDB's.
_LOCALES: Final = {
    "de_pb": "german2",
    "es": "spanish",
    "es_trad": "spanish2",
    "sv": "swedish",
    "da": "danish",
    "pl": "polish",
    "cs": "czech",
    "hu": "hungarian",
    "tr": "turkish",
    "ro": "romanian",
    "hr": "croatian",
    "vi": "vietnamese",
    "is": "icelandic",
    "lv": "latvian",
    "lt": "lithuanian",
    "sk": "slovak",
    "sl": "slovenian",
    "et": "estonian",
    "eo": "esperanto",
    "la": "roman",
}

"""What a server says of a row that it does not take, without the row.

An error of a restore goes where the rows may not: into conditions, Events and logs, which people read who may not read
the database. A server may speak any language, so what holds values is told by its place and its quotes, not by words;
the server's own log has the whole.
"""

import re
from collections.abc import Sequence
from typing import Final

#: Classes of SQLSTATEs about values and about constraints on them.
_ABOUT_ROWS: Final = frozenset({b"22", b"23", b"44"})
_VALUES: Final = b"22"
#: English, German and French quotes, single ones, too.
_QUOTE: Final = "[\"'\u00ab\u00bb\u201e\u201c\u201d\u2018\u2019]"
_QUOTED: Final = re.compile(f"{_QUOTE}.*{_QUOTE}", re.DOTALL)
#: Errors whose text holds a value: a key twice, wrong for its column's type, characters that are none, for a function.
_TWICE: Final = frozenset({1062, 1586})
_WRONG_VALUES: Final = frozenset({1292, 1300, 1366, 1367, 1411, 1525})
_SINGLE: Final = re.compile("'.*'", re.DOTALL)
_BUT_THE_KEY: Final = re.compile(r"'.*'(?=[^']*'[^']*'[^']*\Z)", re.DOTALL)


def postgresql(state: bytes | None, said: Sequence[str]) -> list[str]:
    """Return of `said` (message, detail, where in a COPY) what may be shown of an error with this SQLSTATE."""
    if state is None or state[:2] not in _ABOUT_ROWS:
        return [one for one in said if one]
    message, _detail, where = said
    if state.startswith(_VALUES):
        message = _QUOTED.sub('"…"', message)
    return [one for one in (message, where.partition(": ")[0]) if one]


def mysql(number: int | None, text: str) -> str:
    """Return of `text` what may be shown of the error with this number."""
    if number in _TWICE:
        return _BUT_THE_KEY.sub("'…'", text)
    return _SINGLE.sub("'…'", text) if number in _WRONG_VALUES else text

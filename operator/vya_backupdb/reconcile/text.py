"""Text from outside, made fit for a condition, an Event or a log line.

What a pod, a scheduler or a server says may hold anything: control characters that would rewrite a terminal, a URL with
a password in it, a megabyte.
"""

import re
from typing import Any

from vya_backupdb.domain.redact import Redactor

CHARACTERS = 600
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_redact = Redactor()


def clean(text: Any, characters: int = CHARACTERS) -> str:
    """Return `text` on one line, without control characters or credentials of a URL, cut to `characters`."""
    if not text:
        return ""
    # cut before the pattern sees it (cost), and after (the mask may be longer than what it hides)
    line = _redact(_CONTROL.sub(" ", str(text)[: 4 * characters])).strip()
    return line if len(line) <= characters else line[: characters - 1] + "…"


def word(text: str) -> str:
    """Return `text` if it can stand as a condition's reason (CamelCase, at most 64), else an empty text."""
    fits = text.isascii() and text.isalnum() and len(text) <= 64 and not text[:1].isdigit()
    return text if fits else ""

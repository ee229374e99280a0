"""Redaction by value: every text from outside passes through it before it reaches a log, a report or a status.

By value, not by the name of a key: a server quotes what it was sent, and a driver's message holds the connection's
arguments. Each secret is also searched in the forms in which programs repeat it: JSON, SQL, shell, URL, Python, base64,
and those of the files that clients read.
"""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
_USERINFO = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]*(?=@)")
_OPTION_FILE = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b"})


def _forms(secret: str) -> set[str]:
    """Return the spellings in which `secret` is looked for; the shortest of all is the secret itself."""
    escaped = secret.replace("\\", "\\\\")
    forms = {
        secret,
        secret.replace("'", "''"),
        escaped.replace("'", "\\'"),
        escaped.replace('"', '\\"'),
        escaped.replace("\n", "\\n").replace("'", "\\'"),
        escaped.replace("\n", "\\n").replace('"', '\\"'),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        secret.replace("'", "'\\''"),
        secret.replace("'", "'\"'\"'"),
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        # as libpq's passfile and MySQL's option files hold it: a client that quotes its own input
        escaped.replace(":", "\\:"),
        secret.translate(_OPTION_FILE),
        base64.b64encode(secret.encode("utf-8", "surrogatepass")).decode(),
        base64.urlsafe_b64encode(secret.encode("utf-8", "surrogatepass")).decode(),
    }
    # a multi-line secret in a log is seen line by line, and without the blanks around it; parts too short to be told
    # from plain words are left alone
    forms.update(part for line in secret.splitlines() for part in (line, line.strip()) if len(part) >= 6)
    return {form for form in forms if form}


class Redactor:
    """Masks the secrets that it was told of, and the user information of any URL."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._known: set[str] = set()
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Mask these too from now on. An empty secret is ignored: it is everywhere and hides nothing."""
        self._known.update(secret for secret in secrets if secret)
        forms = sorted({form for secret in self._known for form in _forms(secret)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None

    def __call__(self, text: str) -> str:
        """Return `text` with each known secret, in any of its forms, replaced by ``[redacted]``."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return _USERINFO.sub(MASK, text)

"""How a name from outside (database, host, instance id) becomes one component of a path, and back.

Names are hostile input. The invariants, each proved by a property test:

- a component is 1 to 150 bytes of ``[A-Za-z0-9._%~-]`` and never begins with a dot or a dash: it cannot leave its
  directory, hide itself, be read as an option, or be one of our own names (`RESERVED`, partials, tombstones);
- two names have two components. Below 150 bytes that is exact: ``%`` and ``~`` stand in no component but as our own
  marks. A longer one is cut and told apart by 48 bits of SHA-256: whoever may create databases can find two such names
  on purpose, so a reader trusts the name in the metadata, never the path, and nothing is ever overwritten;
- a component that was not cut gives the exact name back.
"""

import hashlib
import re
from datetime import datetime
from typing import Final

from vya_backupdb.domain.errors import ConfigurationError

MAX_COMPONENT_BYTES: Final = 150
DIGEST_DIGITS: Final = 12

#: Names of our own inside an instance's directory. All begin with a dot, which no encoded name does.
RESERVED: Final = frozenset({".runs", ".owner.json", ".restores", ".lock"})

_PLAIN_BYTES: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_COMPONENT: Final = re.compile(r"(?:[A-Za-z0-9_]|%[0-9A-F]{2})(?:[A-Za-z0-9._-]|%[0-9A-F]{2})*(?P<cut>~[0-9a-f]{12})?")
_HALF_ESCAPE: Final = re.compile(r"%[0-9A-F]?\Z")

# A directory of a database of this name would stand where a users file is to be, and block it.
_LIKE_USERS_FILE: Final = re.compile(r"users_\d{8}_\d{6}(_\d+)?\.(sql\.gz(\.sha256)?|metadata\.json)", re.IGNORECASE)


def encode(name: str) -> str:
    """Return the path component for `name`: itself where it is plain, percent-encoded by byte (UTF-8) where it is not.

    Raise ConfigurationError if `name` is empty: no server knows such a name, and no directory can bear it.
    """
    if not name:
        raise ConfigurationError("an empty name cannot stand in the tree", hint="Give the database or host its name.")
    # "surrogatepass", not "surrogateescape": only the former is injective over every str
    raw = name.encode("utf-8", "surrogatepass")
    text = "".join(chr(byte) if byte in _PLAIN_BYTES else f"%{byte:02X}" for byte in raw)
    if text[0] in ".-" or _LIKE_USERS_FILE.fullmatch(text):
        text = f"%{ord(text[0]):02X}{text[1:]}"
    return shorten(text, limit=MAX_COMPONENT_BYTES, exact=raw)


def shorten(text: str, *, limit: int, exact: bytes) -> str:
    """Return `text` if it has at most `limit` bytes (ASCII), else its head, ``~`` and 12 hex digits for `exact`.

    The cut never goes through a ``%XX``.
    """
    if len(text) <= limit:
        return text
    head = _HALF_ESCAPE.sub("", text[: limit - DIGEST_DIGITS - 1])
    return f"{head}~{hashlib.sha256(exact).hexdigest()[:DIGEST_DIGITS]}"


def decode(component: str) -> str | None:
    """Return the exact name that `encode` made `component` of; None if it was cut, or is no work of `encode`."""
    match = _COMPONENT.fullmatch(component)
    if match is None or match["cut"]:
        return None
    raw = re.sub(rb"%([0-9A-F]{2})", lambda escape: bytes.fromhex(escape[1].decode()), component.encode())
    try:
        name = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    # one name, one component: a foreign "%41" is not our spelling of "A"
    return name if encode(name) == component else None


def is_component(text: str) -> bool:
    """Whether `text` has the form of an encoded name, cut or not (what a scan of the tree may meet)."""
    return len(text) <= MAX_COMPONENT_BYTES and _COMPONENT.fullmatch(text) is not None


def stamp(local: datetime) -> str:
    """Return ``YYYYMMDD_HHMMSS`` of the wall clock of `local`.

    Raise ValueError if `local` has no zone: a time from nowhere would name a file that nobody can place.
    """
    if local.utcoffset() is None:
        raise ValueError(f"the time {local.isoformat()} has no zone")
    # not strftime: %Y of the year 999 has three digits on glibc
    return f"{local.year:04d}{local:%m%d_%H%M%S}"


def day(local: datetime) -> str:
    """Return ``YYYY-MM-DD`` of the wall clock of `local`. Raise ValueError if it has no zone."""
    digits = stamp(local)
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}"

"""What is done in the place of a statement that PostgreSQL refused, because the rows are worth more than it.

Rows that a view computes are lost to nobody, and can be had later. Rows that keep no foreign key were in the source,
however they came there: better they are here, and the key holds for the next ones, than neither. On a partitioned table
no server below 18 makes a key that holds for the next ones alone: there the rows come back without it.
"""

import re
from typing import Final

from vya_backupdb.engines.transforms import Notes

#: As pg_dump writes it; ONLY is missing for partitioned tables.
_REFRESH: Final = re.compile(rb"REFRESH\s+MATERIALIZED\s+VIEW\s+(.+)", re.IGNORECASE | re.DOTALL)
_NAME: Final = rb'"(?:[^"]|"")+"'
_FOREIGN_KEY: Final = re.compile(
    rb"ALTER TABLE (?P<only>ONLY )?(?P<table>%(n)s\.%(n)s)\s+ADD CONSTRAINT (?P<key>%(n)s) FOREIGN KEY\b"
    % {b"n": _NAME}
)
_COMMENT: Final = re.compile(rb"COMMENT ON CONSTRAINT (?P<key>%(n)s) ON (?P<table>%(n)s\.%(n)s) IS " % {b"n": _NAME})
_NEVER_WHOLE: Final = 180000
#: SQLSTATEs of a row that refers to none, and of an object that was looked up and not found.
_NO_PARTNER: Final = "23503"
_MISSING: Final = "42704"
_SHOWN: Final = 120


class Instead:
    """What is done instead on a server of `version` (``server_version_num``), told to `notes`."""

    def __init__(self, notes: Notes, version: int) -> None:
        self._notes, self._version = notes, version
        self._keyless: set[tuple[bytes, bytes]] = set()

    def of(self, text: bytes, state: str, why: str, codec: str) -> bytes | None:
        """Return the statement to execute, empty for none, or None: it is an error. See `transforms.Rules.instead`."""
        refreshed = _REFRESH.match(text)
        if refreshed is not None:
            self._notes.transform("refresh", f"{_plain(refreshed[1], codec)} ({why[:_SHOWN]})")
            return b""
        key = _FOREIGN_KEY.match(text)
        if key is not None and state == _NO_PARTNER:
            return self._without(text, key, codec)
        about = _COMMENT.match(text)
        return b"" if about and state == _MISSING and (about["table"], about["key"]) in self._keyless else None

    def _without(self, text: bytes, key: re.Match[bytes], codec: str) -> bytes:
        whole = key["only"] is not None or self._version >= _NEVER_WHOLE
        name = f"{_plain(key['key'], codec)} of {_plain(key['table'], codec)}"
        self._notes.transform("unvalidated" if whole else "keyless", name)
        if not whole:
            self._keyless.add((key["table"], key["key"]))
        return text + b" NOT VALID" if whole else b""


def _plain(name: bytes, codec: str) -> str:
    return name.decode(codec, "backslashreplace").replace('"', "")

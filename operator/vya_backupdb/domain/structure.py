"""``storage.structure``: the template of the directories between the base path and a backup's files.

Each segment is one placeholder or plain literal text, never a mixture: ``{db_id}-{db_name}`` would give ``a-b`` + ``c``
and ``a`` + ``b-c`` one directory. ``{db_id}`` comes before ``{db_name}`` and ``{date}``, because the path down to it is
the instance's own directory, which holds the users files, the ledgers and the lock.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from vya_backupdb.domain import names
from vya_backupdb.domain.errors import ConfigurationError

DEFAULT_TEMPLATE: Final = "{hostname}/{db_id}/{db_name}/{date}"
HOSTNAME: Final = "{hostname}"
DB_ID: Final = "{db_id}"
DB_NAME: Final = "{db_name}"
DATE: Final = "{date}"
_PLACEHOLDERS: Final = (HOSTNAME, DB_ID, DB_NAME, DATE)
_MAX_SEGMENTS: Final = 10


@dataclass(frozen=True, slots=True)
class Structure:
    """A checked template, as made by `parse_structure`."""

    segments: tuple[str, ...]

    def instance(self, *, hostname: str, database_id: str) -> PurePosixPath:
        """Return the directory that belongs to one instance: everything down to ``{db_id}``."""
        return self._path(self.segments.index(DB_ID) + 1, {HOSTNAME: hostname, DB_ID: database_id})

    def database(self, *, hostname: str, database_id: str, database_name: str) -> PurePosixPath:
        """Return the deepest directory that holds every backup of one database: everything above ``{date}``."""
        end = self.segments.index(DATE) if DATE in self.segments else len(self.segments)
        return self._path(end, {HOSTNAME: hostname, DB_ID: database_id, DB_NAME: database_name})

    def directory(self, *, hostname: str, database_id: str, database_name: str, day: str) -> PurePosixPath:
        """Return the directory of the backups of one database on `day` (``YYYY-MM-DD``)."""
        values = {HOSTNAME: hostname, DB_ID: database_id, DB_NAME: database_name, DATE: day}
        return self._path(len(self.segments), values)

    def _path(self, end: int, values: dict[str, str]) -> PurePosixPath:
        parts = (names.encode(values[part]) if part in values else part for part in self.segments[:end])
        return PurePosixPath(*parts)


def parse_structure(template: str, *, field: str = "storage.structure") -> Structure:
    """Return the checked `template`. Raise ConfigurationError naming `field`, what is wrong, and what to write."""
    segments = tuple(template.split("/"))
    fault = _count_fault(segments) or next(filter(None, map(_segment_fault, segments)), "") or _order_fault(segments)
    if fault:
        raise ConfigurationError(f"{field} {template!r}: {fault}", hint=f"The default is {DEFAULT_TEMPLATE}.")
    return Structure(segments)


def _count_fault(segments: tuple[str, ...]) -> str:
    if len(segments) > _MAX_SEGMENTS:
        return f"has more than {_MAX_SEGMENTS} segments"
    for placeholder in _PLACEHOLDERS:
        if segments.count(placeholder) > 1:
            return f"{placeholder} stands twice; write it once"
    return ""


def _segment_fault(segment: str) -> str:
    if segment in _PLACEHOLDERS:
        return ""
    if not segment:
        return "has an empty segment; write it without a leading, closing or double '/'"
    unknown = sorted(set(re.findall(r"\{[^{}]*\}", segment)) - set(_PLACEHOLDERS))
    if unknown:
        return f"{unknown[0]} is not a placeholder; use {', '.join(_PLACEHOLDERS)}"
    if "{" in segment or "}" in segment:
        return f"segment {segment!r} mixes a placeholder with other text; give it a segment of its own"
    if names.encode(segment) != segment:
        return f"segment {segment!r} is not plain; use letters, digits, '.', '_', '-', not beginning with '.' or '-'"
    return ""


def _order_fault(segments: tuple[str, ...]) -> str:
    for placeholder in (DB_ID, DB_NAME):
        if placeholder not in segments:
            return f"lacks {placeholder}; without it two databases would share a directory"
    if min(segments.index(part) for part in (DB_NAME, DATE) if part in segments) < segments.index(DB_ID):
        return f"{DB_ID} must come before {DB_NAME} and {DATE}; the path down to it is the instance's own directory"
    return ""


DEFAULT_STRUCTURE: Final = parse_structure(DEFAULT_TEMPLATE)

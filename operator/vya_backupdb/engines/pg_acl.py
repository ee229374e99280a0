"""PostgreSQL's access control items as text: who has which privileges, and whether they may be granted on."""

import re
from dataclasses import dataclass, field
from typing import Final

from vya_backupdb.domain.errors import ConfigurationError

_PRIVILEGES: Final = {"C": "CREATE", "T": "TEMPORARY", "c": "CONNECT", "s": "SET", "A": "ALTER SYSTEM"}
_ACL_ITEM: Final = re.compile(
    r'(?P<grantee>"(?:[^"]|"")*"|[^"=]*)=(?P<privileges>[A-Za-z*]*)/(?P<grantor>.+)', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class AclItem:
    """What `grantor` granted: `grantee` is None for PUBLIC; `privileges` are SQL's words with whether they may be
    granted on."""

    grantee: str | None
    privileges: tuple[tuple[str, bool], ...]
    grantor: str = field(default="", compare=False)


def parse_acl(item: str) -> AclItem:
    """Return the parts of an aclitem's text. Raise ConfigurationError if it is none."""
    match = _ACL_ITEM.fullmatch(item)
    if match is None:
        raise ConfigurationError(f"{item!r} is no access control item", hint="The metadata is damaged.")
    letters = re.findall(r"([A-Za-z])(\*?)", match["privileges"])
    return AclItem(
        _plain(match["grantee"]) or None,
        tuple((_PRIVILEGES[letter], bool(star)) for letter, star in letters if letter in _PRIVILEGES),
        _plain(match["grantor"]),
    )


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name

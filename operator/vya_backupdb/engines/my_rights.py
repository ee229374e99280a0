"""The rights of the backup account on a MySQL or MariaDB server, read from its own grants.

These servers list only what an account may use: a table without SELECT, a trigger without TRIGGER, a routine without
the right to its body is not refused but absent, from every list and so from the dump, which ends with 0. Only the
account's own grants tell; they are read as the server shows them, roles included. A partial revoke (MySQL) takes a
global right away from one database.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vya_backupdb.engines.base import Product
from vya_backupdb.engines.my_session import Session

_DOING: Final = "reading the account's own grants"
_NAME: Final = r"(?:\*|`(?:[^`]|``)*`)"
_GRANT: Final = re.compile(
    rf"(?P<verb>GRANT|REVOKE) (?P<rights>.+?) ON (?:TABLE )?(?P<on>{_NAME})\.(?P<object>{_NAME}) (?:TO|FROM) ",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant: the privileges in capitals, the pattern of databases, and the object; ``*`` stands for all."""

    rights: frozenset[str]
    databases: str
    object: str

    def gives(self, *rights: str) -> bool:
        """Whether it holds one of `rights`."""
        return not self.rights.isdisjoint({*rights, "ALL PRIVILEGES", "ALL"})

    def covers(self, database: str) -> bool:
        """Whether it is for all of `database`; in the name of a database ``%`` and ``_`` are wild."""
        return self.object == "*" and (self.databases == "*" or _like(self.databases).fullmatch(database) is not None)


@dataclass(frozen=True, slots=True)
class Rights:
    """All that one account may do."""

    grants: tuple[Grant, ...]
    revokes: tuple[Grant, ...] = ()

    def everywhere(self, *rights: str) -> bool:
        """Whether the account has one of `rights` on the whole server."""
        return any(grant.databases == "*" and grant.object == "*" and grant.gives(*rights) for grant in self.grants)

    def on_all_of(self, database: str, *rights: str) -> bool:
        """Whether the account has one of `rights` on everything in `database`, now and later."""
        for right in rights:
            given = [grant for grant in self.grants if grant.covers(database) and grant.gives(right)]
            # only what is given on the whole server can be revoked in part
            revoked = any(one.databases == database and one.gives(right) for one in self.revokes)
            if any(grant.databases != "*" or not revoked for grant in given):
                return True
        return False

    def reads_bodies(self, product: Product, database: str) -> bool:
        """Whether the server shows the account the bodies of all routines of `database`."""
        if product == "MySQL":
            return self.everywhere("SELECT", "SHOW_ROUTINE")
        return (
            self.on_all_of("mysql", "SELECT")
            or any(one.databases == "mysql" and one.object == "proc" and one.gives("SELECT") for one in self.grants)
            or self.on_all_of(database, "SHOW CREATE ROUTINE")
        )


def rights_of(session: Session, product: Product) -> Rights:
    """Return what the session's own account may do."""
    return parse_rights(_shown(session, product))


def parse_rights(lines: Iterable[str]) -> Rights:
    """Return what ``SHOW GRANTS`` shows of privileges; grants of roles, and of columns alone, are none."""
    grants: dict[str, list[Grant]] = {"GRANT": [], "REVOKE": []}
    for line in lines:
        if match := _GRANT.match(line):
            words = (word.strip().upper() for word in re.sub(r"\([^)]*\)", "(columns)", match["rights"]).split(","))
            rights = frozenset(word for word in words if "(" not in word)
            grants[match["verb"]].append(Grant(rights, _name(match["on"]), _name(match["object"])))
    return Rights(tuple(grants["GRANT"]), tuple(grants["REVOKE"]))


def _shown(session: Session, product: Product) -> list[str]:
    if product == "MariaDB":
        return session.shown("SHOW GRANTS", _DOING)
    # MySQL shows a role's grants only where the role is named; CURRENT_ROLE() has them as `a`@`%`,`b`@`%`
    roles = str(session.value("SELECT CURRENT_ROLE()", _DOING) or "NONE")
    using = "" if roles == "NONE" else f" USING {roles}"
    return session.shown(f"SHOW GRANTS FOR CURRENT_USER(){using}", _DOING)


def _name(shown: str) -> str:
    return shown if shown == "*" else shown[1:-1].replace("``", "`")


def _like(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return re.compile(
        "".join(wild.get(part) or re.escape(part.removeprefix("\\") or part) for part in parts), re.DOTALL
    )

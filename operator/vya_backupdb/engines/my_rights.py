"""What a MySQL or MariaDB server hides from the backup account: these servers list only what an account may use.

A table without SELECT, a trigger without TRIGGER, a routine without the right to its body is not refused but absent,
from every list and so from the dump, which ends with 0. Only the account's own grants tell; they are read as the server
shows them, roles included.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from vya_backupdb.engines.base import Product
from vya_backupdb.engines.my_session import Session

_DOING: Final = "reading the account's own grants"
_NAME: Final = r"(?:\*|`(?:[^`]|``)*`)"
_GRANT: Final = re.compile(rf"GRANT (?P<rights>.+?) ON (?:TABLE )?(?P<on>{_NAME})\.(?P<object>{_NAME}) TO ", re.DOTALL)


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


def unseen(session: Session, product: Product, database: str) -> Iterator[str]:
    """Yield a sentence for each kind of object of `database` that may be missing, with the grant that would show it."""
    grants = tuple(parse_grants(_shown(session, product)))
    of_database = [grant for grant in grants if grant.covers(database)]
    for right, what in (("SELECT", "tables"), ("TRIGGER", "triggers")):
        if not any(grant.gives(right) for grant in of_database):
            yield (
                f"{what} of {database!r} may be missing: the account has no {right} on all of it,"
                f" and the server hides what an account may not use (GRANT {right} ON the database)"
            )
    if not any(_shows_routines(grant, product, database) for grant in grants):
        right = "SELECT ON mysql.proc" if product == "MariaDB" else "SHOW_ROUTINE ON *.*"
        yield (
            f"procedures and functions of {database!r} may be missing: the server hides them from the account"
            f" (GRANT {right})"
        )


def parse_grants(lines: Iterable[str]) -> Iterator[Grant]:
    """Yield what ``SHOW GRANTS`` shows of privileges; grants of roles, and of columns alone, are none."""
    for line in lines:
        if match := _GRANT.match(line):
            words = (word.strip().upper() for word in re.sub(r"\([^)]*\)", "(columns)", match["rights"]).split(","))
            rights = frozenset(word for word in words if "(" not in word)
            yield Grant(rights, _name(match["on"]), _name(match["object"]))


def _shows_routines(grant: Grant, product: Product, database: str) -> bool:
    if product == "MySQL":
        return grant.databases == "*" and grant.gives("SELECT", "SHOW_ROUTINE")
    on_table = grant.object in ("*", "proc") and grant.databases in ("*", "mysql")
    return (on_table and grant.gives("SELECT")) or (grant.covers(database) and grant.gives("SHOW CREATE ROUTINE"))


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

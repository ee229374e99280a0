"""Tablespaces of a users file, made again where that is asked for: their directories must exist on the new server."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from vya_backupdb.domain.users_file import AccountKey, Header, Statement
from vya_backupdb.domain.users_plan import AccountPlan, Action, Step
from vya_backupdb.engines.pg_acl import parse_acl
from vya_backupdb.engines.pg_restore import grants
from vya_backupdb.engines.pg_session import Session, literal, quote

#: After the accounts, one of which owns it, and before what they are given.
_ORDER: Final = (1, 1 << 40)


def plan(session: Session, found: Mapping[str, Any], there: Collection[str]) -> AccountPlan:
    """Return how the tablespace is made, or that `there` (the server's) has it already."""
    name = str(found["name"])
    key = AccountKey(f"tablespace {name}")
    if name in there:
        return AccountPlan(key, "tablespace", Action.SKIP, "exists already")
    header = Header(key, "tablespace")
    steps = (Step(_ORDER, Statement(header, sql)) for sql in _statements(session, name, found))
    return AccountPlan(key, "tablespace", Action.CREATE, "its directory must exist on the server", tuple(steps))


def _statements(session: Session, name: str, found: Mapping[str, Any]) -> Iterator[str]:
    owner = f" OWNER {quote(str(found['owner']))}" if found.get("owner") else ""
    options = [str(one).partition("=") for one in found.get("options") or ()]
    named = ", ".join(f"{quote(option)} = {literal(value)}" for option, _, value in options)
    with_options = f" WITH ({named})" if named else ""
    yield f"CREATE TABLESPACE {quote(name)}{owner} LOCATION {literal(str(found['location']))}{with_options}"
    if found.get("comment"):
        yield f"COMMENT ON TABLESPACE {quote(name)} IS {literal(str(found['comment']))}"
    for item in found.get("acl") or ():
        yield from grants(f"TABLESPACE {quote(name)}", parse_acl(str(item)), session)

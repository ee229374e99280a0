"""Who is in which role on a PostgreSQL server, in an order in which the grants can be made again.

From 16 on a membership has options (INHERIT, SET) and one row for each grantor, and a grantor must hold ADMIN before it
can have granted; below, there is one row for each role and member.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from vya_backupdb.domain.users_file import AccountKey, Header, Part, Statement
from vya_backupdb.engines.pg_session import Session

_BOOTSTRAP_OID: Final = 10
#: The first version that knows a membership's options.
WITH_OPTIONS: Final = 160000


def memberships(session: Session, hidden: str, kinds: Mapping[str, Any]) -> Iterator[Statement]:
    """Yield the memberships of the roles in `kinds`, and of the server's own in others than its own.

    `hidden` is a pattern of the roles that are the server's own or its provider's.
    """
    options = (
        "m.inherit_option, m.set_option"
        if session.version >= WITH_OPTIONS
        else "NULL AS inherit_option, NULL AS set_option"
    )
    rows = session.rows(
        f"""SELECT r.rolname AS role, u.rolname AS member, g.rolname AS grantor, m.admin_option, {options},
          m.grantor = {_BOOTSTRAP_OID} AS by_bootstrap, COALESCE(g.rolsuper, false) AS by_superuser,
          count(*) OVER (PARTITION BY m.roleid, m.member) AS grants
        FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid
        JOIN pg_catalog.pg_roles u ON u.oid = m.member LEFT JOIN pg_catalog.pg_roles g ON g.oid = m.grantor
        WHERE u.rolname !~ :hidden OR (u.rolname ~ '^pg_' AND r.rolname !~ :hidden) ORDER BY 1, 2, 3""",  # noqa: S608 - constants
        "reading the memberships",
        hidden=hidden,
    )
    for row in in_order(rows):
        header = Header(
            AccountKey(row["member"]),
            kind=kinds.get(row["member"], "predefined"),
            part=Part.MEMBERSHIP,
            of=AccountKey(row["role"]),
        )
        role, member = session.quote(row["role"]), session.quote(row["member"])
        by = f" GRANTED BY {session.quote(row['grantor'])}" if row["ordered"] and row["grantor"] else ""
        exact = f" GRANTED BY {session.quote(row['grantor'])}" if session.version >= WITH_OPTIONS else ""
        yield Statement(
            header, f"GRANT {role} TO {member}{_options(row)}{by}", (f"REVOKE {role} FROM {member}{exact}",)
        )


def _options(row: Mapping[str, Any]) -> str:
    if row["set_option"] is None:
        return " WITH ADMIN OPTION" if row["admin_option"] else ""
    words = ["ADMIN TRUE"] if row["admin_option"] else []
    words.append(f"INHERIT {str(bool(row['inherit_option'])).upper()}")
    words.append(f"SET {str(bool(row['set_option'])).upper()}")
    return f" WITH {', '.join(words)}"


def in_order(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the grants so that a grantor has its own ADMIN option before it grants; `ordered` says whether it has.

    What a superuser granted comes first and names no grantor, but where it is not the only one for its role and member:
    made as another's, the options of the last would hold for all. A grant whose grantor never gets the option (its own
    was revoked since) is kept, and made by whoever runs the file.
    """
    waiting = rows
    admins: set[tuple[str, str]] = set()
    while waiting:
        ready = [row for row in waiting if _free(row) or (row["grantor"], row["role"]) in admins]
        for row in ready or waiting:
            if row["admin_option"]:
                admins.add((row["member"], row["role"]))
            yield {**row, "ordered": bool(ready) and not _free(row)}
        done = {id(row) for row in ready or waiting}
        waiting = [row for row in waiting if id(row) not in done]


def _free(row: Mapping[str, Any]) -> bool:
    """Whether a grant can be made at any time, in nobody's name."""
    return bool(row["by_bootstrap"] or (row["by_superuser"] and row["grants"] == 1))

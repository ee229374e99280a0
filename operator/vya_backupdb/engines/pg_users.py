"""PostgreSQL's roles as SQL: attributes, password hashes, memberships, settings, comments, rights on parameters.

Our own writer, because ``pg_dumpall --roles-only`` fails as a whole where ``pg_authid`` is closed (managed servers).
Passwords come from ``pg_authid`` where the account may read it; where not, the roles come without, and that is
recorded. The file runs by hand on an empty server, and again: each role is made only if it is missing. The bootstrap
superuser's attributes and password are set only where that role is made: the target's own keeps its password.
"""

from collections.abc import Iterator
from typing import Any, Final

from vya_backupdb.domain.metadata import UsersInfo
from vya_backupdb.engines.base import UsersDump
from vya_backupdb.engines.pg_restore import assignment, grants, parse_acl
from vya_backupdb.engines.pg_session import Server, Session, literal, version_words

MARKER: Final = b"-- vya-backupdb users complete"
_BOOTSTRAP_OID: Final = 10
_DOING: Final = "reading the roles"
#: Roles that belong to a provider of managed servers: they exist there, and nowhere else can they be made. A name alone
#: proves nothing (azure_app, rdsync may be anybody's): only where the provider's own administrator is there.
_PROVIDERS: Final = {
    "rdsadmin": "rds",
    "cloudsqladmin": "cloudsql",
    "alloydbadmin": "alloydb",
    "azuresu": "azure|replication_reserved$",
}

_ATTRIBUTES: Final = (
    ("rolsuper", "SUPERUSER"),
    ("rolinherit", "INHERIT"),
    ("rolcreaterole", "CREATEROLE"),
    ("rolcreatedb", "CREATEDB"),
    ("rolcanlogin", "LOGIN"),
    ("rolreplication", "REPLICATION"),
    ("rolbypassrls", "BYPASSRLS"),
)


def users(server: Server) -> UsersDump:
    """Return every role that is neither PostgreSQL's own nor a provider's, with what hangs on it."""
    with server.session() as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", _DOING)
        sql = "SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')"
        with_passwords = bool(session.value(sql, _DOING))
        foreign = _foreign(session)
        roles = _roles(session, with_passwords, foreign)
        statements = [
            *_header(session),
            *(line for role in roles for line in _role(session, role)),
            *_memberships(session, foreign),
            *_settings(session, foreign),
            *_parameters(session),
            MARKER.decode(),
        ]
    logins = sum(bool(role["rolcanlogin"]) for role in roles)
    info = UsersInfo(accounts=logins, roles=len(roles) - logins, passwords=with_passwords)
    warnings = () if with_passwords else ("pg_authid cannot be read: the roles are saved without their passwords",)
    return UsersDump((f"{line}\n".encode() for line in statements), info, warnings)


def _header(session: Session) -> Iterator[str]:
    yield f"-- vya-backupdb users of PostgreSQL {version_words(session.version)}"
    yield "-- by hand: zcat FILE | psql -X -d postgres"
    yield ""
    yield "SET client_encoding = 'UTF8';"
    yield "SET standard_conforming_strings = on;"
    yield "SET default_transaction_read_only = off;"
    yield ""


def _foreign(session: Session) -> str:
    """Return a pattern for the roles that are PostgreSQL's own or this server's provider's."""
    there = {row["rolname"] for row in session.rows("SELECT rolname FROM pg_catalog.pg_roles", _DOING)}
    prefixes = (prefix for administrator, prefix in _PROVIDERS.items() if administrator in there)
    return f"^({'|'.join(('pg_', *prefixes))})"


def _roles(session: Session, with_passwords: bool, foreign: str) -> list[dict[str, Any]]:
    source = "pg_authid" if with_passwords else "pg_roles"
    password = "r.rolpassword" if with_passwords else "NULL"
    return session.rows(
        f"""SELECT r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
          r.rolreplication, r.rolbypassrls, r.rolconnlimit, {password} AS password,
          CASE WHEN r.rolvaliduntil IS NOT NULL THEN r.rolvaliduntil::text END AS valid_until,
          pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment
        FROM pg_catalog.{source} r WHERE r.rolname !~ :providers ORDER BY r.rolname""",  # noqa: S608 - constants
        _DOING,
        providers=foreign,
    )


def _role(session: Session, role: dict[str, Any]) -> Iterator[str]:
    name = session.quote(role["rolname"])
    alter = f"ALTER ROLE {name} WITH {_attributes(role)};"
    if role["oid"] == _BOOTSTRAP_OID:
        yield _if_missing(f"CREATE ROLE {name}; {alter}")
    else:
        yield _if_missing(f"CREATE ROLE {name};")
        yield alter
    if role["comment"] is not None:
        yield f"COMMENT ON ROLE {name} IS {literal(role['comment'])};"


def _attributes(role: dict[str, Any]) -> str:
    words = [word if role[column] else f"NO{word}" for column, word in _ATTRIBUTES]
    words.append(f"CONNECTION LIMIT {role['rolconnlimit']}")
    if role["password"] is not None:
        words.append(f"PASSWORD {literal(role['password'])}")
    if role["valid_until"] is not None:
        words.append(f"VALID UNTIL {literal(role['valid_until'])}")
    return " ".join(words)


def _if_missing(statements: str) -> str:
    """Return a block that does nothing where the role exists; its tag stands in no name."""
    tag = "$vya$"
    while tag in statements:
        tag = f"{tag[:-1]}_$"
    return f"DO {tag}BEGIN {statements} EXCEPTION WHEN duplicate_object THEN NULL; END{tag};"


def _memberships(session: Session, foreign: str) -> Iterator[str]:
    options = (
        "m.inherit_option, m.set_option" if session.version >= 160000 else "NULL AS inherit_option, NULL AS set_option"
    )
    rows = session.rows(
        f"""SELECT r.rolname AS role, u.rolname AS member, g.rolname AS grantor, m.admin_option, {options},
          m.grantor = {_BOOTSTRAP_OID} OR g.rolsuper AS by_superuser
        FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid
        JOIN pg_catalog.pg_roles u ON u.oid = m.member LEFT JOIN pg_catalog.pg_roles g ON g.oid = m.grantor
        WHERE u.rolname !~ :providers ORDER BY 1, 2, 3""",  # noqa: S608 - constants
        _DOING,
        providers=foreign,
    )
    for row in _in_order(rows):
        grantor = row["grantor"] if row["ordered"] else None
        by = f" GRANTED BY {session.quote(grantor)}" if grantor else ""
        yield f"GRANT {session.quote(row['role'])} TO {session.quote(row['member'])}{_options(row)}{by};"


def _options(row: dict[str, Any]) -> str:
    words = ["ADMIN TRUE"] if row["admin_option"] and row["set_option"] is not None else []
    if row["set_option"] is None:
        return " WITH ADMIN OPTION" if row["admin_option"] else ""
    words.append(f"INHERIT {str(bool(row['inherit_option'])).upper()}")
    words.append(f"SET {str(bool(row['set_option'])).upper()}")
    return f" WITH {', '.join(words)}"


def _in_order(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the grants so that a grantor has its own ADMIN option before it grants; `ordered` says whether it has.

    What a superuser granted comes first and names no grantor. A grant whose grantor never gets the option (its own was
    revoked since) is kept, and made by whoever runs the file.
    """
    waiting = rows
    admins: set[tuple[str, str]] = set()
    while waiting:
        ready = [row for row in waiting if row["by_superuser"] or (row["grantor"], row["role"]) in admins]
        for row in ready or waiting:
            if row["admin_option"]:
                admins.add((row["member"], row["role"]))
            yield {**row, "ordered": bool(ready) and not row["by_superuser"]}
        done = {id(row) for row in ready or waiting}
        waiting = [row for row in waiting if id(row) not in done]


def _settings(session: Session, foreign: str) -> Iterator[str]:
    rows = session.rows(
        "SELECT r.rolname AS role, s.setconfig AS settings FROM pg_catalog.pg_db_role_setting s"
        " LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = 0"
        " AND (s.setrole = 0 OR r.rolname !~ :providers) ORDER BY 1 NULLS FIRST",
        _DOING,
        providers=foreign,
    )
    for row in rows:
        role = "ALL" if row["role"] is None else session.quote(row["role"])
        for setting in row["settings"] or ():
            yield f"ALTER ROLE {role} SET {assignment(setting, session)};"


def _parameters(session: Session) -> Iterator[str]:
    if session.version < 150000:
        return
    rows = session.rows("SELECT parname, paracl::text[] AS acl FROM pg_catalog.pg_parameter_acl ORDER BY 1", _DOING)
    for row in rows:
        parameter = ".".join(session.quote(part) for part in row["parname"].split("."))
        for item in map(parse_acl, row["acl"]):
            for statement in grants(f"PARAMETER {parameter}", item, session):
                yield f"{statement};"

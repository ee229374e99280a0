"""PostgreSQL's roles as statements: attributes, password hashes, memberships, settings, grants on databases.

Our own writer, because ``pg_dumpall --roles-only`` fails as a whole where ``pg_authid`` is closed (managed servers).
Passwords come from ``pg_authid`` where the account may read it; where not, the roles come without, and that is
recorded. The file runs by hand on an empty server, and again: each role is made only if it is missing. The bootstrap
superuser's attributes and password are set only where that role is made: the target's own keeps its password.

Not here, because it lives in each database and stands in its dump: grants on objects, default privileges.
"""

from collections.abc import Iterator
from typing import Any, Final

from vya_backupdb.domain.users_file import EVERYONE, AccountKey, Header, Part, Phase, Statement, UsersFile
from vya_backupdb.engines.accounts import Read
from vya_backupdb.engines.pg_acl import parse_acl
from vya_backupdb.engines.pg_memberships import memberships
from vya_backupdb.engines.pg_restore import assignment, grants
from vya_backupdb.engines.pg_session import Server, Session, literal, version_words

COMMENTS: Final = ("by hand: zcat FILE | psql -X -d postgres; again after the databases",)
PREAMBLE: Final = (
    "SET client_encoding = 'UTF8'",
    "SET standard_conforming_strings = on",
    "SET default_transaction_read_only = off",
)
BOOTSTRAP_OID: Final = 10
DOING: Final = "reading the roles"
NO_PASSWORDS: Final = "pg_authid cannot be read: the roles are saved without their passwords"
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


def read(server: Server) -> Read:
    """Return every role that is neither PostgreSQL's own nor a provider's, with what hangs on it."""
    with server.session() as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", DOING)
        sql = "SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')"
        with_passwords = bool(session.value(sql, DOING))
        hidden = foreign(session)
        roles = _roles(session, with_passwords, hidden)
        kinds = {role["rolname"]: "user" if role["rolcanlogin"] else "role" for role in roles}
        statements = [
            *(one for role in roles for one in _role(session, role, with_passwords)),
            *memberships(session, hidden, kinds),
            *_settings(session, hidden, kinds),
            *_parameters(session, kinds),
            *_databases(session, kinds),
        ]
        head = {"product": "PostgreSQL", "version": version_words(session.version), "passwords": with_passwords}
        file = UsersFile(head, tuple(statements), tuple(_tablespaces(session)))
        warnings = [] if with_passwords else [NO_PASSWORDS]
        labels = session.value("SELECT count(*) FROM pg_catalog.pg_shseclabel", DOING)
    if labels:
        warnings.append(f"{labels} security labels of roles, databases and tablespaces are left out")
    return Read(file, tuple(warnings), None if with_passwords else "pg_roles")


def foreign(session: Session) -> str:
    """Return a pattern for the roles that are PostgreSQL's own or this server's provider's."""
    there = {row["rolname"] for row in session.rows("SELECT rolname FROM pg_catalog.pg_roles", DOING)}
    prefixes = (prefix for administrator, prefix in _PROVIDERS.items() if administrator in there)
    return f"^({'|'.join(('pg_', *prefixes))})"


def _roles(session: Session, with_passwords: bool, hidden: str) -> list[dict[str, Any]]:
    source = "pg_authid" if with_passwords else "pg_roles"
    password = "r.rolpassword" if with_passwords else "NULL"
    return session.rows(
        f"""SELECT r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
          r.rolreplication, r.rolbypassrls, r.rolconnlimit, {password} AS password,
          CASE WHEN r.rolvaliduntil IS NOT NULL THEN r.rolvaliduntil::text END AS valid_until,
          pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment
        FROM pg_catalog.{source} r WHERE r.rolname !~ :hidden ORDER BY r.rolname""",  # noqa: S608 - constants
        DOING,
        hidden=hidden,
    )


def _role(session: Session, role: dict[str, Any], with_passwords: bool) -> Iterator[Statement]:
    name = session.quote(role["rolname"])
    header = Header(
        AccountKey(role["rolname"]),
        kind="user" if role["rolcanlogin"] else "role",
        password=role["password"] is not None,
    )
    alter = f"ALTER ROLE {name} WITH {_attributes(role, with_passwords)}"
    if role["oid"] == BOOTSTRAP_OID:
        yield Statement(header, _if_missing(f"CREATE ROLE {name}; {alter};"))
    else:
        yield Statement(header, _if_missing(f"CREATE ROLE {name};"))
        yield Statement(header, alter)
    if role["comment"] is not None:
        comment = f"COMMENT ON ROLE {name} IS"
        yield Statement(header, f"{comment} {literal(role['comment'])}", (f"{comment} NULL",))


def _attributes(role: dict[str, Any], with_passwords: bool) -> str:
    """Return every attribute, those that are off as well: the role may exist, and have others."""
    words = [word if role[column] else f"NO{word}" for column, word in _ATTRIBUTES]
    words.append(f"CONNECTION LIMIT {role['rolconnlimit']}")
    if role["password"] is not None:
        words.append(f"PASSWORD {literal(role['password'])}")
    elif with_passwords:
        words.append("PASSWORD NULL")
    words.append(f"VALID UNTIL {literal(role['valid_until'] or 'infinity')}")
    return " ".join(words)


def _if_missing(statements: str) -> str:
    """Return a block that does nothing where the role exists."""
    return _block(f"{statements} EXCEPTION WHEN duplicate_object THEN NULL;")


def _block(statements: str) -> str:
    """Return statements as one; the block's tag stands in no name."""
    tag = "$vya$"
    while tag in statements:
        tag = f"{tag[:-1]}_$"
    return f"DO {tag}BEGIN {statements} END{tag}"


def _settings(session: Session, hidden: str, kinds: dict[str, Any]) -> Iterator[Statement]:
    """Yield the settings of roles, everywhere and in one database; those of a database alone are its metadata's."""
    rows = session.rows(
        "SELECT r.rolname AS role, d.datname AS database, s.setconfig AS settings"
        " FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole"
        " LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase"
        " WHERE (s.setrole = 0 AND s.setdatabase = 0) OR (s.setrole <> 0 AND r.rolname !~ :hidden)"
        " ORDER BY 2 NULLS FIRST, 1 NULLS FIRST",
        DOING,
        hidden=hidden,
    )
    for row in rows:
        role, database = row["role"], row["database"]
        header = Header(
            EVERYONE if role is None else AccountKey(role),
            kind="everyone" if role is None else kinds[role],
            part=Part.SETTING,
            phase=Phase.ACCOUNTS if database is None else Phase.GRANTS,
            database=database,
        )
        where = f" IN DATABASE {session.quote(database)}" if database is not None else ""
        alter = f"ALTER ROLE {'ALL' if role is None else session.quote(role)}{where}"
        for setting in row["settings"] or ():
            name = ".".join(map(session.quote, setting.partition("=")[0].split(".")))
            yield Statement(header, f"{alter} SET {assignment(setting, session)}", (f"{alter} RESET {name}",))


def _parameters(session: Session, kinds: dict[str, Any]) -> Iterator[Statement]:
    if session.version < 150000:
        return
    rows = session.rows(
        "SELECT p.parname, p.paracl::text[] AS acl, o.rolname AS owner FROM pg_catalog.pg_parameter_acl p"
        " LEFT JOIN pg_catalog.pg_roles o ON o.oid = :bootstrap ORDER BY 1",
        DOING,
        bootstrap=BOOTSTRAP_OID,
    )
    for row in rows:
        parameter = ".".join(session.quote(part) for part in row["parname"].split("."))
        for item in row["acl"]:
            yield from _granted(session, f"PARAMETER {parameter}", item, kinds, row["owner"])


def _databases(session: Session, kinds: dict[str, Any]) -> Iterator[Statement]:
    """Yield what roles may do with databases; the rights of owners and of PUBLIC stand in the metadata of each."""
    rows = session.rows(
        "SELECT d.datname AS name, o.rolname AS owner, d.datacl::text[] AS acl FROM pg_catalog.pg_database d"
        " LEFT JOIN pg_catalog.pg_roles o ON o.oid = d.datdba WHERE d.datacl IS NOT NULL ORDER BY 1",
        DOING,
    )
    for row in rows:
        for item in row["acl"]:
            if parse_acl(item).grantee not in (None, row["owner"]):
                on = f"DATABASE {session.quote(row['name'])}"
                yield from _granted(session, on, item, kinds, row["owner"], row["name"])


def _granted(
    session: Session, on: str, item: str, kinds: dict[str, Any], owner: str | None, database: str | None = None
) -> Iterator[Statement]:
    parsed = parse_acl(item)
    if parsed.grantee is not None and parsed.grantee not in kinds and not parsed.grantee.startswith("pg_"):
        return
    header = Header(
        EVERYONE if parsed.grantee is None else AccountKey(parsed.grantee),
        kind="everyone" if parsed.grantee is None else kinds.get(parsed.grantee, "predefined"),
        part=Part.GRANT,
        phase=Phase.ACCOUNTS if database is None else Phase.GRANTS,
        database=database,
    )
    for sql in grants(on, parsed, session):
        revoke = sql.removesuffix(" WITH GRANT OPTION").replace("GRANT ", "REVOKE ", 1)
        head, _, grantee = revoke.rpartition(f"{on} TO ")
        undo = f"{head}{on} FROM {grantee}"
        if parsed.grantor != owner:  # taken back by another than who gave it, it stays, and nobody says so
            undo = _block(f"SET LOCAL ROLE {session.quote(parsed.grantor)}; {undo};")
        yield Statement(header, sql, (undo,))


def _tablespaces(session: Session) -> Iterator[dict[str, Any]]:
    """Yield what a person needs to make the tablespaces again; their directories are the server's."""
    yield from session.rows(
        "SELECT t.spcname AS name, r.rolname AS owner, pg_catalog.pg_tablespace_location(t.oid) AS location,"
        " t.spcoptions AS options, t.spcacl::text[] AS acl,"
        " pg_catalog.shobj_description(t.oid, 'pg_tablespace') AS comment FROM pg_catalog.pg_tablespace t"
        " LEFT JOIN pg_catalog.pg_roles r ON r.oid = t.spcowner WHERE t.spcname !~ '^pg_' ORDER BY 1",
        DOING,
    )

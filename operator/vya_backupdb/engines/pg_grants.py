"""Who may do what on a PostgreSQL server: on the whole server, or in one database, for people who look.

What an owner may do by owning is not listed; what is granted to PUBLIC is, as the account ``PUBLIC``.
"""

from typing import Final

from vya_backupdb.domain.users_file import AccountKey
from vya_backupdb.engines.accounts import GrantRow
from vya_backupdb.engines.pg_session import Server, Session

_DOING: Final = "reading the grants"
_ROLES: Final = """
    SELECT u.rolname AS account, 'MEMBER' AS privilege, 'ROLE ' || pg_catalog.quote_ident(r.rolname) AS "on",
      m.admin_option AS grantable
    FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid
    JOIN pg_catalog.pg_roles u ON u.oid = m.member"""
_EXPLODED: Final = """
    SELECT COALESCE(r.rolname, '') AS account, a.privilege_type AS privilege, o."on", a.is_grantable AS grantable
    FROM ({objects}) o CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) a
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee WHERE a.grantee <> o.owner"""
_DATABASES: Final = """
    SELECT 'DATABASE ' || pg_catalog.quote_ident(datname) AS "on", datdba AS owner,
      COALESCE(datacl, pg_catalog.acldefault('d', datdba)) AS acl FROM pg_catalog.pg_database"""
_NAMED: Final = "pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)"
_USER_SCHEMA: Final = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_OBJECTS: Final = f"""
    SELECT 'SCHEMA ' || pg_catalog.quote_ident(n.nspname) AS "on", n.nspowner AS owner, n.nspacl AS acl
      FROM pg_catalog.pg_namespace n WHERE {_USER_SCHEMA}
    UNION ALL SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' WHEN 'v' THEN 'VIEW ' ELSE 'TABLE ' END || {_NAMED},
      c.relowner, c.relacl FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE {_USER_SCHEMA}
    UNION ALL SELECT 'COLUMN ' || {_NAMED} || '.' || pg_catalog.quote_ident(t.attname), c.relowner, t.attacl
      FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE t.attacl IS NOT NULL AND {_USER_SCHEMA}
    UNION ALL SELECT 'ROUTINE ' || p.oid::pg_catalog.regprocedure::text, p.proowner, p.proacl
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE {_USER_SCHEMA}
    UNION ALL SELECT 'DEFAULT of ' || d.defaclrole::pg_catalog.regrole::text || ' for '
      || CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
         WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END
      || COALESCE(' in ' || pg_catalog.quote_ident(n.nspname), ''), d.defaclrole, d.defaclacl
      FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
"""  # noqa: S608 - constants


def grants(server: Server, database: str | None) -> list[GrantRow]:
    """Return memberships and grants on databases; or, of `database`, the grants on it and in it."""
    with server.session(database) as session:
        if database is None:
            return [*_rows(session, _ROLES), *_rows(session, _EXPLODED.format(objects=_DATABASES))]
        own = f"{_DATABASES} WHERE datname = pg_catalog.current_database()"
        found = _rows(session, _EXPLODED.format(objects=own))
        return [*found, *_rows(session, _EXPLODED.format(objects=_OBJECTS))]


def _rows(session: Session, sql: str) -> list[GrantRow]:
    """Return one row for each account and object, with all privileges of one kind in it."""
    found: dict[tuple[str, str, bool], list[str]] = {}
    for row in session.rows(sql.replace("::", r"\:\:"), _DOING):
        key = (str(row["account"]), str(row["on"]), bool(row["grantable"]))
        found.setdefault(key, []).append(str(row["privilege"]))
    return [
        GrantRow(AccountKey(account), ", ".join(privileges), on, grantable)
        for (account, on, grantable), privileges in sorted(found.items())
    ]

"""Making, finishing, dropping and counting PostgreSQL databases for a restore.

The dump is loaded into a scratch database made from ``template0`` with the recorded encoding and locale, then gets what
stands in no dump (owner, ACL, settings, comment, limits), then its final name (`pg_swap`). Roles that the database's
attributes name must exist beforehand: a restore that would lose owner or grants is refused before anything is loaded,
and the refusal names the roles and the users file. A setting that the server does not know is a warning: the data is
whole.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from vya_backupdb.domain.errors import BackupDBError, ConfigurationError, RestoreFailed, TargetExists
from vya_backupdb.domain.metadata import DatabaseSettings, TableInfo
from vya_backupdb.engines import pg_database_roles, pg_errors
from vya_backupdb.engines.base import Count
from vya_backupdb.engines.pg_acl import AclItem, parse_acl
from vya_backupdb.engines.pg_catalog import BY_ENUM_HASH
from vya_backupdb.engines.pg_session import Server, Session, literal

MAX_NAME_BYTES: Final = 63
#: Settings that hold a list of names; the stored text is such a list already and must not become one string.
LIST_SETTINGS: Final = frozenset(
    {
        "search_path",
        "temp_tablespaces",
        "session_preload_libraries",
        "local_preload_libraries",
        "shared_preload_libraries",
        "unix_socket_directories",
        "createrole_self_grant_",
    }
)


_TABLES: Final = f"""
    SELECT n.nspname AS schema, c.relname AS name, rn.nspname AS root_schema, r.relname AS root,
      pg_catalog.textsend(pg_catalog.format('ONLY %I.%I', n.nspname, c.relname)) AS source,
      {BY_ENUM_HASH} AS by_hash,
      EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
              AND d.objid = c.oid AND d.deptype = 'e') AS member
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid)
    LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY 1, 2"""  # noqa: S608 - constants


def check_name(database: str) -> None:
    """Raise ConfigurationError for a name that PostgreSQL would refuse, or cut at 63 bytes without a word."""
    if not database or "\0" in database or len(database.encode()) > MAX_NAME_BYTES:
        raise ConfigurationError(
            f"{database!r} cannot be a PostgreSQL database's name",
            hint=f"Use 1 to {MAX_NAME_BYTES} bytes; the server would cut a longer name in silence.",
        )


def exists(server: Server, database: str) -> bool:
    """See `base.Engine.exists`."""
    with server.session() as session:
        return _exists(session, database)


def create(server: Server, database: str, settings: DatabaseSettings) -> tuple[str, ...]:
    """See `base.Engine.create`. Raise RestoreFailed if roles are missing that `settings` names."""
    check_name(database)
    with server.session() as session:
        if _exists(session, database):
            raise TargetExists(f"database {database!r} exists already", hint="Choose another target name.")
        pg_database_roles.require(session, settings)
        tablespace, warnings = _tablespace(session, settings)
        # its owner from the start: public belongs to whoever owns the database, and a dump that gives a table in it to
        # that role is refused to every account but a superuser's while the database is still ours
        owner = f" OWNER {session.quote(settings.owner)}" if settings.owner else ""
        name, locale = session.quote(database), _locale(session, settings)
        sql = f"CREATE DATABASE {name}{owner} TEMPLATE template0{locale}{tablespace}"
        try:
            session.run(sql)
        except SQLAlchemyError as error:
            raise refused(server, error, f"creating database {database!r}") from error
    return warnings


def finish(server: Server, database: str, settings: DatabaseSettings) -> tuple[str, ...]:
    """See `base.Engine.finish`."""
    warnings: list[str] = []
    with server.session() as session:
        name = session.quote(database)
        for sql in (*_ownership(session, name, settings), *_attributes(name, settings)):
            try:
                session.run(sql)
            except SQLAlchemyError as error:
                raise refused(server, error, sql) from error
        for sql in _settings(session, name, settings):
            try:
                session.run(sql)
            except SQLAlchemyError as error:
                warnings.append(f"not applied: {sql}: {refused(server, error, 'the server said').message}")
        if settings.is_template:
            session.execute(f"ALTER DATABASE {name} IS_TEMPLATE true", f"making {name} a template again")
    return tuple(server.redact(warning) for warning in warnings)


def drop(server: Server, database: str, *, identity: str | None) -> None:
    """See `base.Engine.drop`."""
    with server.session() as session:
        sql = "SELECT oid::text FROM pg_catalog.pg_database WHERE datname = :name"
        found = session.value(sql, f"looking for database {database!r}", name=database)
        if found is None:
            return
        if identity not in {None, found}:
            raise TargetExists(
                f"{database!r} is not the database that this restore made: it is another one of that name",
                hint="Look at it; it was not touched.",
            )
        name = session.quote(database)
        try:
            _unsubscribe(server, session, database, found)
            session.run(f"ALTER DATABASE {name} IS_TEMPLATE false")
            session.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        except SQLAlchemyError as error:
            raise refused(server, error, f"dropping database {database!r}") from error


def _unsubscribe(server: Server, session: Session, database: str, oid: str) -> None:
    """Drop the subscriptions of `database`, which would keep it from being dropped; no slot elsewhere is touched."""
    sql = "SELECT subname AS name FROM pg_catalog.pg_subscription WHERE subdbid::text = :oid"
    names = [str(row["name"]) for row in session.rows(sql, f"looking for subscriptions of {database!r}", oid=oid)]
    if not names:
        return
    with server.session(database) as inside:
        for name in map(inside.quote, names):
            inside.run(f"ALTER SUBSCRIPTION {name} DISABLE")
            inside.run(f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
            inside.run(f"DROP SUBSCRIPTION {name}")


def count(server: Server, database: str) -> Count:
    """See `base.Engine.count`: ordinary tables, each without its children; there is no marker among them.

    The rows of an extension's own table stay unknown: CREATE EXTENSION puts some there (PostGIS 8,500) that stand in no
    dump, so their number is never the file's.
    """
    with server.untriggered(database) as session:
        tables = session.rows(
            _TABLES,
            f"listing the tables of {database!r}",
        )
        counted = tuple(
            TableInfo(schema=table["schema"], name=table["name"]) if table["member"] else _counted(session, table)
            for table in tables
        )
    return Count(len(counted), sum(table.rows or 0 for table in counted), counted, _by_root(tables, counted))


def _by_root(tables: list[dict[str, Any]], counted: tuple[TableInfo, ...]) -> tuple[TableInfo, ...]:
    """Return the rows that a dump puts into each root: of the partitions by an enum's hash, or else of all."""
    by_hash: Counter[tuple[str, str]] = Counter()
    all_: Counter[tuple[str, str]] = Counter()
    for table, one in zip(tables, counted, strict=True):
        if table["root"] is not None:
            root = (table["root_schema"], table["root"])
            all_[root] += one.rows or 0
            if table["by_hash"]:
                by_hash[root] += one.rows or 0
    return tuple(
        TableInfo(schema=root[0], name=root[1], rows=rows) for root, rows in sorted({**all_, **by_hash}.items())
    )


def _counted(session: Session, table: dict[str, Any]) -> TableInfo:
    schema, name = table["schema"], table["name"]
    source = session.verbatim(table["source"]).replace(":", r"\:")
    rows = session.value(f"SELECT count(*) FROM {source}", f"counting the rows of {schema}.{name}")  # noqa: S608
    return TableInfo(schema=schema, name=name, rows=rows)


def _exists(session: Session, database: str) -> bool:
    sql = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = :name"
    return session.value(sql, f"looking for database {database!r}", name=database) is not None


def _tablespace(session: Session, settings: DatabaseSettings) -> tuple[str, tuple[str, ...]]:
    if settings.tablespace is None:
        return "", ()
    sql = "SELECT 1 FROM pg_catalog.pg_tablespace WHERE spcname = :name"
    if session.value(sql, "looking for the tablespace", name=settings.tablespace) is None:
        return "", (f"the server has no tablespace {settings.tablespace!r}: the default one is used",)
    return f" TABLESPACE {session.quote(settings.tablespace)}", ()


def _locale(session: Session, settings: DatabaseSettings) -> str:
    """Return the clauses for encoding and locale; the provider's own only where this server knows providers (15)."""
    clauses = [
        *((f"ENCODING {literal(settings.charset)}",) if settings.charset else ()),
        *((f"LC_COLLATE {literal(settings.collation)}",) if settings.collation else ()),
    ]
    ctype, provider, locale = (settings.locale.get(name) for name in ("ctype", "provider", "locale"))
    if ctype:
        clauses.append(f"LC_CTYPE {literal(ctype)}")
    if provider and (provider != "libc" or session.version >= 150000):
        clauses.append(f"LOCALE_PROVIDER {literal(provider)}")
    if locale and provider in ("icu", "builtin"):
        clauses.append(f"{'ICU_LOCALE' if provider == 'icu' else 'BUILTIN_LOCALE'} {literal(locale)}")
    if rules := settings.locale.get("rules"):
        clauses.append(f"ICU_RULES {literal(rules)}")
    return "".join(f" {clause}" for clause in clauses)


def _ownership(session: Session, name: str, settings: DatabaseSettings) -> Iterator[str]:
    if settings.owner:
        yield f"ALTER DATABASE {name} OWNER TO {session.quote(settings.owner)}"
    if not settings.acl:
        return
    yield f"REVOKE ALL ON DATABASE {name} FROM PUBLIC"
    if settings.owner:
        yield f"REVOKE ALL ON DATABASE {name} FROM {session.quote(settings.owner)}"
    for item in map(parse_acl, settings.acl):
        yield from grants(f"DATABASE {name}", item, session)


def grants(on: str, item: AclItem, session: Session) -> Iterator[str]:
    """Yield the GRANT statements of one access control item on an object, such as ``DATABASE "x"``."""
    grantee = "PUBLIC" if item.grantee is None else session.quote(item.grantee)
    for privilege, grantable in item.privileges:
        yield f"GRANT {privilege} ON {on} TO {grantee}{' WITH GRANT OPTION' if grantable else ''}"


def _attributes(name: str, settings: DatabaseSettings) -> Iterator[str]:
    if settings.comment is not None:
        yield f"COMMENT ON DATABASE {name} IS {literal(settings.comment)}"
    if settings.connection_limit is not None:
        yield f"ALTER DATABASE {name} CONNECTION LIMIT {settings.connection_limit}"


def _settings(session: Session, name: str, settings: DatabaseSettings) -> Iterator[str]:
    for setting in settings.settings:
        yield f"ALTER DATABASE {name} SET {assignment(setting, session)}"
    for role, values in settings.role_settings.items():
        for setting in values:
            yield f"ALTER ROLE {session.quote(role)} IN DATABASE {name} SET {assignment(setting, session)}"


def assignment(setting: str, session: Session) -> str:
    """Return ``"name" TO 'value'`` for a stored ``name=value``; each part of a dotted name is quoted by itself."""
    name, _, value = setting.partition("=")
    quoted = ".".join(session.quote(part) for part in name.split("."))
    if name.lower() not in LIST_SETTINGS:
        return f"{quoted} TO {literal(value)}"
    elements = re.findall(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(?:,|$)', value)
    words = [literal(inside.replace('""', '"') if inside or not bare else bare) for inside, bare in elements]
    return f"{quoted} TO {', '.join(words) or literal('')}"


def refused(server: Server, error: SQLAlchemyError, doing: str) -> BackupDBError:
    """Return our error for a statement of a restore that the server refused while `doing`."""
    translated = pg_errors.of_statement(error, server.redact(doing), server.redact)
    if pg_errors.sqlstate(error) is None or pg_errors.sqlstate(error) == "42501":
        return translated
    return RestoreFailed(translated.message, hint="Correct what the server names, then restore again.")

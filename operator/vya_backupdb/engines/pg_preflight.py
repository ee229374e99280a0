"""What a dump of a PostgreSQL database would lack or could not read: known before it begins.

pg_dump itself stops at the first table that it may not read, after it has waited for all locks; here all are named,
with the statement that mends them. What it leaves out in silence (the options of user mappings) is a warning. Asked in
the dump's own snapshot, or in any session.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from vya_backupdb.domain.report import Finding
from vya_backupdb.engines import pg_undumpable
from vya_backupdb.engines.findings import PRIVILEGE, names, note, obstacle
from vya_backupdb.engines.pg_session import Session

_USER_SCHEMA: Final = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_MEMBER: Final = (
    "EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass"
    " AND d.objid = c.oid AND d.deptype = 'e')"
)
# an extension's own table is dumped only where the extension marked it as configuration
_DUMPED: Final = f"""c.relpersistence <> 't' AND {_USER_SCHEMA} AND (NOT {_MEMBER}
    OR EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)))"""
_FROM: Final = "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"

_UNUSABLE: Final = f"""
    SELECT DISTINCT n.nspname AS name {_FROM} WHERE {_DUMPED} AND c.relkind IN ('r', 'p', 'S')
      AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') ORDER BY 1"""
_UNREADABLE: Final = f"""
    SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'S' AS is_sequence {_FROM}
    WHERE {_DUMPED} AND c.relkind IN ('r', 'p', 'S') AND NOT CASE WHEN c.relkind = 'S'
      THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END
    ORDER BY 1, 2"""
_SECURED: Final = f"""
    SELECT n.nspname AS schema, c.relname AS name {_FROM}
    WHERE {_DUMPED} AND c.relkind IN ('r', 'p') AND c.relrowsecurity AND pg_catalog.row_security_active(c.oid)
    ORDER BY 1, 2"""
_LARGE_OBJECTS: Final = """
    SELECT count(*) AS number, min(m.oid) AS first FROM pg_catalog.pg_largeobject_metadata m
    WHERE NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE') AND NOT EXISTS (
      SELECT FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT'
      AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))"""
_SUBSCRIPTIONS: Final = """
    SELECT s.subname AS name FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
    WHERE d.datname = pg_catalog.current_database() ORDER BY 1"""
_MAPPINGS: Final = """
    SELECT DISTINCT m.srvname AS name FROM pg_catalog.pg_user_mappings m WHERE m.umoptions IS NULL
      AND m.umuser <> (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) ORDER BY 1"""
_LOCKS: Final = f"""
    SELECT (SELECT count(*) {_FROM} WHERE {_DUMPED} AND c.relkind IN ('r', 'p')) AS needed,
      pg_catalog.current_setting('max_locks_per_transaction')::bigint
      * (pg_catalog.current_setting('max_connections')::bigint
         + pg_catalog.current_setting('max_prepared_transactions')::bigint) AS available"""
#: What pg_dump says where it leaves subscriptions out; ``allowed_stderr`` may accept it.
UNSUBSCRIBED: Final = "pg_dump: warning: subscriptions not dumped because current user is not a superuser"


def of_database(session: Session, database: str, accepted: Callable[[str], bool]) -> tuple[Finding, ...]:
    """Return what holds for the session's database. `accepted` judges a line of pg_dump's stderr."""
    rights = () if session.is_superuser() else _rights(session, database, accepted)
    return (*rights, *_lock_budget(session, database), *pg_undumpable.of_database(session, database))


def _rights(session: Session, database: str, accepted: Callable[[str], bool]) -> Iterator[Finding]:
    account = session.quote(str(session.value("SELECT current_user", "asking for the account")))
    yield from _unreadable(session, database, account)
    yield from _secured(session, database, account)
    yield from _large_objects(session, database, account)
    subscribed = [str(row["name"]) for row in _ask(session, database, _SUBSCRIPTIONS)]
    if subscribed and not accepted(UNSUBSCRIBED):
        text = f"subscriptions of {database!r} are shown to superusers only and would be missing: {names(subscribed)}"
        yield obstacle(
            PRIVILEGE, text, f"ALTER ROLE {account} SUPERUSER, or accept pg_dump's warning in allowed_stderr"
        )
    if mapped := [str(row["name"]) for row in _ask(session, database, _MAPPINGS)]:
        text = f"options of user mappings of {database!r} (passwords) may be missing, on servers: {names(mapped)}"
        yield note("MappingsHidden", text, f"ALTER ROLE {account} SUPERUSER, or keep them elsewhere")


def _unreadable(session: Session, database: str, account: str) -> Iterator[Finding]:
    if schemas := [session.quote(row["name"]) for row in _ask(session, database, _UNUSABLE)]:
        text = f"the account may not look into schemas of {database!r}: {names(schemas)}"
        yield obstacle(
            PRIVILEGE, text, f"GRANT USAGE ON SCHEMA {schemas[0]} TO {account}, or GRANT pg_read_all_data TO {account}"
        )
    rows = _ask(session, database, _UNREADABLE)
    for kind, words in ((False, "TABLE"), (True, "SEQUENCE")):
        found = [
            f"{session.quote(row['schema'])}.{session.quote(row['name'])}" for row in rows if row["is_sequence"] is kind
        ]
        if found:
            text = f"the account may not read {words.lower()}s of {database!r}: {names(found)}"
            remedy = f"GRANT SELECT ON {words} {found[0]} TO {account}, or GRANT pg_read_all_data"
            yield obstacle(PRIVILEGE, text, f"{remedy} TO {account}")


def _secured(session: Session, database: str, account: str) -> Iterator[Finding]:
    if found := [f"{row['schema']}.{row['name']}" for row in _ask(session, database, _SECURED)]:
        text = f"row-level security hides rows of {database!r} from the account, in tables: {names(found)}"
        yield obstacle(PRIVILEGE, text, f"ALTER ROLE {account} BYPASSRLS")


def _large_objects(session: Session, database: str, account: str) -> Iterator[Finding]:
    sql = "SELECT pg_catalog.current_setting('lo_compat_privileges') = 'on'"
    if session.value(sql, "asking for rights on large objects"):
        return
    (row,) = _ask(session, database, _LARGE_OBJECTS)
    if row["number"] and not _reads_all_large_objects(session, row["first"]):
        text = f"the account may not read {row['number']} large objects of {database!r}, {row['first']} is the first"
        yield obstacle(PRIVILEGE, text, f"ALTER ROLE {account} SET lo_compat_privileges = on")


def _reads_all_large_objects(session: Session, first: int) -> bool:
    """Whether a predefined role opens them all; the function that knows came with PostgreSQL 18."""
    if session.version < 180000:
        return False
    sql = "SELECT pg_catalog.has_largeobject_privilege(CAST(:oid AS oid), 'SELECT')"
    return bool(session.value(sql, "asking for rights on large objects", oid=first))


def _lock_budget(session: Session, database: str) -> Iterator[Finding]:
    (row,) = _ask(session, database, _LOCKS)
    if row["needed"] > row["available"]:
        text = (
            f"a dump of {database!r} locks {row['needed']} tables at once, and the server is made for"
            f" {row['available']} locks"
        )
        yield note("LockBudget", text, "raise max_locks_per_transaction, and restart the server")


def _ask(session: Session, database: str, sql: str) -> list[dict[str, Any]]:
    return session.rows(sql, f"looking for what the account may not read in {database!r}")

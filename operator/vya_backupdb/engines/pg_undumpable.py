"""What no dump of PostgreSQL holds, whoever makes it, and what pg_dump says nothing of.

pg_dump takes all of `pg_catalog` and of `information_schema` for the server's own: what a user made there, or added to
an operator family of the server's, is missing from every dump. Where something that is dumped needs it, no server takes
the dump back.
"""

from collections.abc import Iterator
from typing import Final

from vya_backupdb.domain.report import Finding
from vya_backupdb.engines.findings import names, note, obstacle
from vya_backupdb.engines.pg_schema_sql import FIRST_OID, no_member
from vya_backupdb.engines.pg_session import Session

#: Catalogues of what lies in a schema, and how each calls its schema. Not collations: the server itself adds to them,
#: by pg_import_system_collations. What belongs to something else (a type of rows, an identity's sequence) goes with it.
_HOMES: Final = (
    ("pg_class", "relnamespace", "o.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"),
    ("pg_proc", "pronamespace", "true"),
    ("pg_type", "typnamespace", "true"),
    ("pg_operator", "oprnamespace", "true"),
    ("pg_opclass", "opcnamespace", "true"),
    ("pg_opfamily", "opfnamespace", "true"),
    ("pg_conversion", "connamespace", "true"),
    ("pg_ts_config", "cfgnamespace", "true"),
    ("pg_ts_dict", "dictnamespace", "true"),
)
_IN_SCHEMAS: Final = " UNION ALL ".join(
    f"SELECT 'pg_catalog.{catalog}'::pg_catalog.regclass AS classid, o.oid FROM pg_catalog.{catalog} o"  # noqa: S608 - constants
    f" WHERE o.oid >= {FIRST_OID} AND o.{home} IN (SELECT n.oid FROM pg_catalog.pg_namespace n"
    f" WHERE n.nspname IN ('pg_catalog', 'information_schema')) AND {no_member(catalog, 'o')} AND {more}"
    for catalog, home, more in _HOMES
)
#: A member that a class brings belongs to that class.
_IN_FAMILIES: Final = " UNION ALL ".join(
    f"SELECT 'pg_catalog.{catalog}'::pg_catalog.regclass, o.oid FROM pg_catalog.{catalog} o"  # noqa: S608 - constants
    f" WHERE o.oid >= {FIRST_OID} AND o.{family} < {FIRST_OID} AND {no_member(catalog, 'o')}"
    for catalog, family in (("pg_amop", "amopfamily"), ("pg_amproc", "amprocfamily"))
)
_STRAY: Final = f"""
    WITH made AS MATERIALIZED ({_IN_SCHEMAS} UNION ALL {_IN_FAMILIES})
    SELECT i.type || ' ' || i.identity AS name, EXISTS (
        SELECT FROM pg_catalog.pg_depend d LEFT JOIN pg_catalog.pg_rewrite r
          ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
        WHERE d.refclassid = m.classid AND d.refobjid = m.oid AND d.deptype = 'n' AND NOT EXISTS (
          SELECT FROM made own WHERE own.classid = d.classid AND own.oid = d.objid OR own.oid = r.ev_class)) AS needed
    FROM made m CROSS JOIN LATERAL pg_catalog.pg_identify_object(m.classid, m.oid, 0) i
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend p WHERE p.classid = m.classid AND p.objid = m.oid
      AND p.deptype = 'i') ORDER BY 1"""  # noqa: S608 - constants


def of_database(session: Session, database: str) -> Iterator[Finding]:
    """Yield what holds for the session's database."""
    rows = session.rows(_STRAY, f"looking for what no dump of {database!r} holds")
    text = f"no dump of {database!r} holds what was made in the server's own schemas or operator families"
    remedy = "make it in a schema, or an operator class, of your own"
    # rows are no less to be missed than what other objects stand on
    needed = [str(row["name"]) for row in rows if row["needed"] or str(row["name"]).startswith("table ")]
    if needed:
        yield obstacle("InSystemSchema", f"{text}, and this cannot be done without: {names(needed)}", remedy)
    if others := [name for row in rows if (name := str(row["name"])) not in needed]:
        yield note("InSystemSchema", f"{text}: {names(others)}", remedy)

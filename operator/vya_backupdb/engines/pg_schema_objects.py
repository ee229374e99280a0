"""What a PostgreSQL database holds beside its relations: schemas, types, routines, extensions, publications, and more.

Subscriptions and user mappings are left out: a restore must not begin to replicate, and their texts hold passwords.
The schema ``public`` is always there, because no dump drops it: it counts with its labels only.
"""

from typing import Final

from vya_backupdb.engines.pg_schema_sql import (
    NOT_SYSTEM,
    Query,
    acl,
    collation_name,
    columns,
    described,
    in_schema,
    no_member,
    owned,
)

_SCHEMAS: Final = Query(
    "schema",
    f"""SELECT w.name AS k1, pg_catalog.pg_get_userbyid(n.nspowner) AS owner,
      coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))::text[] AS acl, ds.description AS comment
    FROM (SELECT nspname::text AS name FROM pg_catalog.pg_namespace n WHERE {NOT_SYSTEM}
      AND {no_member("pg_namespace", "n")} UNION SELECT 'public') w
      LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.name {described("pg_namespace", "n")}""",
)

_TYPES: Final = Query(
    "type",
    f"""SELECT n.nspname::text AS k1, t.typname::text AS k2, t.typtype::text AS form,
      CASE WHEN t.typtype = 'e' THEN ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
        WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) END AS enum_labels,
      CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END AS base,
      t.typnotnull AS not_null, CASE WHEN t.typcollation <> coalesce(b.typcollation, 0)
        THEN {collation_name("t.typcollation")} END AS collation,
      pg_catalog.format_type(r.rngsubtype, NULL) AS subtype, {collation_name("r.rngcollation")} AS subtype_collation,
      (SELECT o.opcname::text FROM pg_catalog.pg_opclass o WHERE o.oid = r.rngsubopc) AS subtype_class,
      NULLIF(r.rngcanonical, 0)::pg_catalog.regproc::text AS canonical,
      NULLIF(r.rngsubdiff, 0)::pg_catalog.regproc::text AS difference, {{multirange}},
      CASE WHEN t.typtype = 'b' THEN ARRAY[t.typlen::text, t.typbyval::text, t.typalign::text, t.typstorage::text,
        t.typinput::text, t.typoutput::text, t.typreceive::text, t.typsend::text, t.typmodin::text, t.typmodout::text,
        t.typanalyze::text, t.typcategory::text, t.typispreferred::text, t.typdelim::text] END AS base_type,
      coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault) AS "default",
      {acl("T", "t.typacl", "t.typowner")}, {owned("t", "typowner")}
    FROM pg_catalog.pg_type t {in_schema("t", "typnamespace")}
      LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
      {described("pg_type", "t")}
    WHERE {NOT_SYSTEM} AND t.typtype IN ('e', 'd', 'r', 'b') AND {no_member("pg_type", "t")}
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_type l WHERE l.typarray = t.oid)""",
    definition=("default",),
    versioned=(("multirange", 140000, "NULLIF(r.rngmultitypid, 0)::pg_catalog.regtype::text"),),
    catalog="pg_type",
)

_ROUTINES: Final = Query(
    "routine",
    f"""SELECT n.nspname::text AS k1,
      pg_catalog.format('%s(%s)', p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)) AS k2,
      p.prokind::text AS form, pg_catalog.pg_get_function_result(p.oid) AS result, l.lanname::text AS language,
      p.provolatile::text AS volatility, p.proisstrict AS strict, p.prosecdef AS security_definer,
      p.proleakproof AS leakproof, p.proparallel::text AS parallel, p.procost::text AS cost, p.prorows::text AS rows,
      p.proretset AS returns_set, p.proconfig::text[] AS options, p.proargnames::text[] AS argument_names,
      p.proargmodes::text[] AS argument_modes, p.pronargdefaults AS defaults,
      ARRAY(SELECT pg_catalog.format_type(u.id, NULL) FROM
        pg_catalog.unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY AS u(id, place)
        ORDER BY u.place) AS argument_types,
      NULLIF(p.prosupport, 0)::pg_catalog.regproc::text AS support, p.probin::text AS library,
      CASE WHEN g.aggfnoid IS NOT NULL THEN ARRAY[g.aggkind::text, g.aggtransfn::text, g.aggfinalfn::text,
        g.aggcombinefn::text, g.aggserialfn::text, g.aggdeserialfn::text, g.aggmtransfn::text, g.aggminvtransfn::text,
        g.aggmfinalfn::text, g.aggfinalextra::text, g.aggmfinalextra::text, g.aggfinalmodify::text,
        g.aggmfinalmodify::text, NULLIF(g.aggsortop, 0)::pg_catalog.regoperator::text,
        pg_catalog.format_type(g.aggtranstype, NULL), g.aggtransspace::text,
        pg_catalog.format_type(NULLIF(g.aggmtranstype, 0), NULL), g.aggmtransspace::text, g.agginitval,
        g.aggminitval] END AS aggregate,
      CASE WHEN p.pronargdefaults > 0 THEN pg_catalog.pg_get_function_arguments(p.oid) END AS arguments,
      p.prosrc AS body, {{sql_body}}, {acl("f", "p.proacl", "p.proowner")}, {owned("p", "proowner")}
    FROM pg_catalog.pg_proc p {in_schema("p", "pronamespace")} JOIN pg_catalog.pg_language l ON l.oid = p.prolang
      LEFT JOIN pg_catalog.pg_aggregate g ON g.aggfnoid = p.oid {described("pg_proc", "p")}
    WHERE {NOT_SYSTEM} AND {no_member("pg_proc", "p")}""",
    definition=("arguments", "body", "sql_body"),
    versioned=(("sql_body", 140000, "pg_catalog.pg_get_function_sqlbody(p.oid)"),),
    catalog="pg_proc",
)

_EXTENSIONS: Final = Query(
    "extension",
    f"""SELECT e.extname::text AS k1, n.nspname::text AS schema, e.extversion AS version, ds.description AS comment
    FROM pg_catalog.pg_extension e {in_schema("e", "extnamespace")} {described("pg_extension", "e")}""",
    definition=("version",),
)

_EVENT_TRIGGERS: Final = Query(
    "event trigger",
    f"""SELECT e.evtname::text AS k1, e.evtevent::text AS event, e.evtenabled::text AS enabled,
      e.evttags::text[] AS tags, e.evtfoid::pg_catalog.regproc::text AS function, {owned("e", "evtowner")}
    FROM pg_catalog.pg_event_trigger e {described("pg_event_trigger", "e")}
    WHERE {no_member("pg_event_trigger", "e")}""",
    catalog="pg_event_trigger",
)

_PUBLICATIONS: Final = Query(
    "publication",
    f"""SELECT p.pubname::text AS k1, p.puballtables AS all_tables, p.pubinsert AS "insert", p.pubupdate AS "update",
      p.pubdelete AS "delete", p.pubtruncate AS "truncate", p.pubviaroot AS via_root, {{generated_columns}},
      {{schemas}}, {owned("p", "pubowner")}
    FROM pg_catalog.pg_publication p {described("pg_publication", "p")}""",
    versioned=(
        ("generated_columns", 180000, "p.pubgencols::text"),
        (
            "schemas",
            150000,
            """ARRAY(SELECT sn.nspname::text FROM pg_catalog.pg_publication_namespace ps
              JOIN pg_catalog.pg_namespace sn ON sn.oid = ps.pnnspid WHERE ps.pnpubid = p.oid)""",
        ),
    ),
    catalog="pg_publication",
)

_PUBLISHED_TABLES: Final = Query(
    "published table",
    f"""SELECT p.pubname::text AS k1, n.nspname::text AS k2, c.relname::text AS k3, {{columns}}, {{condition}}
    FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
      JOIN pg_catalog.pg_class c ON c.oid = r.prrelid {in_schema("c", "relnamespace")}""",
    definition=("condition",),
    versioned=(
        (
            "columns",
            150000,
            f"CASE WHEN r.prattrs IS NOT NULL THEN {columns('r.prattrs::int2[]', 'r.prrelid')} END",
        ),
        ("condition", 150000, "pg_catalog.pg_get_expr(r.prqual, r.prrelid)"),
    ),
    catalog="pg_publication_rel",
)

_FOREIGN_SERVERS: Final = Query(
    "foreign server",
    f"""SELECT s.srvname::text AS k1, w.fdwname::text AS wrapper, s.srvtype AS type, s.srvversion AS version,
      s.srvoptions::text[] AS options, {acl("S", "s.srvacl", "s.srvowner")}, {owned("s", "srvowner")}
    FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
      {described("pg_foreign_server", "s")}
    WHERE {no_member("pg_foreign_server", "s")}""",
    definition=("options",),
    catalog="pg_foreign_server",
)

_FOREIGN_WRAPPERS: Final = Query(
    "foreign data wrapper",
    f"""SELECT w.fdwname::text AS k1, NULLIF(w.fdwhandler, 0)::pg_catalog.regproc::text AS handler,
      NULLIF(w.fdwvalidator, 0)::pg_catalog.regproc::text AS validator, w.fdwoptions::text[] AS options,
      {acl("F", "w.fdwacl", "w.fdwowner")}, {owned("w", "fdwowner")}
    FROM pg_catalog.pg_foreign_data_wrapper w {described("pg_foreign_data_wrapper", "w")}
    WHERE {no_member("pg_foreign_data_wrapper", "w")}""",
    definition=("options",),
    catalog="pg_foreign_data_wrapper",
)

_DEFAULT_PRIVILEGES: Final = Query(
    "default privileges",
    """SELECT pg_catalog.pg_get_userbyid(d.defaclrole)::text AS k1, coalesce(n.nspname::text, '') AS k2,
      d.defaclobjtype::text AS k3, d.defaclacl::text[] AS acl
    FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace""",
    catalog="pg_default_acl",
)

QUERIES: Final = (
    _SCHEMAS,
    _TYPES,
    _ROUTINES,
    _EXTENSIONS,
    _EVENT_TRIGGERS,
    _PUBLICATIONS,
    _PUBLISHED_TABLES,
    _FOREIGN_WRAPPERS,
    _FOREIGN_SERVERS,
    _DEFAULT_PRIVILEGES,
)

"""What belongs to the relations of a PostgreSQL database: tables, views, columns, keys, indexes, triggers, policies.

The places of a child's columns are left out where tables inherit: a dump brings the parents' columns first. Foreign
keys that a partition has of its parent are left out, for the server names them anew; so are its triggers, unless they
are switched on or off otherwise than the parent's. So are indexes that a failed or running CREATE INDEX CONCURRENTLY
left invalid, because no dump holds them, and the options for long values of a table that can have none any more.
"""

from typing import Final

from vya_backupdb.engines.pg_schema_sql import (
    NOT_SYSTEM,
    RELATIONS,
    Query,
    acl,
    collation_name,
    column_options,
    columns,
    described,
    in_schema,
    no_member,
    owned,
    relation_name,
)

_TABLES: Final = Query(
    "table",
    f"""{RELATIONS} SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'c' THEN 'type'
        ELSE 'table' END AS kind, c.nspname::text AS k1, c.relname::text AS k2,
      c.relkind::text AS form, c.relpersistence::text AS persistence, c.relreplident::text AS replica_identity,
      c.relrowsecurity AS row_security, c.relforcerowsecurity AS row_security_forced,
      c.relispopulated AS populated, c.reloptions::text[] AS options,
      CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute l WHERE l.attrelid = c.oid AND l.attstorage <> 'p'
        AND l.attnum > 0 AND NOT l.attisdropped) THEN tt.reloptions::text[] END AS toast_options,
      am.amname::text AS access_method, NULLIF(c.reloftype, 0)::pg_catalog.regtype::text AS of_type,
      NULLIF(ARRAY(SELECT {relation_name("i.inhparent")} FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid
        ORDER BY i.inhseqno), '{{}}') AS parents,
      pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS partition_bound, pt.partstrat::text AS partition_strategy,
      CASE WHEN pt.partrelid IS NOT NULL THEN {columns("pt.partattrs::int2[]", "c.oid")} END AS partition_columns,
      pg_catalog.pg_get_partkeydef(pt.partrelid) AS partition_key, fs.srvname::text AS server,
      ft.ftoptions::text[] AS foreign_options,
      CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END AS query,
      {acl("r", "c.relacl", "c.relowner")}, {owned("c", "relowner")}
    FROM rel c LEFT JOIN pg_catalog.pg_class tt ON tt.oid = c.reltoastrelid
      LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
      LEFT JOIN pg_catalog.pg_partitioned_table pt ON pt.partrelid = c.oid
      LEFT JOIN pg_catalog.pg_foreign_table ft ON ft.ftrelid = c.oid
      LEFT JOIN pg_catalog.pg_foreign_server fs ON fs.oid = ft.ftserver {described("pg_class", "c")}""",
    definition=("partition_key", "foreign_options", "query"),
)

_COLUMNS: Final = Query(
    "column",
    f"""{RELATIONS} SELECT c.nspname::text AS k1, c.relname::text AS k2, a.attname::text AS k3,
      CASE WHEN c.relispartition OR i.inhrelid IS NULL
        THEN pg_catalog.row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) END AS place,
      pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
      NULLIF(a.attidentity, '')::text AS identity, NULLIF(a.attgenerated, '')::text AS generated,
      CASE WHEN a.attcollation <> t.typcollation THEN {collation_name("a.attcollation")} END AS collation,
      CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END AS storage, {{compression}},
      NULLIF(a.attstattarget, -1) AS statistics, {column_options("a")} AS options, a.attislocal AS local,
      d.oid IS NOT NULL AS has_default, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS "default",
      a.attfdwoptions::text[] AS foreign_options, a.attacl::text[] AS acl, ds.description AS comment
    FROM rel c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
      LEFT JOIN (SELECT DISTINCT inhrelid FROM pg_catalog.pg_inherits) i ON i.inhrelid = c.oid
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN pg_catalog.pg_description ds ON ds.objoid = c.oid AND ds.objsubid = a.attnum
        AND ds.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass""",
    definition=("default", "foreign_options"),
    versioned=(("compression", 140000, "NULLIF(a.attcompression, '')::text"),),
)

_CONSTRAINTS: Final = Query(
    "constraint",
    f"""SELECT n.nspname::text AS k1, coalesce(c.relname, t.typname)::text AS k2, x.conname::text AS k3,
      x.contype::text AS form, {columns("x.conkey", "x.conrelid")} AS columns, x.condeferrable AS deferrable,
      x.condeferred AS deferred, x.convalidated AS validated, {{enforced}}, {{period}}, {{set_columns}},
      CASE WHEN x.contype IN ('c', 'n') THEN x.connoinherit END AS no_inherit,
      CASE WHEN x.contype = 'f' THEN {relation_name("x.confrelid")} END AS "references",
      CASE WHEN x.contype = 'f' THEN {columns("x.confkey", "x.confrelid")} END AS referenced_columns,
      CASE WHEN x.contype = 'f' THEN x.confupdtype::text END AS on_update,
      CASE WHEN x.contype = 'f' THEN x.confdeltype::text END AS on_delete,
      CASE WHEN x.contype = 'f' THEN x.confmatchtype::text END AS match,
      x.conexclop::pg_catalog.regoperator[]::text[] AS operators,
      CASE WHEN x.contype IN ('c', 'x') THEN pg_catalog.pg_get_constraintdef(x.oid) END AS "check",
      ds.description AS comment
    FROM pg_catalog.pg_constraint x {in_schema("x", "connamespace")}
      LEFT JOIN pg_catalog.pg_class c ON c.oid = x.conrelid LEFT JOIN pg_catalog.pg_type t ON t.oid = x.contypid
      {described("pg_constraint", "x")}
    WHERE {NOT_SYSTEM} AND x.contype <> 't' AND NOT (x.contype = 'f' AND x.conparentid <> 0)
      AND NOT (x.contype = 'n' AND NOT x.conislocal)
      AND (c.oid IS NULL OR {no_member("pg_class", "c")}) AND (t.oid IS NULL OR {no_member("pg_type", "t")})""",
    definition=("check",),
    versioned=(
        ("enforced", 180000, "x.conenforced"),
        ("period", 180000, "x.conperiod"),
        ("set_columns", 150000, "NULLIF(" + columns("x.confdelsetcols", "x.conrelid") + ", '{}')"),
    ),
    catalog="pg_constraint",
)

_INDEXES: Final = Query(
    "index",
    f"""{RELATIONS} SELECT c.nspname::text AS k1, c.relname::text AS k2, ic.relname::text AS k3,
      am.amname::text AS method, i.indisunique AS "unique", i.indisprimary AS "primary",
      i.indisexclusion AS exclusion, i.indimmediate AS immediate, i.indisclustered AS clustered,
      i.indisreplident AS replica_identity, i.indisvalid AS valid, i.indnkeyatts AS keys, {{nulls_not_distinct}},
      {columns("i.indkey::int2[]", "i.indrelid")} AS columns, i.indoption::int2[]::text[] AS orders,
      ARRAY(SELECT pg_catalog.format('%I.%I', pn.nspname, o.opcname) FROM
        pg_catalog.unnest(i.indclass::oid[]) WITH ORDINALITY AS u(id, place)
        JOIN pg_catalog.pg_opclass o ON o.oid = u.id JOIN pg_catalog.pg_namespace pn ON pn.oid = o.opcnamespace
        ORDER BY u.place) AS operator_classes,
      ARRAY(SELECT {collation_name("u.id")}
        FROM pg_catalog.unnest(i.indcollation::oid[]) WITH ORDINALITY AS u(id, place) ORDER BY u.place) AS collations,
      ARRAY(SELECT pg_catalog.concat_ws(' ', {column_options("a")}::text, NULLIF(a.attstattarget, -1))
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = ic.oid ORDER BY a.attnum) AS column_options,
      ic.reloptions::text[] AS options, i.indpred IS NOT NULL AS partial,
      (SELECT {relation_name("h.inhparent")} FROM pg_catalog.pg_inherits h WHERE h.inhrelid = ic.oid) AS parent,
      pg_catalog.pg_get_expr(i.indexprs, i.indrelid) AS expressions,
      pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate, ds.description AS comment
    FROM rel c JOIN pg_catalog.pg_index i ON i.indrelid = c.oid JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
      JOIN pg_catalog.pg_am am ON am.oid = ic.relam {described("pg_class", "ic")}
    WHERE (i.indisvalid OR c.relkind = 'p') AND i.indisready""",
    definition=("expressions", "predicate"),
    versioned=(("nulls_not_distinct", 150000, "i.indnullsnotdistinct"),),
)

_SEQUENCES: Final = Query(
    "sequence",
    f"""SELECT n.nspname::text AS k1, c.relname::text AS k2, pg_catalog.format_type(s.seqtypid, NULL) AS type,
      s.seqstart AS start, s.seqincrement AS increment, s.seqmin AS minimum, s.seqmax AS maximum, s.seqcache AS cache,
      s.seqcycle AS cycle, c.relpersistence::text AS persistence,
      (SELECT pg_catalog.format('%s %I', d.deptype, a.attname) || ' ' || {relation_name("d.refobjid")}
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid
          AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
          AND d.refobjsubid > 0) AS owned_by,
      {acl("s", "c.relacl", "c.relowner")}, {owned("c", "relowner")}
    FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid {in_schema("c", "relnamespace")}
      {described("pg_class", "c")}
    WHERE c.relpersistence <> 't' AND {NOT_SYSTEM} AND {no_member("pg_class", "c")}""",
)

_TRIGGERS: Final = Query(
    "trigger",
    f"""{RELATIONS} SELECT c.nspname::text AS k1, c.relname::text AS k2, t.tgname::text AS k3, t.tgtype AS events,
      t.tgenabled::text AS enabled, t.tgfoid::pg_catalog.regproc::text AS function,
      {columns("t.tgattr::int2[]", "t.tgrelid")} AS columns, t.tgconstraint <> 0 AS "constraint",
      t.tgdeferrable AS deferrable, t.tginitdeferred AS deferred, t.tgoldtable::text AS old_table,
      t.tgnewtable::text AS new_table, NULLIF(pg_catalog.encode(t.tgargs, 'hex'), '') AS arguments,
      {relation_name("NULLIF(t.tgconstrrelid, 0)")} AS "references",
      CASE WHEN t.tgqual IS NOT NULL THEN pg_catalog.pg_get_triggerdef(t.oid) END AS condition,
      ds.description AS comment
    FROM rel c JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid {described("pg_trigger", "t")}
      LEFT JOIN pg_catalog.pg_trigger pt ON pt.oid = t.tgparentid
    WHERE NOT t.tgisinternal AND (t.tgparentid = 0 OR t.tgenabled <> pt.tgenabled)""",
    definition=("condition",),
    catalog="pg_trigger",
)

_POLICIES: Final = Query(
    "policy",
    f"""{RELATIONS} SELECT c.nspname::text AS k1, c.relname::text AS k2, p.polname::text AS k3,
      p.polcmd::text AS command, p.polpermissive AS permissive,
      ARRAY(SELECT CASE WHEN u.id = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(u.id)::text END
        FROM pg_catalog.unnest(p.polroles) AS u(id)) AS roles,
      pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS "using",
      pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS with_check, ds.description AS comment
    FROM rel c JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid {described("pg_policy", "p")}""",
    definition=("using", "with_check"),
    catalog="pg_policy",
)

_RULES: Final = Query(
    "rule",
    f"""{RELATIONS} SELECT c.nspname::text AS k1, c.relname::text AS k2, r.rulename::text AS k3,
      r.ev_type::text AS event, r.ev_enabled::text AS enabled, r.is_instead AS instead,
      pg_catalog.pg_get_ruledef(r.oid) AS text, ds.description AS comment
    FROM rel c JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid {described("pg_rewrite", "r")}
    WHERE r.rulename <> '_RETURN'""",
    definition=("text",),
    catalog="pg_rewrite",
)

_STATISTICS: Final = Query(
    "statistics",
    f"""SELECT n.nspname::text AS k1, s.stxname::text AS k2, {relation_name("s.stxrelid")} AS "table",
      s.stxkind::text[] AS kinds, {columns("s.stxkeys::int2[]", "s.stxrelid")} AS columns,
      NULLIF(s.stxstattarget, -1) AS target, {{expressions}}, {owned("s", "stxowner")}
    FROM pg_catalog.pg_statistic_ext s {in_schema("s", "stxnamespace")} {described("pg_statistic_ext", "s")}
    WHERE {NOT_SYSTEM} AND {no_member("pg_statistic_ext", "s")}""",
    definition=("expressions",),
    versioned=(("expressions", 140000, "pg_catalog.pg_get_statisticsobjdef_expressions(s.oid)"),),
    catalog="pg_statistic_ext",
)

QUERIES: Final = (
    _TABLES,
    _COLUMNS,
    _CONSTRAINTS,
    _INDEXES,
    _SEQUENCES,
    _TRIGGERS,
    _POLICIES,
    _RULES,
    _STATISTICS,
)

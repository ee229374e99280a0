"""Objects that few PostgreSQL databases hold: collations, operators, casts, text search, languages and transforms.

Most catalogues of this kind have no schema, or hold the server's own objects beside a user's; what a user made has an
oid of 16384 or more (``FirstNormalObjectId``).
"""

from typing import Final

from vya_backupdb.engines.pg_schema_sql import FIRST_OID, NOT_SYSTEM, Query, acl, described, in_schema, no_member, owned

_COLLATIONS: Final = Query(
    "collation",
    f"""SELECT n.nspname::text AS k1, c.collname::text AS k2, c.collprovider::text AS provider,
      c.collisdeterministic AS deterministic, c.collcollate::text AS collate,
      c.collctype::text AS ctype, {{icu_locale}}, {{locale}}, {{rules}}, {owned("c", "collowner")}
    FROM pg_catalog.pg_collation c {in_schema("c", "collnamespace")} {described("pg_collation", "c")}
    WHERE {NOT_SYSTEM} AND {no_member("pg_collation", "c")}""",
    versioned=(
        # renamed in 17
        ("icu_locale", 150000, "(pg_catalog.to_jsonb(c) ->> 'colliculocale')"),
        ("locale", 170000, "(pg_catalog.to_jsonb(c) ->> 'colllocale')"),
        ("rules", 160000, "c.collicurules"),
    ),
    catalog="pg_collation",
)

_OPERATORS: Final = Query(
    "operator",
    f"""SELECT n.nspname::text AS k1, pg_catalog.format('%s(%s,%s)', o.oprname,
        pg_catalog.format_type(NULLIF(o.oprleft, 0), NULL), pg_catalog.format_type(o.oprright, NULL)) AS k2,
      pg_catalog.format_type(o.oprresult, NULL) AS result, o.oprcode::text AS function,
      NULLIF(o.oprcom, 0)::pg_catalog.regoperator::text AS commutator,
      NULLIF(o.oprnegate, 0)::pg_catalog.regoperator::text AS negator, o.oprrest::text AS restriction,
      o.oprjoin::text AS "join", o.oprcanmerge AS merges, o.oprcanhash AS hashes, {owned("o", "oprowner")}
    FROM pg_catalog.pg_operator o {in_schema("o", "oprnamespace")} {described("pg_operator", "o")}
    WHERE {NOT_SYSTEM} AND o.oprcode <> 0 AND {no_member("pg_operator", "o")}""",
    catalog="pg_operator",
)

_OPERATOR_CLASSES: Final = Query(
    "operator class",
    f"""SELECT n.nspname::text AS k1, o.opcname::text AS k2, a.amname::text AS k3,
      pg_catalog.format_type(o.opcintype, NULL) AS type, f.opfname::text AS family, o.opcdefault AS "default",
      pg_catalog.format_type(NULLIF(o.opckeytype, 0), NULL) AS key_type, {owned("o", "opcowner")}
    FROM pg_catalog.pg_opclass o {in_schema("o", "opcnamespace")} JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod
      JOIN pg_catalog.pg_opfamily f ON f.oid = o.opcfamily {described("pg_opclass", "o")}
    WHERE {NOT_SYSTEM} AND {no_member("pg_opclass", "o")}""",
    catalog="pg_opclass",
)

_OPERATOR_FAMILIES: Final = Query(
    "operator family",
    f"""SELECT n.nspname::text AS k1, f.opfname::text AS k2, a.amname::text AS k3,
      ARRAY(SELECT pg_catalog.concat_ws(' ', o.amopstrategy, o.amopopr::pg_catalog.regoperator, o.amoppurpose)
        FROM pg_catalog.pg_amop o WHERE o.amopfamily = f.oid) AS operators,
      ARRAY(SELECT pg_catalog.concat_ws(' ', r.amprocnum, r.amproc::pg_catalog.regprocedure,
        pg_catalog.format_type(r.amproclefttype, NULL), pg_catalog.format_type(r.amprocrighttype, NULL))
        FROM pg_catalog.pg_amproc r WHERE r.amprocfamily = f.oid) AS functions, {owned("f", "opfowner")}
    FROM pg_catalog.pg_opfamily f {in_schema("f", "opfnamespace")} JOIN pg_catalog.pg_am a ON a.oid = f.opfmethod
      {described("pg_opfamily", "f")}
    WHERE {NOT_SYSTEM} AND {no_member("pg_opfamily", "f")}""",
    catalog="pg_opfamily",
)

_CASTS: Final = Query(
    "cast",
    f"""SELECT pg_catalog.format_type(c.castsource, NULL) AS k1, pg_catalog.format_type(c.casttarget, NULL) AS k2,
      NULLIF(c.castfunc, 0)::pg_catalog.regprocedure::text AS function, c.castcontext::text AS context,
      c.castmethod::text AS method, ds.description AS comment
    FROM pg_catalog.pg_cast c {described("pg_cast", "c")}
    WHERE c.oid >= {FIRST_OID} AND {no_member("pg_cast", "c")}""",
    catalog="pg_cast",
)

_CONVERSIONS: Final = Query(
    "conversion",
    f"""SELECT n.nspname::text AS k1, c.conname::text AS k2, c.conforencoding AS source, c.contoencoding AS target,
      c.conproc::text AS function, c.condefault AS "default", {owned("c", "conowner")}
    FROM pg_catalog.pg_conversion c {in_schema("c", "connamespace")} {described("pg_conversion", "c")}
    WHERE {NOT_SYSTEM} AND {no_member("pg_conversion", "c")}""",
    catalog="pg_conversion",
)

_DICTIONARIES: Final = Query(
    "text search dictionary",
    f"""SELECT n.nspname::text AS k1, d.dictname::text AS k2, t.tmplname::text AS template, d.dictinitoption AS options,
      {owned("d", "dictowner")}
    FROM pg_catalog.pg_ts_dict d {in_schema("d", "dictnamespace")}
      JOIN pg_catalog.pg_ts_template t ON t.oid = d.dicttemplate {described("pg_ts_dict", "d")}
    WHERE {NOT_SYSTEM} AND {no_member("pg_ts_dict", "d")}""",
    definition=("options",),
    catalog="pg_ts_dict",
)

_PARSERS: Final = Query(
    "text search parser",
    f"""SELECT n.nspname::text AS k1, p.prsname::text AS k2, p.prsstart::text AS start, p.prstoken::text AS token,
      p.prsend::text AS "end", p.prsheadline::text AS headline, p.prslextype::text AS types, ds.description AS comment
    FROM pg_catalog.pg_ts_parser p {in_schema("p", "prsnamespace")} {described("pg_ts_parser", "p")}
    WHERE {NOT_SYSTEM} AND {no_member("pg_ts_parser", "p")}""",
    catalog="pg_ts_parser",
)

_TEMPLATES: Final = Query(
    "text search template",
    f"""SELECT n.nspname::text AS k1, t.tmplname::text AS k2, t.tmplinit::text AS init, t.tmpllexize::text AS lexize,
      ds.description AS comment
    FROM pg_catalog.pg_ts_template t {in_schema("t", "tmplnamespace")} {described("pg_ts_template", "t")}
    WHERE {NOT_SYSTEM} AND {no_member("pg_ts_template", "t")}""",
    catalog="pg_ts_template",
)

_CONFIGURATIONS: Final = Query(
    "text search configuration",
    f"""SELECT n.nspname::text AS k1, c.cfgname::text AS k2, p.prsname::text AS parser,
      ARRAY(SELECT pg_catalog.concat_ws(' ', m.maptokentype, m.mapseqno, m.mapdict::pg_catalog.regdictionary)
        FROM pg_catalog.pg_ts_config_map m WHERE m.mapcfg = c.oid ORDER BY m.maptokentype, m.mapseqno) AS mappings,
      {owned("c", "cfgowner")}
    FROM pg_catalog.pg_ts_config c {in_schema("c", "cfgnamespace")}
      JOIN pg_catalog.pg_ts_parser p ON p.oid = c.cfgparser {described("pg_ts_config", "c")}
    WHERE {NOT_SYSTEM} AND {no_member("pg_ts_config", "c")}""",
    catalog="pg_ts_config",
)

_LANGUAGES: Final = Query(
    "language",
    f"""SELECT l.lanname::text AS k1, l.lanpltrusted AS trusted, NULLIF(l.lanplcallfoid, 0)::pg_catalog.regproc::text
      AS handler, NULLIF(l.laninline, 0)::pg_catalog.regproc::text AS inline,
      NULLIF(l.lanvalidator, 0)::pg_catalog.regproc::text AS validator,
      {acl("l", "l.lanacl", "l.lanowner")}, {owned("l", "lanowner")}
    FROM pg_catalog.pg_language l {described("pg_language", "l")}
    WHERE l.oid >= {FIRST_OID} AND {no_member("pg_language", "l")}""",
    definition=("inline", "validator"),
    catalog="pg_language",
)

_TRANSFORMS: Final = Query(
    "transform",
    f"""SELECT pg_catalog.format_type(f.trftype, NULL) AS k1, l.lanname::text AS k2,
      NULLIF(f.trffromsql, 0)::pg_catalog.regprocedure::text AS from_sql,
      NULLIF(f.trftosql, 0)::pg_catalog.regprocedure::text AS to_sql, ds.description AS comment
    FROM pg_catalog.pg_transform f JOIN pg_catalog.pg_language l ON l.oid = f.trflang {described("pg_transform", "f")}
    WHERE f.oid >= {FIRST_OID} AND {no_member("pg_transform", "f")}""",
    catalog="pg_transform",
)

_ACCESS_METHODS: Final = Query(
    "access method",
    f"""SELECT a.amname::text AS k1, a.amtype::text AS form, a.amhandler::text AS handler, ds.description AS comment
    FROM pg_catalog.pg_am a {described("pg_am", "a")}
    WHERE a.oid >= {FIRST_OID} AND {no_member("pg_am", "a")}""",
    catalog="pg_am",
)

QUERIES: Final = (
    _COLLATIONS,
    _OPERATORS,
    _OPERATOR_CLASSES,
    _OPERATOR_FAMILIES,
    _CASTS,
    _CONVERSIONS,
    _PARSERS,
    _TEMPLATES,
    _DICTIONARIES,
    _CONFIGURATIONS,
    _LANGUAGES,
    _TRANSFORMS,
    _ACCESS_METHODS,
)

"""The queries of a PostgreSQL schema have one form, and these are their common words.

A query gives columns ``k1``, ``k2``, … (the name as a path, outermost first), perhaps ``kind``, and attributes. A
constant number of queries reads a database, whatever the number of its tables. What a dump does not hold is left out:
system schemas, temporary relations, members of extensions (CREATE EXTENSION brings them).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: ``FirstNormalObjectId``: what a user made has this oid or a greater one, also after the counter went round.
FIRST_OID: Final = 16384
NOT_SYSTEM: Final = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"


@dataclass(frozen=True, slots=True)
class Query:
    """One query of the catalogue: which attributes are definitions, which labels; the rest is structure.

    ``{name}`` in the text is one of `versioned`: an expression with the first version that knows it, NULL before.
    `catalog` is the one to look into first: where nobody made anything in it, the query is spared.
    """

    kind: str
    sql: str
    definition: tuple[str, ...] = ()
    labels: tuple[str, ...] = ("owner", "acl", "comment")
    versioned: tuple[tuple[str, int, str], ...] = ()
    catalog: str = ""

    def text(self, version: int) -> str:
        """Return the SQL for a server of this ``server_version_num``."""
        found: Mapping[str, str] = {
            name: expression if version >= since else "NULL" for name, since, expression in self.versioned
        }
        text = self.sql
        for name, expression in found.items():
            text = text.replace(f"{{{name}}}", f"{expression} AS {name}")
        return text


def no_member(catalog: str, alias: str) -> str:
    """Return the condition that a row of `catalog` belongs to no extension."""
    return (
        f"NOT EXISTS (SELECT FROM pg_catalog.pg_depend m WHERE m.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass"
        f" AND m.objid = {alias}.oid AND m.deptype = 'e')"
    )


def described(catalog: str, alias: str) -> str:
    """Return a join that gives a row's comment as ``ds.description``."""
    return (
        f"LEFT JOIN pg_catalog.pg_description ds ON ds.objoid = {alias}.oid AND ds.objsubid = 0"
        f" AND ds.classoid = 'pg_catalog.{catalog}'::pg_catalog.regclass"
    )


def owned(alias: str, column: str) -> str:
    """Return the owner's name and the comment, as attributes."""
    return f"pg_catalog.pg_get_userbyid({alias}.{column}) AS owner, ds.description AS comment"


def acl(letter: str, items: str, owner: str) -> str:
    """Return the privileges as an attribute; what was never granted is the default, written out."""
    return f"coalesce({items}, pg_catalog.acldefault('{letter}', {owner}))::text[] AS acl"


def in_schema(alias: str, column: str) -> str:
    """Return a join to the schema of a row, as ``n``."""
    return f"JOIN pg_catalog.pg_namespace n ON n.oid = {alias}.{column}"


def columns(numbers: str, relation: str) -> str:
    """Return an array of the names of a relation's columns, in the order of `numbers`; NULL for an expression."""
    return (
        "ARRAY(SELECT ca.attname::text FROM pg_catalog.unnest(" + numbers + ") WITH ORDINALITY AS u(number, place)"
        f" LEFT JOIN pg_catalog.pg_attribute ca ON ca.attrelid = {relation} AND ca.attnum = u.number ORDER BY u.place)"
    )


def relation_name(oid: str) -> str:
    """Return a relation's qualified name by its oid."""
    return (
        "(SELECT pg_catalog.format('%I.%I', rn.nspname, rc.relname) FROM pg_catalog.pg_class rc"
        f" JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace WHERE rc.oid = {oid})"
    )


def column_options(alias: str) -> str:
    """Return a column's options without what the server notes for itself and no dump holds (17.12: ``pg_attver``)."""
    return (
        f"(SELECT pg_catalog.array_agg(op ORDER BY op) FROM pg_catalog.unnest({alias}.attoptions) AS op"
        " WHERE op !~ '^pg_')"
    )


def collation_name(oid: str) -> str:
    """Return a collation's qualified name by its oid."""
    return (
        "(SELECT pg_catalog.format('%I.%I', cn.nspname, co.collname) FROM pg_catalog.pg_collation co"
        f" JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = {oid})"
    )


#: The relations of a dump, as a CTE ``rel`` with the columns of pg_class and its schema's name.
RELATIONS: Final = f"""WITH rel AS MATERIALIZED (
    SELECT c.*, n.nspname FROM pg_catalog.pg_class c {in_schema("c", "relnamespace")}
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.relpersistence <> 't' AND {NOT_SYSTEM}
      AND {no_member("pg_class", "c")})"""

"""The canonical form of a schema: injective, without regard to order, and able to name what differs."""

import base64
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vya_backupdb.domain import schema
from vya_backupdb.domain.errors import BackupCorrupt
from vya_backupdb.domain.schema import Schema, SchemaObject, compare, diff, schema_object, schema_of

#: Names and values full of what a careless form would take for a separator.
_TEXT = st.text(alphabet="ab|.,:\"'[]{}\\\n\0é\U0001f600\ud800#2", max_size=4)
_VALUE = st.none() | st.booleans() | st.integers(2, 5) | _TEXT | st.lists(_TEXT | st.none(), max_size=3)
_FACET = st.dictionaries(_TEXT, _VALUE, max_size=3)
_OBJECT = st.builds(schema_object, _TEXT, st.lists(_TEXT, min_size=1, max_size=3), _FACET, _FACET, _FACET)


def _roots(one: Schema) -> tuple[str, str, str]:
    return one.structure_hash, one.definition_hash, one.labels_hash


@given(st.lists(_OBJECT, max_size=4), st.randoms())
def test_the_order_of_objects_and_attributes_says_nothing(objects: list[SchemaObject], random: Any) -> None:
    first = schema_of("p 1", objects)
    shuffled = [
        SchemaObject(one.kind, one.name, dict(reversed(list(one.structure.items()))), one.definition, one.labels)
        for one in objects
    ]
    random.shuffle(shuffled)
    assert _roots(schema_of("p 1", shuffled)) == _roots(first)
    assert diff(first, schema_of("p 1", shuffled)) == ()


@given(st.lists(_OBJECT, max_size=3), st.lists(_OBJECT, max_size=3))
def test_two_schemas_have_one_hash_only_if_they_are_one(left: list[SchemaObject], right: list[SchemaObject]) -> None:
    a, b = schema_of("p 1", left), schema_of("p 1", right)
    same = _roots(a) == _roots(b)
    assert same == (a.objects == b.objects) == (diff(a, b) == ())


@given(st.lists(_OBJECT, max_size=4))
@example([schema_object("", name, {}, {}, {}) for name in ([""], [""], ["", ""])])  # told apart, then out of order
def test_what_is_packed_comes_back(objects: list[SchemaObject]) -> None:
    one = schema_of("p 1", objects)
    packed = schema.pack(one)
    assert packed is not None
    again = schema.unpack(packed, source="x")
    assert again == one
    assert again is not None
    assert _roots(again) == _roots(one)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("a", "b.c"), ("a.b", "c")),
        (("a|b",), ("a", "b")),
        (('a","b',), ("a", "b")),
        (("a\nb",), ("a\\nb",)),
        (("", "a"), ("a", "")),
    ],
)
def test_no_name_is_a_separator(left: tuple[str, ...], right: tuple[str, ...]) -> None:
    one, other = (schema_of("p 1", [schema_object("table", name, {})]) for name in (left, right))
    assert one.structure_hash != other.structure_hash


def test_each_facet_has_a_root_of_its_own() -> None:
    def made(**facets: dict[str, Any]) -> Schema:
        return schema_of(
            "p 1", [schema_object("view", ("v",), {"n": 1} | facets.get("structure", {}), **_rest(facets))]
        )

    before = made(definition={"body": "1"}, labels={"owner": "a"})
    for facet in schema.FACETS:
        after = made(**{"definition": {"body": "1"}, "labels": {"owner": "a"}} | {facet: {"x": 1}})
        roots = {name: getattr(after, f"{name}_hash") == getattr(before, f"{name}_hash") for name in schema.FACETS}
        assert roots == {name: name != facet for name in schema.FACETS}


def _rest(facets: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: value for name, value in facets.items() if name != "structure"}


def test_the_dialect_is_part_of_the_hash() -> None:
    assert schema_of("MariaDB 10.11", []).structure_hash != schema_of("MariaDB 11.8", []).structure_hash


def test_a_difference_names_the_object_and_its_attributes() -> None:
    def column(name: str, **structure: Any) -> SchemaObject:
        return schema_object("column", ("public", "item", name), structure, {"default": structure.get("default")})

    before = schema_of("p 1", [column("id", type="int"), column("name", type="text"), column("old", type="int")])
    after = schema_of("p 1", [column("id", type="int"), column("name", type="bytea", default="1"), column("new")])
    assert [str(one) for one in diff(before, after)] == [
        "column public.item.name (default, type, default)",
        "column public.item.new is added",
        "column public.item.old is removed",
    ]


def test_lost_structure_is_a_failure_other_words_a_warning() -> None:
    kept = schema_object("table", ("t",), {"kind": "r"}, {"check": "a IN (1)"}, {"owner": "x"})
    backup = schema_of("p 1", [kept, schema_object("view", ("gone",), {})])
    other = schema_object("table", ("t",), {"kind": "r"}, {"check": "a = ANY (1)"}, {"owner": "y"})
    restored = schema_of("p 1", [other, schema_object("view", ("new",), {})])
    found = compare(backup, restored)
    assert [str(one) for one in found.failures] == ["view gone is removed"]
    assert [str(one) for one in found.warnings] == ["table t (check, owner)", "view new is added"]
    changed = schema_of("p 1", [schema_object("table", ("t",), {"kind": "p"}), schema_object("view", ("gone",), {})])
    assert [one.how for one in compare(backup, changed).failures] == ["changed"]
    assert compare(backup, schema_of("p 2", [])).failures == ()
    assert len(compare(backup, schema_of("p 2", [])).warnings) == 2


def test_under_a_dump_neither_a_new_object_nor_a_grant_does_harm() -> None:
    table = schema_object("table", ("t",), {"kind": "r"}, {"check": "1"}, {"acl": "a"})
    granted = schema_object("table", ("t",), {"kind": "r"}, {"check": "1"}, {"acl": "b"})
    altered = schema_object("table", ("t",), {"kind": "r"}, {"check": "2"}, {"acl": "a"})
    before, new = schema_of("p 1", [table]), schema_object("table", ("new",), {})
    assert schema.changed_under(before, schema_of("p 1", [granted, new])) == ()
    assert [str(one) for one in schema.changed_under(before, schema_of("p 1", [altered]))] == ["table t (check)"]
    assert [str(one) for one in schema.changed_under(before, schema_of("p 1", []))] == ["table t is removed"]


def test_under_a_dump_a_table_gets_no_part_that_its_rows_never_knew() -> None:
    table, view = schema_object("table", ("t",), {"kind": "r"}), schema_object("view", ("v",), {})
    key, of_new = schema_object("index", ("t", "unique"), {}), schema_object("column", ("new", "a"), {})
    new, of_view = schema_object("table", ("new",), {}), schema_object("column", ("v", "a"), {})
    before, after = schema_of("p 1", [table, view]), schema_of("p 1", [table, view, key, new, of_new, of_view])
    assert schema.changed_under(before, after) == ()
    found = schema.changed_under(before, after, by_snapshot=False)
    assert [str(one) for one in found] == ["index t.unique is added"]


def test_two_objects_of_one_name_are_both_there() -> None:
    one, two = schema_object("x", ("n",), {"a": 1}), schema_object("x", ("n",), {"a": 2})
    both = schema_of("p 1", [two, one])
    assert both == schema_of("p 1", [one, two])
    assert [o.name for o in both.objects] == [("n",), ("n", "#2")]


def test_no_text_of_a_body_or_a_comment_is_kept() -> None:
    one = schema_of("p 1", [schema_object("routine", ("f",), {}, {"body": "s3cret"}, {"comment": "s3cret"})])
    packed = schema.pack(one)
    assert packed is not None
    assert b"s3cret" not in zlib.decompress(base64.b64decode(packed))


def test_a_schema_over_the_limit_is_not_packed() -> None:
    many = schema_of("p 1", [schema_object("t", (str(n),), {}) for n in range(1000)])
    assert schema.pack(many, limit=100) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!!",
        base64.b64encode(b"no zlib").decode(),
        base64.b64encode(zlib.compress(b"[]")).decode(),
        base64.b64encode(zlib.compress(b'{"version": 1, "dialect": "p", "objects": [[]]}')).decode(),
        base64.b64encode(zlib.compress(b"{}" * 100)[:-6]).decode(),
    ],
)
def test_a_damaged_schema_is_corrupt(text: str) -> None:
    with pytest.raises(BackupCorrupt, match="backup 7: schema_objects cannot be read"):
        schema.unpack(text, source="backup 7")


def test_a_later_version_is_not_guessed_at() -> None:
    text = base64.b64encode(zlib.compress(b'{"version": 2}')).decode()
    assert schema.unpack(text, source="x") is None


def test_a_message_lists_some_and_counts_the_rest() -> None:
    changes = diff(schema_of("p 1", []), schema_of("p 1", [schema_object("t", (str(n),), {}) for n in range(5)]))
    assert schema.listed(changes, most=2) == "t 0 is added; t 1 is added; and 3 more"


def test_a_table_is_left_out_with_all_that_belongs_to_it() -> None:
    kept = schema_object("table", ("t",), {})
    marker = [schema_object("table", ("m",), {}), schema_object("column", ("m", "t"), {}), kept]
    assert schema.without_table(schema_of("p 1", marker), "m").objects == (kept,)

"""Names become components: nothing leaves its directory, nothing collides, nothing is lost."""

import re
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.strategies.names import HOSTILE, names

from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.names import MAX_COMPONENT_BYTES, RESERVED, decode, encode, is_component


@given(names)
def test_a_component_is_short_plain_and_neither_hidden_nor_an_option(name: str) -> None:
    component = encode(name)
    assert 1 <= len(component.encode()) <= MAX_COMPONENT_BYTES
    assert re.fullmatch(r"[A-Za-z0-9_%][A-Za-z0-9._%~-]*", component)
    assert component not in RESERVED
    assert is_component(component)


@given(names, names)
@example("%2F", "/")
@example("~", "%7E")
@example("\udcc3\udca9", "é")
def test_two_names_have_two_components(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)


def test_the_hostile_names_are_told_apart_and_stay_in_their_directory() -> None:
    for one, other in combinations(HOSTILE, 2):
        assert encode(one) != encode(other)


@given(names)
def test_a_component_gives_its_name_back_unless_it_was_cut(name: str) -> None:
    component = encode(name)
    assert decode(component) == (None if "~" in component else name)


@given(st.one_of(st.text("aA%2fF~.-", max_size=20), st.text(max_size=20)))
def test_only_our_own_spelling_is_read(text: str) -> None:
    name = decode(text)
    assert name is None or encode(name) == text


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("shop", "shop"),
        ("Shop-2.old_1", "Shop-2.old_1"),
        ("../../x", "%2E.%2F..%2Fx"),
        ("-rf", "%2Drf"),
        (".runs", "%2Eruns"),
        ("café", "caf%C3%A9"),
        ("100%", "100%25"),
        ("a~b", "a%7Eb"),
        ("fe80::1", "fe80%3A%3A1"),
        ("users_20261121_030000.sql.gz", "%75sers_20261121_030000.sql.gz"),
        ("a" * 150, "a" * 150),
        ("a" * 151, "a" * 137 + "~" + "5416d58d0995"),
    ],
)
def test_the_specification_s_examples(name: str, component: str) -> None:
    assert encode(name) == component


@given(st.integers(46, 51), st.text("aé", max_size=5))
def test_a_cut_never_goes_through_an_escape(count: int, lead: str) -> None:
    component = encode(lead + "\U0001f600" * count)
    assert len(component) <= MAX_COMPONENT_BYTES
    assert re.fullmatch(r"(?:[a-z]|%[0-9A-F]{2})+~[0-9a-f]{12}", component)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="empty name"):
        encode("")


@pytest.mark.parametrize(
    "text", ["", "%2f", "%41", "~", "a~b", ".x", "-x", "%C3", "%", "a%", "a~0123456789ab", "é", "a/b"]
)
def test_what_we_never_write_is_not_decoded(text: str) -> None:
    assert decode(text) is None

"""pydantic's errors in our words: for each fault the field's path, what is wrong, and what to write instead.

A value is never quoted: it may be a secret that stands in the wrong place.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

#: By pydantic's type of error; what stands in braces is its context.
_WORDS: Final[Mapping[str, str]] = {
    "extra_forbidden": "unknown key; remove it or correct its spelling",
    "missing": "is required; add it",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "string_type": "is no text; write one, in quotes if it looks like a number",
    "string_too_short": "must have at least {min_length} character; write one or remove the field",
    "string_too_long": "is too long; write at most {max_length} characters",
    "int_type": "is no whole number; write one without quotes, such as 6",
    "int_parsing": "is no whole number; write one without quotes, such as 6",
    "int_from_float": "is no whole number; write one without a fraction, such as 6",
    "bool_type": "is neither true nor false; write one of the two",
    "bool_parsing": "is neither true nor false; write one of the two",
    "greater_than_equal": "is too small; write {ge} or more",
    "less_than_equal": "is too large; write {le} or less",
    "tuple_type": "is no list; write one, each entry on a line that begins with '- '",
    "list_type": "is no list; write one, each entry on a line that begins with '- '",
    "too_short": "must have at least {min_length} entry; add one",
    "model_type": "is no mapping; write its fields below it, indented, each as 'name: value'",
    "dict_type": "is no mapping; write its fields below it, indented, each as 'name: value'",
}


def explain(error: ValidationError) -> str:
    """Return one line for all faults: each field's path, what is wrong and what to write; never the value."""
    faults = error.errors(include_url=False, include_input=False)
    places = [fault["loc"] for fault in faults]
    # a list all of whose entries are wrong is said to be too short, too; to add an entry would be no remedy
    told = [one for one in faults if one["type"] != "too_short" or not any(_below(one["loc"], two) for two in places)]
    return "; ".join(f"{_path(fault['loc'])}: {_words(fault)}" for fault in told)


def _below(place: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    return len(other) > len(place) and other[: len(place)] == place


def _words(fault: Any) -> str:
    words = _WORDS.get(fault["type"])
    if words is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    return words.format_map(fault.get("ctx", {}))


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "the file"

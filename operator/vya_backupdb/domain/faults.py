"""pydantic's errors in our words: for each fault the field's path, what is wrong, and what to write instead.

A value is never quoted: it may be a secret that stands in the wrong place.
"""

from pydantic import ValidationError


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "the file"


def explain(error: ValidationError) -> str:
    """Return one line a fault: the field's path and what is wrong; never the value, which may be a secret."""
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "unknown key; remove it or correct its spelling"
        elif fault["type"] == "missing":
            message = "is required"
        lines.append(f"{_path(fault['loc'])}: {message}")
    return "; ".join(lines)

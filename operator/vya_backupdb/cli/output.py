"""What a person sees: tables, sentences and sizes on a terminal; one JSON document for a program.

Names of databases and texts of servers are hostile: nothing of them is taken for markup, and no control character of
theirs reaches the terminal (`plain`).
"""

import json
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TextIO

from vya_backupdb.cli.invocation import Format, on_terminal
from vya_backupdb.domain.metadata import size_human
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.domain.report import Finding
from vya_backupdb.dumper.events import Noted

if TYPE_CHECKING:
    # a Job prints JSON, and has no use for it
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH_OF_A_FILE: Final = 160

STYLES: Final = {
    "success": "green",
    "good": "green",
    "keep": "green",
    "failed": "bold red",
    "corrupt": "bold red",
    "blocking": "bold red",
    "delete": "yellow",
    "partial": "yellow",
    "running": "cyan",
    "warning": "yellow",
    "never": "yellow",
    "skipped": "dim",
}


def plain(words: str) -> str:
    """Return `words` with every character that does not print shown as an escape: no name moves the cursor."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in words)


def console(stream: TextIO | None = None) -> "Console":
    """Return a console on `stream` (default: stdout). A file gets no colours, and room for long names."""
    from rich.console import Console

    stream = sys.stdout if stream is None else stream
    width = None if on_terminal(stream) else WIDTH_OF_A_FILE
    return Console(file=stream, highlight=False, width=width, soft_wrap=False)


def backup_id(text: str) -> str:
    """Return the id in `text`, which may be copied from a listing of files."""
    return text.rsplit("/", 1)[-1].removesuffix(".sql.gz").removesuffix(".metadata.json")


def chosen_format(wanted: Format | None) -> Format:
    """Return what `--format` says, or what fits the place: tables on a terminal, JSON elsewhere."""
    return wanted or (Format.TABLE if on_terminal() else Format.JSON)


def print_json(data: Any) -> None:
    """Print `data` as one indented JSON document on stdout."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")


def say_done(words: str) -> None:
    """Print that something was done."""
    console().print(text(("✔", "green"), f" {plain(words)}"))


def text(*parts: str | tuple[str, str], style: str = "") -> "Text":
    """Return `parts`, each alone or with a style of its own, as one line; nothing in them is taken for markup."""
    from rich.text import Text

    return Text.assemble(*parts, style=style)


def cell(value: object, style: str = "") -> "Text":
    """Return `value` for a table; None and '' are a dim dash."""
    if value is None or value == "":
        return text("-", style="dim")
    return text(plain(str(value)), style=style)


def state(word: str) -> "Text":
    """Return a status word in its colour."""
    return text(word, style=STYLES.get(word, ""))


def table(*columns: str, right: Sequence[str] = (), fold: Sequence[str] = ()) -> "Table":
    """Return an empty table in the house style; `right` are aligned right, `fold` may be broken into lines."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", expand=False)
    for column in columns:
        folds = column in fold
        made.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold" if folds else "ellipsis",
            no_wrap=not folds,
        )
    return made


def finding(one: Finding) -> "Text":
    """Return one line: what a check found, red if it is in the way of a backup."""
    mark, style = ("✘", "bold red") if one.blocking else ("!", "yellow")
    return text((mark, style), f" {one.reason}: {plain(one.message)}")


def note_text(event: Noted, redact: Redactor) -> "Text":
    """Return a note as one line."""
    where = f"{plain(event.name)}: " if event.name else ""
    style = "yellow" if event.level == "warning" else "dim"
    return text(f"{event.level}: {where}{plain(redact(event.message))}", style=style)


def label(kind: str, name: str) -> str:
    """Return how a database, or the users file, is called in a table."""
    return "users and roles" if kind == "users" else plain(name)


def size(number: int | None) -> str:
    """Return a size in bytes with a binary unit, or ''."""
    return "" if number is None else size_human(number)


def duration(seconds: float | None) -> str:
    """Return a time as a person says it: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``1 h 5 min``; '' for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rate(number: int | None, seconds: float | None) -> str:
    """Return bytes a second, or ''."""
    return f"{size_human(round(number / seconds))}/s" if number and seconds else ""


def moment(at: datetime | None) -> str:
    """Return a time in its own zone, to the second, or ''."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S %Z}".rstrip()


def age(at: datetime | None, now: datetime) -> str:
    """Return how long ago `at` was, in the two largest units; '' for None."""
    if at is None:
        return ""
    seconds = (now - at) / timedelta(seconds=1)
    if seconds < 0:
        return "in the future"
    days, rest = divmod(round(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    if days:
        return f"{days} d {hours} h ago"
    return f"{hours} h {rest // 60} min ago" if hours else f"{rest // 60} min ago"

"""A schedule's text as Kubernetes reads it: five fields or a macro, in the dialect of robfig/cron 3 (`ParseStandard`).

What is accepted here, a CronJob accepts with the same meaning; the reverse does not hold, on purpose. Refused although
Kubernetes takes it: ``@every 1h`` (it has no slots: the next run hangs on when the last one was, so no text tells when
a backup is due, and each pause moves it), empty list entries (``1,,2``), ``*-5`` (read as ``*``), and days that never
come (30 February). Differences from other dialects that bite: Sunday is 0 and never 7, ranges do not wrap
(``FRI-MON``), and ``*/2`` in a day field is a restriction like any other: day of month and day of week are then joined
by *or*.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from vya_backupdb.domain.errors import ConfigurationError

_MONTH_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS: Final = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_LONGEST_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

MACROS: Final[Mapping[str, str]] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True)
class CronField:
    """The values of one field; `any` is robfig's star bit: written ``*`` or ``?`` without a step."""

    values: tuple[int, ...]
    any: bool = False

    def __str__(self) -> str:
        """Return ``*`` or the values as a list: no dialect reads either differently."""
        return "*" if self.any else ",".join(map(str, self.values))


@dataclass(frozen=True, slots=True)
class Cron:
    """A checked schedule, as made by `parse_cron`."""

    minute: CronField
    hour: CronField
    day: CronField
    month: CronField
    weekday: CronField

    def __str__(self) -> str:
        """Return the five fields in the canonical spelling."""
        return f"{self.minute} {self.hour} {self.day} {self.month} {self.weekday}"


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    least: int
    greatest: int
    names: Mapping[str, int]

    def number(self, text: str) -> int:
        if text.lower() in self.names:
            return self.names[text.lower()]
        if not re.fullmatch(r"[0-9]{1,4}", text):
            raise _Fault(f"{self.name} {text!r} is not a number{' or name' if self.names else ''}", self.remedy(text))
        return int(text)

    def remedy(self, text: str) -> str:
        if re.fullmatch(r"[LW]|[0-9]+[LW]|LW|.*#.*", text):
            return "L, W and # belong to other schedulers; Kubernetes does not know them."
        if self.names == _DAYS and text == "7":
            return "Write 0 or SUN for Sunday."
        known = f", or {' '.join(self.names).upper()}" if self.names else ""
        return f"Write {self.least} to {self.greatest}{known}, '*', a list (1,2), a range (1-5) or a step (*/15)."


class _Fault(Exception):
    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


_KINDS: Final = (
    _Kind("minute", 0, 59, {}),
    _Kind("hour", 0, 23, {}),
    _Kind("day of month", 1, 31, {}),
    _Kind("month", 1, 12, _MONTHS),
    _Kind("day of week", 0, 6, _DAYS),
)


@lru_cache(maxsize=1024)
def parse_cron(text: str, *, field: str = "schedule") -> Cron:
    """Return the schedule that `text` spells. Raise ConfigurationError naming `field`, the part, and the remedy."""
    try:
        cron = Cron(*map(_field, _KINDS, _fields(text)))
        _refuse_never(cron)
    except _Fault as fault:
        raise ConfigurationError(f"{field} {text!r}: {fault.message}", hint=fault.remedy) from None
    return cron


def _fields(text: str) -> list[str]:
    """Return the five fields; a macro counts only where it is the whole text, as in Go."""
    if "TZ" in text:
        raise _Fault("holds a time zone", "Write the zone into timeZone; Kubernetes refuses TZ= and CRON_TZ= here.")
    if text.startswith("@every"):
        raise _Fault("@every has no fixed times", "Write the times, such as '0 * * * *' for each hour.")
    if text.startswith("@") and text not in MACROS:
        raise _Fault("is not a macro that Kubernetes knows", f"Use one of {', '.join(sorted(MACROS))}, in lower case.")
    # not str.split(): Python also splits at U+001C to U+001F and at wide blanks
    fields = re.split(r"[\t\n\v\f\r ]+", MACROS.get(text, text).strip("\t\n\v\f\r "))
    if len(fields) == len(_KINDS):
        return fields
    remedy = "Write minute, hour, day of month, month, day of week, such as '30 2 * * *' for 02:30 each day."
    if len(fields) == len(_KINDS) + 1:
        remedy = f"Kubernetes has no field for seconds. {remedy}"
    found = len(fields) if text.strip() else 0
    raise _Fault(f"has {found} fields, not 5", remedy)


def _field(kind: _Kind, text: str) -> CronField:
    values: set[int] = set()
    star = False
    for entry in text.split(","):
        found, starred = _entry(kind, entry)
        values |= found
        star = star or starred
    return CronField(tuple(sorted(values)), star)


def _entry(kind: _Kind, entry: str) -> tuple[set[int], bool]:
    """Return the values of one entry of a list, and whether it has robfig's star bit."""
    span, slash, step_text = entry.partition("/")
    if slash and not re.fullmatch(r"[0-9]{1,4}", step_text):
        raise _Fault(f"{kind.name} {entry!r} has no number after '/'", "Write a step such as */2.")
    step = int(step_text) if slash else 1
    if step == 0:
        raise _Fault(f"{kind.name} {entry!r} has a step of 0", "Write a step of 1 or more.")
    if span in {"*", "?"}:
        return set(range(kind.least, kind.greatest + 1, step)), step == 1
    first_text, dash, last_text = span.partition("-")
    first = kind.number(first_text)
    # robfig: "N/step" means "N to the greatest, each step"
    last = kind.number(last_text) if dash else (kind.greatest if slash else first)
    for value, written in ((first, first_text), (last, last_text or first_text)):
        if not kind.least <= value <= kind.greatest:
            raise _Fault(
                f"{kind.name} {written!r} is not within {kind.least} and {kind.greatest}", kind.remedy(written)
            )
    if first > last:
        raise _Fault(
            f"{kind.name} {span!r} runs backwards",
            f"Write two ranges: {first_text}-{kind.greatest},{kind.least}-{last_text}.",
        )
    return set(range(first, last + 1, step)), False


def _refuse_never(cron: Cron) -> None:
    longest = max(_LONGEST_MONTH[month - 1] for month in cron.month.values)
    # with both day fields restricted, a weekday alone is enough to come due
    if (cron.day.any or cron.weekday.any) and min(cron.day.values) > longest:
        raise _Fault(f"day of month {cron.day} never comes in month {cron.month}", "Write a day that the month has.")

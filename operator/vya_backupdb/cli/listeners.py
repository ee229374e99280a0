"""Listeners of a run's events: live bars on a terminal, JSON lines for a log, silence for ``--format json``."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TextIO

from vya_backupdb.cli.invocation import Format, now, on_terminal
from vya_backupdb.cli.output import console, note_text
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.dumper.events import Event, Listener, Moved, Noted, to_dict

if TYPE_CHECKING:
    from rich.console import Console

PROGRESS_LINE_EVERY_SECONDS: Final = 10.0


@contextmanager
def listening(wanted: Format | None, redact: Redactor) -> Iterator[Listener]:
    """Give the listener that fits `--format` and the place; a live view ends with the block."""
    if wanted is Format.JSON:
        yield lambda _event: None
    elif wanted is None and not on_terminal():
        yield JsonLines(sys.stdout, redact)
    elif on_terminal():
        from vya_backupdb.cli.live import LiveView

        with LiveView(console(), redact) as view:
            yield view
    else:
        yield Notes(console(), redact)


class JsonLines:
    """One JSON object a line and event; progress of one database at most every ten seconds."""

    def __init__(self, stream: TextIO, redact: Redactor) -> None:
        self._stream, self._redact = stream, redact
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], float] = {}

    def __call__(self, event: Event) -> None:
        """Write `event`."""
        with self._lock:
            if isinstance(event, Moved) and not self._is_due(event):
                return
            if isinstance(event, Noted):
                event = replace(event, message=self._redact(event.message))
            # whoever read our output may have gone: that fails no backup
            with suppress(OSError, ValueError):
                self._stream.write(json.dumps(to_dict(event, now()), ensure_ascii=False) + "\n")
                self._stream.flush()

    def _is_due(self, event: Moved) -> bool:
        key, moment = (event.kind, event.name), time.monotonic()
        if moment - self._told.get(key, 0.0) < PROGRESS_LINE_EVERY_SECONDS:
            return False
        self._told[key] = moment
        return True


class Notes:
    """Only warnings, as lines: for tables that go into a file."""

    def __init__(self, target: "Console", redact: Redactor) -> None:
        self._console, self._redact = target, redact

    def __call__(self, event: Event) -> None:
        """Print a note; leave out everything else."""
        if isinstance(event, Noted):
            self._console.print(note_text(event, self._redact))

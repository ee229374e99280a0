"""One call of the program: what it was asked, what it must not show, and how it says that it failed.

`Invocation` is Typer's ``ctx.obj``. It exists before any option is read, so that the outermost handler can still
redact, and can still leave a report for whoever started a Job that failed before it had begun.
"""

import os
import secrets
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, TextIO

from vya_backupdb.cli import logs, settings
from vya_backupdb.domain import ids
from vya_backupdb.domain.config import AppConfig, DatabaseConfig
from vya_backupdb.domain.errors import BackupDBError, ConfigurationError
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.domain.report import Operation, RunReport
from vya_backupdb.dumper.deliver import Delivery


class Format(StrEnum):
    """What `--format` may say. Without it: tables on a terminal, JSON otherwise."""

    TABLE = "table"
    JSON = "json"


COLOURS: Final = {"error": "\x1b[1;31m", "hint": "\x1b[36m"}
RESET: Final = "\x1b[0m"


def now() -> datetime:
    """Return this machine's clock, in UTC: the only place of the dump column that reads it."""
    return datetime.now(UTC)  # noqa: TID251 - the edge


@dataclass
class Invocation:
    """The state of one call. Mutable, because it grows as options are read."""

    redact: Redactor = field(default_factory=Redactor)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    verbose: bool = False
    operation: Operation | None = None
    run: str = ""
    termination_log: Path | None = None
    started_at: datetime = field(default_factory=now)

    def configure(self, path: Path, *, verbose: bool) -> AppConfig:
        """Return the configuration in `path`, with the log set up as it says."""
        self.verbose = verbose
        config = settings.load_config(path)
        logs.configure(config.logging, redact=self.redact, verbose=verbose)
        return config

    def begin(
        self, operation: Operation, *, run_id: str | None = None, termination_log: Path | None = None
    ) -> ids.RunId:
        """Note that a reported operation begins; return its run id, a new one if none was given."""
        self.operation, self.termination_log = operation, termination_log
        self.run = run_id or ids.terminal_run_id(self.started_at, secrets.token_hex(3))
        return ids.run_id(self.run)

    def delivery(self) -> Delivery:
        """Return what delivers this call's reports."""
        return Delivery(termination_log=self.termination_log, redact=self.redact)

    def failure(self, operation: Operation, error: BackupDBError | None) -> RunReport:
        """Return the report of an operation that did not get as far as one of its own; None is an unknown error."""
        code = ExitCode.UNEXPECTED if error is None else error.exit_code
        return RunReport(
            operation=operation,
            run=self.run or "unknown",
            reason=code.reason,
            message=self.redact(str(error)) if error is not None else code.meaning,
            exit_code=code,
            started_at=self.started_at,
            finished_at=now(),
        )

    def deliver_failure(self, error: BackupDBError | None) -> None:
        """Leave a report of a failure that the operation itself did not report. None is an unknown error."""
        if self.operation is not None and self.termination_log is not None:
            self.delivery()(self.failure(self.operation, error))

    def show_error(self, error: BackupDBError) -> None:
        """Print the two lines of an expected error on stderr."""
        self.tell("error", error.message)
        if error.hint:
            self.tell("hint", error.hint)

    def tell(self, word: str, text: str) -> None:
        """Print one line on stderr, redacted, with control characters escaped; coloured on a terminal."""
        line = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in self.redact(text))
        colour = COLOURS.get(word, "") if on_terminal(self.stderr) else ""
        self.stderr.write(f"{colour}{word}:{RESET if colour else ''} {line}\n")


def chosen(config: AppConfig, instance: str | None) -> tuple[DatabaseConfig, ...]:
    """Return the instance of that id, or every enabled one. Raise ConfigurationError if there is none."""
    if instance is not None:
        return (config.database(instance),)
    enabled = tuple(database for database in config.databases if database.enabled)
    if not enabled:
        raise ConfigurationError("every instance is disabled", hint="Set 'enabled: true', or name one with --instance.")
    return enabled


def the_one(config: AppConfig, instance: str | None) -> DatabaseConfig:
    """Return the instance of that id, or the only enabled one. Raise ConfigurationError if there are more."""
    found = chosen(config, instance)
    if len(found) > 1:
        known = ", ".join(database.id for database in found)
        raise ConfigurationError("there is more than one instance", hint=f"Name one with --instance: {known}.")
    return found[0]


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether `stream` (default: stdout) is a terminal that can move its cursor."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and os.environ.get("TERM") != "dumb"

"""The program's own log: to stderr, or to a file, as text or JSON lines; every message redacted.

Redaction happens on the finished text, traceback included, so that no argument of a log call can slip past it. A log
file is its owner's only; one that cannot be written, from the beginning or later on, is given up for the console, with
one warning.
"""

import json
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from vya_backupdb.domain.config import LoggingConfig
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.storage.volume import write_all

ROOT: Final = "vya_backupdb"
PRIVATE: Final = 0o600


class RedactingFormatter(logging.Formatter):
    """Formats a record as text or JSON, then masks every secret in it."""

    def __init__(self, redact: Redactor, *, as_json: bool) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")
        self._redact = redact
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return one redacted line (text may hold a traceback of several)."""
        if not self._as_json:
            return self._redact(super().format(record))
        line = {"time": self.formatTime(record), "level": record.levelname.lower(), "logger": record.name}
        # before it is encoded: a password of one quotation mark would else be found in every line, and break it
        line["message"] = self._redact(record.getMessage())
        if record.exc_info:
            line["traceback"] = self._redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class FileOrConsole(logging.Handler):
    """Appends lines to a file of mode 0600, each in one write; from the first that fails on, to stderr."""

    def __init__(self, path: Path) -> None:
        """Raise OSError if the file cannot be opened."""
        super().__init__()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._console = logging.StreamHandler(sys.stderr)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor: int | None = os.open(path, flags, PRIVATE)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - the standard library's name
        """Format for both places."""
        super().setFormatter(fmt)
        self._console.setFormatter(fmt)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        if self._descriptor is None:
            self._console.emit(record)
            return
        try:
            write_all(self._descriptor, (self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except OSError as error:
            self.close()
            self._console.emit(_warning(unwritable(self._path, error)))
            self._console.emit(record)

    def close(self) -> None:
        """Close the file; what comes after goes to stderr."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
        super().close()


def unwritable(path: Path, error: OSError) -> str:
    """Return the warning about a log file."""
    return f"the log file {path} cannot be written ({os.strerror(error.errno or 0).lower()}); using the console"


def _warning(text: str) -> logging.LogRecord:
    return logging.LogRecord(ROOT, logging.WARNING, __file__, 0, "%s", (text,), None)


def configure(config: LoggingConfig, *, redact: Redactor, verbose: bool) -> None:
    """Send our loggers' lines where `config` says; `verbose` means DEBUG. Replaces what an earlier call set up.

    A file that cannot be opened falls back to the console, with one warning.
    """
    logger = logging.getLogger(ROOT)
    logger.setLevel(logging.DEBUG if verbose else config.level)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    handlers, problem = _handlers(config)
    for handler in handlers:
        handler.setFormatter(RedactingFormatter(redact, as_json=config.format == "json"))
        logger.addHandler(handler)
    if problem:
        logger.warning("%s", problem)


def _handlers(config: LoggingConfig) -> tuple[Iterable[logging.Handler], str]:
    console = logging.StreamHandler(sys.stderr)
    if config.output == "console" or config.file_path is None:
        return (console,), ""
    path = Path(config.file_path)
    try:
        file = FileOrConsole(path)
    except OSError as error:
        return (console,), unwritable(path, error)
    return ((console, file) if config.output == "both" else (file,)), ""

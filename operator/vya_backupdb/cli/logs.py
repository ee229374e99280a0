"""The program's own log: to stderr, or to a file, as text or JSON lines; every message redacted.

Redaction happens on the finished text, traceback included, so that no argument of a log call can slip past it.
"""

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path

from vya_backupdb.domain.config import LoggingConfig
from vya_backupdb.domain.redact import Redactor

ROOT = "vya_backupdb"


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
    try:
        Path(config.file_path).parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(config.file_path, encoding="utf-8")
    except OSError as error:
        return (console,), f"the log file {config.file_path} cannot be written ({error.strerror}); using the console"
    return ((console, file) if config.output == "both" else (file,)), ""

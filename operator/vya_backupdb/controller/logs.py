"""The operator's log: one line for each change of state, to stderr, as JSON or text; kopf's own lines in the same form.

Redaction is on the finished text, traceback included, so that no argument of a log call slips past it.
"""

import json
import logging
import sys
from datetime import UTC, datetime

from vya_backupdb.domain.redact import Redactor

_redact = Redactor()
# kopf tells of each watch that it opens again; aiohttp of each probe
_QUIET = ("kopf", "aiohttp", "asyncio", "kubernetes", "urllib3")


class Formatter(logging.Formatter):
    """One line a record (text may hold a traceback of several)."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the record, redacted."""
        if not self._as_json:
            return _redact(super().format(record))
        moment = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "logger": record.name}
        line["message"] = _redact(record.getMessage())
        if record.exc_info:
            line["traceback"] = _redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure(*, level: str, as_json: bool) -> None:
    """Send every logger's lines to stderr; those of libraries only from WARNING on, unless `level` is DEBUG."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(as_json=as_json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(
            level if level == "DEBUG" else max(logging.WARNING, logging.getLevelName(level))
        )
    logging.captureWarnings(True)

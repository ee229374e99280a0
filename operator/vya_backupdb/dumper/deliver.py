"""How a run's report reaches whoever waits for it: the container's termination message, and ``.runs/{run}.json``.

It is delivered again after each database, so that a killed pod has still told the most of it. Neither place may fail a
run: a backup that stands is no less good because its report could not be written. Whoever `observe`s each state, the
audit log, may have a word to add for the reader.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from vya_backupdb.domain.errors import StorageError
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.domain.report import DatabaseRow, Finding, RunReport

_log = logging.getLogger(__name__)
Save = Callable[[RunReport], None]
Observe = Callable[[RunReport], Finding | None]


class Delivery:
    """Writes each state of one run's report, redacted. `save` puts the whole one on the volume, once it is known."""

    def __init__(
        self,
        *,
        termination_log: Path | None,
        redact: Redactor,
        save: Save | None = None,
        observe: Observe | None = None,
    ) -> None:
        self._termination_log = termination_log
        self._redact = redact
        self.save = save
        self.observe = observe
        self._said: Finding | None = None

    def __call__(self, report: RunReport) -> RunReport:
        """Write `report` to both places; return it redacted."""
        clean = redacted(report, self._redact)
        if self.observe is not None:
            clean = self._observed(clean, self.observe(clean))
        if self._termination_log is not None:
            self._write_termination_message(self._termination_log, clean.to_termination_message())
        if self.save is not None:
            try:
                self.save(clean)
            except StorageError as error:
                _log.warning("the report of run %s could not be saved: %s", clean.run, self._redact(error.message))
        return clean

    def _observed(self, report: RunReport, said: Finding | None) -> RunReport:
        """Return `report` with what the observer says now, in the place of what it said before."""
        rest = tuple(one for one in report.findings if one != self._said)
        # as it will come back: what was delivered is redacted, and redacted again with the next state
        self._said = said = said and said.model_copy(update={"message": self._redact(said.message)})
        return report.model_copy(update={"findings": (*rest, said) if said else rest})

    def _write_termination_message(self, path: Path, data: bytes) -> None:
        """Overwrite the file in one write, never through an empty one.

        It is a bind mount, so nothing can be renamed over it. A shorter report is filled up with blanks, which JSON
        allows, to the length of what stands there: the reader sees the old one or the new one, whole.
        """
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.pwrite(fd, data.ljust(os.fstat(fd).st_size), 0)
            finally:
                os.close(fd)
        except OSError as error:
            _log.warning("the termination message %s could not be written: %s", path, os.strerror(error.errno or 0))


def redacted(report: RunReport, redact: Redactor) -> RunReport:
    """Return `report` with every free text redacted."""

    def row(one: DatabaseRow) -> DatabaseRow:
        return one if one.error is None else one.model_copy(update={"error": redact(one.error)})

    def finding(one: Finding) -> Finding:
        return one.model_copy(update={"message": redact(one.message)})

    return report.model_copy(
        update={
            "message": redact(report.message),
            "databases": tuple(map(row, report.databases)),
            "findings": tuple(map(finding, report.findings)),
        }
    )

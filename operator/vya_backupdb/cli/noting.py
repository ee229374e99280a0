"""A context around what a person says or does beside runs (pin, unpin, accept, adopt, clean up): that is recorded, too.

Such a word has no report of a run. What is recorded is whom it was about, and how it ended; a word that came to nothing
leaves no entry. As with every operation, a log that fails stops nothing unless it is required.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vya_backupdb.cli.auditing import proven_log, who
from vya_backupdb.cli.frame import Frame
from vya_backupdb.cli.invocation import now
from vya_backupdb.domain.audit import AuditEntry
from vya_backupdb.domain.errors import AuditUnavailable, BackupDBError

if TYPE_CHECKING:
    from vya_backupdb.engines.audit import AuditLog

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class About:
    """What a word was about: a backup of a database (None: of the users), or the instance as a whole."""

    database: str | None = None
    backup: str | None = None
    size_bytes: int | None = None


@dataclass
class Word:
    """One word under way; the command adds what it was about."""

    abouts: list[About] = field(default_factory=list)

    def about(self, database: str | None, backup: str | None, size_bytes: int | None = None) -> None:
        """Note one backup that the word was about."""
        self.abouts.append(About(database, backup, size_bytes))


@contextmanager
def noting(
    frame: Frame,
    operation: Literal["pin", "unpin", "accept", "adopt", "clean-up"],
    *,
    backup: str | None = None,
    database: str | None = None,
) -> Iterator[Word]:
    """Record what the block does, or the error that ends it, then with the `backup` and `database` that were named.

    Raise AuditUnavailable, before the block, if the log cannot be written and is required.
    """
    began = now()
    log, problem = proven_log(frame.invocation, frame.app)
    if problem is not None:
        _log.warning("%s", problem)
    word, actor = Word(), who(os.environ)

    def entry(about: About, error: BackupDBError | None = None) -> AuditEntry:
        ended = now()
        return AuditEntry(
            timestamp=ended,
            operation=operation,
            database_id=frame.database.id,
            database_name=about.database,
            status="success" if error is None else "failed",
            duration_seconds=(ended - began).total_seconds(),
            size_bytes=about.size_bytes,
            error_message=None if error is None else frame.invocation.redact(str(error)),
            hostname=actor.hostname,
            actor=actor.name,
            run_id=frame.invocation.run,
            backup_id=about.backup,
        )

    try:
        yield word
    except BackupDBError as error:
        _write(log, [*map(entry, word.abouts), entry(About(database, backup), error)])
        raise
    _write(log, [entry(one) for one in word.abouts])


def _write(log: "AuditLog | None", entries: list[AuditEntry]) -> None:
    if log is None or not entries:
        return
    try:
        log.write(entries)
    except AuditUnavailable as error:
        _log.warning("%s", error)

"""Where the audit log is, who is acting, and a context around each operation that is to be recorded.

Without a URL the log is a SQLite file: beside the program's own log file, else in ``$STATE_DIRECTORY`` (which systemd
gives a service), ``$XDG_STATE_HOME/vya-backupdb`` or ``~/.local/state/vya-backupdb``. Where none of these is known, and
in what the operator runs (its containers keep nothing, and their file systems may be read-only), there is none unless a
URL is given.
"""

import os
import pwd
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vya_backupdb.cli.invocation import Invocation, now
from vya_backupdb.domain.audit import Actor
from vya_backupdb.domain.config import AppConfig, AuditConfig
from vya_backupdb.domain.errors import AuditUnavailable, BackupDBError
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.domain.report import Operation
from vya_backupdb.dumper.auditing import Recorder, unavailable
from vya_backupdb.dumper.deliver import Delivery, Observe

if TYPE_CHECKING:
    from vya_backupdb.engines.audit import AuditLog

FILE: Final = "audit.db"
LIMIT_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Audited:
    """One operation on one instance: what delivers its reports, and what records them (None: no audit log)."""

    delivery: Delivery
    recorder: Recorder | None


@contextmanager
def auditing(invocation: Invocation, app: AppConfig, database_id: str, operation: Operation) -> Iterator[Audited]:
    """Record the reports of the block, and the error that ends it, if one does.

    Raise AuditUnavailable, before the block, if the log cannot be written and is required.
    """
    recorder, instead = _open(invocation, app, database_id)
    delivery = invocation.delivery()
    delivery.observe = recorder or instead
    try:
        yield Audited(delivery, recorder)
    except BackupDBError as error:
        if recorder is not None:
            recorder.failed(invocation.failure(operation, error))
        raise
    except Exception:
        if recorder is not None:
            recorder.failed(invocation.failure(operation, None))
        raise


def _open(invocation: Invocation, app: AppConfig, database_id: str) -> tuple[Recorder | None, Observe | None]:
    """Return what records, or what tells that nothing can be recorded; neither where there is no log."""
    log, problem = proven_log(invocation, app)
    if problem is not None:
        return None, unavailable(problem)
    return None if log is None else Recorder(log, database_id, who(os.environ)), None


def proven_log(invocation: Invocation, app: AppConfig) -> "tuple[AuditLog | None, AuditUnavailable | None]":
    """Return the audit log, or why it cannot be opened; neither where there is none.

    Raise AuditUnavailable if it cannot be opened or written, and is required.
    """
    required = app.audit is not None and app.audit.required
    try:
        log = open_log(app, os.environ, invocation.redact)
        if log is not None and required:
            log.prove(now())
    except AuditUnavailable as error:
        if required:
            raise
        return None, error
    return log, None


def open_log(app: AppConfig, environ: Mapping[str, str], redact: Redactor) -> "AuditLog | None":
    """Return the configured audit log, None if there is none. Raise AuditUnavailable if its URL cannot be used."""
    config = app.audit or AuditConfig()
    if not config.enabled:
        return None
    place = _url(config) or _default_file(app, environ)
    if place is None and config.required:
        raise AuditUnavailable("no place for the audit log is known", hint="Set audit.database_url.")
    if place is None:
        return None
    from vya_backupdb.engines.audit import AuditLog  # with all of SQLAlchemy

    return AuditLog(place, redact=redact)


def _url(config: AuditConfig) -> str | None:
    if config.database_url_file is None:
        return config.database_url
    try:
        with Path(config.database_url_file).open("rb") as file:
            return file.read(LIMIT_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = os.strerror(error.errno or 0).lower() if isinstance(error, OSError) else "it is not UTF-8 text"
        raise AuditUnavailable(
            f"the file {config.database_url_file} cannot be read: {why}",
            hint="Put the URL of the audit log there, or correct audit.database_url_file.",
        ) from None


def _default_file(app: AppConfig, environ: Mapping[str, str]) -> Path | None:
    if app.owner is not None:
        return None
    if app.logging.output != "console" and app.logging.file_path:
        return Path(app.logging.file_path).parent / FILE
    folder = _state_directory(environ)
    return Path(folder) / FILE if folder else None


def _state_directory(environ: Mapping[str, str]) -> str | None:
    if given := environ.get("STATE_DIRECTORY"):
        return given.split(":")[0]
    if given := environ.get("XDG_STATE_HOME"):
        return f"{given}/vya-backupdb"
    home = environ.get("HOME")
    return f"{home}/.local/state/vya-backupdb" if home else None


def who(environ: Mapping[str, str]) -> Actor:
    """Return the account that runs this process, with the one that became it by sudo, and this host's name."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = f"uid {os.geteuid()}"
    before = environ.get("SUDO_USER")
    return Actor(f"{name} (sudo by {before})" if before else name, socket.gethostname())

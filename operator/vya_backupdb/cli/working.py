"""What every command that works on a server needs around it: signals, deadline, listener, tools."""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vya_backupdb.cli.invocation import Format, Invocation, now, on_terminal
from vya_backupdb.cli.listeners import listening
from vya_backupdb.cli.options import CLIENT_PATH_VARIABLE
from vya_backupdb.domain.config import AppConfig
from vya_backupdb.dumper.session import Tools
from vya_backupdb.dumper.stop import watched


@contextmanager
def working(invocation: Invocation, app: AppConfig, wanted: Format | None) -> Iterator[Tools]:
    """Give the tools of one operation; signals and the deadline stop it while the block runs."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    with (
        watched(deadline_seconds=app.run.deadline_seconds, signals=in_main_thread) as stop,
        listening(wanted, invocation.redact) as say,
    ):
        yield Tools(
            clock=now,
            redact=invocation.redact,
            stop=stop,
            say=say,
            wants_estimates=on_terminal() and wanted is not Format.JSON,
            random_hex=lambda: secrets.token_hex(6),
            search_path=os.environ.get("PATH", os.defpath),
            client_directories=tuple(filter(None, os.environ.get(CLIENT_PATH_VARIABLE, "").split(":"))),
        )

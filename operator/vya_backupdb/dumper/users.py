"""The users file of a run: accounts, roles and grants as SQL, beside the databases, written and judged as they are.

It is read over a session of the engine's, not by a client, so there is no exit code; all other conditions are the same.
"""

import time
from collections.abc import Callable
from datetime import datetime

from vya_backupdb.domain.metadata import BackupMetadata
from vya_backupdb.dumper import pipeline
from vya_backupdb.dumper.backup import Made, Run, backup_info, require_complete, rereading, timed, verify
from vya_backupdb.dumper.events import Noted, Step, StepStarted
from vya_backupdb.dumper.pipeline import Meter, Passed
from vya_backupdb.dumper.session import Session
from vya_backupdb.engines.base import UsersDump

#: The name of the users file in reports and events.
NAME = ""


def back_up_users(session: Session, run: Run, *, expected_bytes: int | None) -> Made:
    """Write the users file of `run` and return what was published. Raise whatever prevented it."""
    began, moment = time.monotonic(), run.server.now()
    session.say(StepStarted(NAME, "users", Step.DUMPING, expected_bytes))
    dump = session.engine.users()

    def source(take: Callable[[bytes], None]) -> None:
        for chunk in dump.chunks:
            session.tools.stop.check()
            take(chunk)

    meter = Meter(session.say, name=NAME, kind="users", lock=None)
    with (
        session.tree.open(None, moment.astimezone(session.zone), run.id) as pending,
        rereading(session, pending, name=NAME, kind="users") as again,
    ):
        passed = pipeline.write_dump(
            pending,
            source,
            level=session.app.storage.compression_level,
            scanner=session.engine.users_scanner(),
            meter=meter,
        )
        require_complete(passed, "the dump of users and roles")
        pending.finish()
        verify(session, pending, passed, again, name=NAME, kind="users", lock=None)
        session.tools.stop.check()
        seconds = time.monotonic() - began
        draft = _metadata(session, run, moment, dump, passed)
        stored = pending.publish(timed(draft, seconds))
    for warning in dump.warnings:
        session.say(Noted(warning, NAME, "warning"))
    return Made(stored, seconds, dump.warnings)


def _metadata(session: Session, run: Run, moment: datetime, dump: UsersDump, passed: Passed) -> BackupMetadata:
    return BackupMetadata(
        kind="users",
        backup_info=backup_info(session, NAME, moment),
        tool=run.server.tool("vya-backupdb"),
        run=run.info(session),
        flavor=run.server.flavor,
        uncompressed_bytes=passed.raw_bytes,
        warnings=dump.warnings,
        users=dump.info,
    )

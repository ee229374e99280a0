"""The backup of one database: lock, snapshot, preflight, dump, judge, read back, publish. In this order, or not at all.

A backup is published only if all of these hold: exit code 0; the closing marker; stderr clean by the known list; the
file as long as what was written; hash, length and CRC of it and of its text the same when read back; the snapshot's
detectors found nothing; the lock was held from before the snapshot to the end. Anything else leaves nothing behind.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from vya_backupdb.domain import schedule, schema
from vya_backupdb.domain.errors import DumpFailed
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.metadata import BackupInfo, BackupMetadata, Consistency, RunInfo
from vya_backupdb.dumper import pipeline, process
from vya_backupdb.dumper.events import Kind, Listener, Noted, Step, StepStarted
from vya_backupdb.dumper.pipeline import Content, Meter, Passed, Reread
from vya_backupdb.dumper.process import Ended
from vya_backupdb.dumper.session import Server, Session
from vya_backupdb.engines.base import DumpPlan, HeldLock, Snapshot
from vya_backupdb.engines.findings import require_dumpable
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.pending import PendingBackup

Reason = str
LONG_WAIT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """The run that a backup belongs to."""

    id: RunId
    reason: Reason
    server: Server

    def info(self, session: Session) -> RunInfo:
        """Return what the metadata says of the run."""
        slot = schedule.scheduled_time(self.id) if self.reason == "scheduled" else None
        return RunInfo.model_validate(
            {
                "id": self.id,
                "schedule": session.app.schedule,
                "reason": self.reason,
                "scheduled_time": slot,
                "server_time": self.server.info.now,
                "clock_skew_seconds": round(-self.server.skew / timedelta(seconds=1), 3),
            }
        )


@dataclass(frozen=True, slots=True)
class Made:
    """A published backup, and how long it took in seconds."""

    stored: StoredBackup
    duration_seconds: float
    warnings: tuple[str, ...]


def back_up(
    session: Session,
    run: Run,
    database: str,
    *,
    expected_bytes: int | None,
    done: Callable[[], StoredBackup | None],
) -> Made | StoredBackup:
    """Back up `database` and return what was published; or what `done`, asked after a wait for the lock, found.

    Raise whatever prevented it, redacted; then nothing was published.
    """
    stop = session.tools.stop
    session.say(StepStarted(database, "database", Step.LOCKING))
    wait, asked = session.database.lock_wait_seconds, time.monotonic()
    with session.engine.lock(database, wait_seconds=wait, checkpoint=stop.check) as lock:
        # another pod of this very Job may have finished it meanwhile, where the volume cannot lock a run
        before = done() if time.monotonic() - asked > LONG_WAIT_SECONDS else None
        return before or back_up_held(session, run, database, lock, expected_bytes=expected_bytes)


def back_up_held(session: Session, run: Run, database: str, lock: HeldLock, *, expected_bytes: int | None) -> Made:
    """Back up `database`, whose `lock` the caller holds. As `back_up` otherwise."""
    began, moment = time.monotonic(), run.server.now()
    session.say(StepStarted(database, "database", Step.DUMPING, expected_bytes))
    with (
        session.tree.open(database, moment.astimezone(session.zone), run.id) as pending,
        rereading(session, pending, name=database, kind="database") as again,
    ):
        with session.engine.snapshot(database) as snapshot:
            require_dumpable(snapshot.findings)
            plan = session.engine.dump(database, snapshot)
            passed = _dump(session, database, plan, pending, _Held(lock, snapshot))
            checked = snapshot.verify(passed.scan.tables)
            draft = _metadata(session, run, database, moment, snapshot, plan, passed, checked)
        # the snapshot is given back before the rest is read: an old one keeps the server from cleaning up
        pending.finish()
        verify(session, pending, passed, again, name=database, kind="database", lock=lock)
        lock.verify()
        session.tools.stop.check()
        seconds = time.monotonic() - began
        stored = pending.publish(timed(draft, seconds))
    for warning in draft.warnings:
        session.say(Noted(warning, database, "warning"))
    return Made(stored, seconds, draft.warnings)


@dataclass(slots=True)
class _Held:
    """Lock and snapshot of one dump, looked after together."""

    lock: HeldLock
    snapshot: Snapshot
    _took_over: bool = False

    def taking_over(self, take: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """Return `take`, which lets the snapshot hold what the client holds as soon as a whole piece has come.

        A smaller dump has ended with it: nobody waited for long.
        """

        def taking(piece: bytes) -> None:
            if not self._took_over and len(piece) >= process.PIECE_BYTES:
                self._took_over = True
                self.snapshot.hold()
            take(piece)

        return taking

    def verify(self) -> None:
        """See `HeldLock.verify`."""
        self.lock.verify()
        self.snapshot.keep()


def _dump(session: Session, database: str, plan: DumpPlan, pending: PendingBackup, lock: _Held) -> Passed:
    """Run the client into the file and return what passed. Raise DumpFailed unless all it said and did is good."""

    def source(take: Callable[[bytes], None]) -> None:
        patience = session.database.timeouts.stall_seconds
        pieces = lock.taking_over(plan.passing(take))
        ended = process.run(plan.command, stop=session.tools.stop, on_chunk=pieces, patience=patience)
        if not ended.ok:
            raise session.engine.dump_failure(database, ended.returncode, ended.stderr)
        _require_calm(session, database, ended)

    meter = Meter(session.say, name=database, kind="database", lock=lock)
    scanner = session.engine.scanner()
    passed = pipeline.write_dump(
        pending, source, level=session.app.storage.compression_level, scanner=scanner, meter=meter
    )
    require_complete(passed, f"the dump of {database!r}")
    return passed


def _require_calm(session: Session, database: str, ended: Ended) -> None:
    """Raise DumpFailed if the client said anything on stderr that is not known to be harmless."""
    unknown = session.engine.judge_stderr(ended.stderr)
    if unknown and not ended.stderr_cut:
        raise DumpFailed(
            f"{ended.program} ended well, but said about {database!r}: {unknown[0]}",
            hint="If that is harmless, add an expression for it to allowed_stderr; else mend its cause.",
        )
    if ended.stderr_cut:
        raise DumpFailed(
            f"{ended.program} ended well, but said more about {database!r} than can be judged: {(unknown or ['…'])[0]}",
            hint="Run the client by hand to see it all, and mend the cause of its warnings.",
        )


def require_complete(passed: Passed, what: str) -> None:
    """Raise DumpFailed unless the closing marker is there, as the last thing."""
    if not passed.scan.complete:
        problem = passed.scan.problem or "its closing marker is missing"
        raise DumpFailed(f"{what} is not complete: {problem}", hint="The client ended early; run it again.")


@contextmanager
def rereading(session: Session, pending: PendingBackup, *, name: str, kind: Kind) -> Iterator[Reread]:
    """Read `pending` back while it is written in the block; an error in there gives both up."""

    def read(say: Listener) -> Content:
        meter = Meter(say, name=name, kind=kind, lock=None)
        check = session.tools.stop.check
        return pipeline.read_back(pending.reread(), meter=meter, source=pending.id, check=check)

    again = Reread(read, session.say)
    try:
        yield again
    except BaseException:
        pending.abort()
        raise
    finally:
        again.close()


def verify(
    session: Session,
    pending: PendingBackup,
    passed: Passed,
    again: Reread,
    *,
    name: str,
    kind: Kind,
    lock: HeldLock | None,
) -> None:
    """Wait until all came back from the disk. Raise BackupCorrupt or DumpFailed unless it is exactly what passed."""
    session.say(StepStarted(name, kind, Step.VERIFYING, passed.raw_bytes))
    if again.result(lock) != passed.content:
        raise DumpFailed(
            f"{pending.id}: other content came back from the volume than was written",
            hint="Check the volume and the memory of this machine.",
        )


def timed(draft: BackupMetadata, seconds: float) -> BackupMetadata:
    """Return `draft` with how long it took."""
    info = draft.backup_info.model_copy(update={"duration_seconds": round(seconds, 3), "status": "success"})
    return draft.model_copy(update={"backup_info": info})


def backup_info(session: Session, database: str, moment: datetime) -> BackupInfo:
    """Return the head of the metadata of a backup that is not finished yet."""
    return BackupInfo(
        database_id=session.database.id,
        database_name=database,
        database_type=session.database.type,
        hostname=session.database.tree_hostname,
        timestamp=moment.astimezone(session.zone),
        duration_seconds=0,
        # becomes a success only in `timed`: the model refuses one without a file
        status="partial",
    )


def _metadata(
    session: Session,
    run: Run,
    database: str,
    moment: datetime,
    snapshot: Snapshot,
    plan: DumpPlan,
    passed: Passed,
    checked: tuple[str, ...],
) -> BackupMetadata:
    return BackupMetadata(
        backup_info=backup_info(session, database, moment),
        schema_info=snapshot.schema_info,
        tool=run.server.tool(plan.client),
        run=run.info(session),
        flavor=run.server.flavor,
        database=snapshot.settings,
        tables=passed.scan.tables,
        schema_hash_version=schema.HASH_VERSION,
        schema_objects=schema.pack(snapshot.schema),
        server_settings=snapshot.server_settings,
        uncompressed_bytes=passed.raw_bytes,
        consistency=Consistency(method=snapshot.method, checked=checked),
        warnings=snapshot.warnings,
    )

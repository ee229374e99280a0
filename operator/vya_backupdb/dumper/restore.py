"""A restore of one database: find, verify, plan; only then touch the server: create, load, finish, compare, rename.

Invariants: nothing is created before the whole file was read and fits its metadata; the target must not exist; where
the server can rename, the dump is loaded into a scratch database beside, so that the target appears whole or not at
all; a failure drops what this very run made (see `journal`), never anything else; a claim in the ledger is taken just
before the first touch, so that a request made again from Git does not run again.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack

from vya_backupdb.domain.errors import BackupDBError, RestoreFailed
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.metadata import size_human
from vya_backupdb.domain.report import DatabaseRow, RestoredReport, RunReport, Totals, TransformReport
from vya_backupdb.dumper.deliver import Delivery
from vya_backupdb.dumper.events import Noted, RunEnded, RunStarted, Step, StepStarted
from vya_backupdb.dumper.journal import Journal
from vya_backupdb.dumper.pipeline import Meter
from vya_backupdb.dumper.progress import counted
from vya_backupdb.dumper.restore_plan import Plan, Request, compare, plan_restore
from vya_backupdb.dumper.session import Session
from vya_backupdb.engines.base import Count
from vya_backupdb.engines.loading import LoadResult
from vya_backupdb.storage.ledger import ClaimState, Phase

SCRATCH_PREFIX = "vya_"


def run_restore(session: Session, request: Request, deliver: Delivery) -> RunReport:
    """Restore what `request` asks for, and return the report, delivered. Raise what prevented it.

    Then everything that this run made on the server is gone again, unless dropping it failed too, which the error says.
    """
    tree = session.tree
    with tree.lock_run(request.run):
        journal = Journal(tree, request.run, started_at=session.tools.clock())
        report = _done_before(session, request)
        if report is None:
            session.say(RunStarted(request.run, "restore", (request.target,)))
            try:
                with ExitStack() as held:
                    plan = plan_restore(session, request, held, leftover=journal.leftover)
                    report = _Restore(session, request, plan, journal).do()
            except BackupDBError as error:
                journal.close(_failure(session, request, journal, error))
                raise
            journal.close(report)
        report = deliver(report)
    session.say(RunEnded(report))
    return report


def _done_before(session: Session, request: Request) -> RunReport | None:
    """Return the report of this very restore, if it ended well before. Raise AlreadyExecuted if another one's did.

    Asked first of all: a target that was restored exists, and that is not what is to be said about it.
    """
    if request.claim is None:
        before = session.tree.run(request.run)
        return before if before and before.operation == "restore" and before.reason == ExitCode.OK.reason else None
    ledger = session.tree.ledger()
    entry = ledger.look_up(request.claim.name)
    if entry is None:
        return None
    if entry.uid == request.claim.uid and entry.result is not None:
        return entry.result
    ledger.claim(request.claim.name, request.claim.uid, request.run, now=session.tools.clock())
    return None


def _failure(session: Session, request: Request, journal: Journal, error: BackupDBError) -> RunReport:
    return RunReport(
        operation="restore",
        run=request.run,
        reason=error.exit_code.reason,
        message=session.tools.redact(str(error)),
        exit_code=error.exit_code,
        started_at=journal.started_at,
        finished_at=session.tools.clock(),
        totals=Totals(databases=1, failed=1),
    )


class _Restore:
    """One restore under way, past its plan."""

    def __init__(self, session: Session, request: Request, plan: Plan, journal: Journal) -> None:
        self._session, self._request, self._plan, self._journal = session, request, plan, journal
        self._engine = session.engine
        self._began = time.monotonic()
        self._claim: ClaimState | None = None
        self._loaded = LoadResult(0, 0, ())

    def do(self) -> RunReport:
        """Do it, under the target's lock, and return the final report."""
        check = self._session.tools.stop.check
        wait = self._session.database.lock_wait_seconds
        with self._engine.lock(self._plan.target, wait_seconds=wait, checkpoint=check) as lock:
            self._take_claim()
            self._journal.clean(self._engine)
            name = f"{SCRATCH_PREFIX}{self._session.tools.random_hex()}" if self._plan.beside else self._plan.target
            with self._journal.making(self._engine, name):
                count = self._build(name)
                lock.verify()
                check()
                self._put_in_place(name)
            report = self._report(count)
            if self._claim is not None:
                self._claim.finish(report)
        return report

    def _take_claim(self) -> None:
        claim = self._request.claim
        if claim is not None:
            now = self._session.tools.clock()
            self._claim = self._session.tree.ledger().claim(claim.name, claim.uid, self._request.run, now=now)

    def _advance(self, phase: Phase) -> None:
        if self._claim is not None:
            self._claim.advance(phase)

    def _build(self, name: str) -> Count:
        """Create `name`, load the dump, apply what it lacks, and compare; return what is there."""
        self._advance(Phase.LOADING)
        self._step(Step.CREATING)
        notes = self._engine.create(name, self._plan.settings)
        self._journal.made(name)
        self._load(name)
        self._step(Step.FINISHING)
        notes += self._engine.finish(name, self._plan.settings)
        for note in notes:
            self._session.say(Noted(note, self._plan.target, "warning"))
        self._step(Step.COMPARING)
        count = self._engine.count(name)
        compare(self._plan.metadata, count, self._plan.target)
        return count

    def _put_in_place(self, name: str) -> None:
        self._advance(Phase.SWAPPING)
        if name != self._plan.target:
            self._engine.rename(name, self._plan.target)

    def _load(self, name: str) -> None:
        self._step(Step.LOADING, self._plan.metadata.uncompressed_bytes)
        stop = self._session.tools.stop
        with self._engine.loader(name, self._plan.inspection.options) as loader, stop.killing(loader.cancel):
            try:
                for piece in self._feed():
                    loader.feed(piece)
                self._loaded = loader.finish()
            except RestoreFailed:
                stop.check()  # a session that was cut off is no failure of its own
                raise

    def _feed(self) -> Iterator[bytes]:
        meter = Meter(self._session.say, name=self._plan.target, kind="database", lock=None)
        for piece in self._session.tree.read(self._plan.stored):
            self._session.tools.stop.check()
            yield piece
            meter.passed(len(piece))

    def _step(self, step: Step, expected_bytes: int | None = None) -> None:
        self._session.tools.stop.check()
        self._session.say(StepStarted(self._plan.target, "database", step, expected_bytes))

    def _report(self, count: Count) -> RunReport:
        stored, seconds = self._plan.stored, time.monotonic() - self._began
        size = self._plan.metadata.uncompressed_bytes
        row = DatabaseRow(
            name=self._plan.target,
            status="success",
            backup_id=stored.id,
            size_bytes=size,
            duration_seconds=round(seconds, 3),
            finished_at=self._session.tools.clock(),
        )
        return RunReport(
            operation="restore",
            run=self._request.run,
            reason=ExitCode.OK.reason,
            message=self._sentence(count),
            exit_code=ExitCode.OK,
            started_at=self._journal.started_at,
            finished_at=self._session.tools.clock(),
            totals=Totals(databases=1, succeeded=1, size_bytes=size or 0),
            restored=RestoredReport(
                backup_id=stored.id,
                database=self._plan.target,
                bytes=size,
                tables=count.tables,
                rows=count.rows,
                transforms=tuple(
                    TransformReport(name=one.name, count=one.count, sentence=one.sentence)
                    for one in self._loaded.transforms
                ),
            ),
            databases=(row,),
        )

    def _sentence(self, count: Count) -> str:
        size = self._plan.metadata.uncompressed_bytes
        what = [counted(count.tables, "table"), counted(count.rows, "row"), *([size_human(size)] if size else [])]
        return f"{self._plan.target} was restored from {self._plan.stored.id}: {', '.join(what)}"

"""A restore of one database: find, verify, plan; only then touch the server: save, create, load, compare, place.

Invariants: nothing is created before the whole file was read and fits its metadata; what exists is touched only as
``on_existing`` says, and then only after the new content stands whole beside it, and after what goes was dumped; a
failure takes away what this run made (`journal`), never anything else, and leaves the target as it was; what a killed
restore left is settled by the next one to the same target; a claim in the ledger is taken just before the first touch,
so that a request made again from Git does not run again.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime

from vya_backupdb.domain import schema
from vya_backupdb.domain.errors import BackupDBError, Busy, RestoreFailed, StorageError, TargetExists
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import AccountReport, RunReport
from vya_backupdb.domain.undertaking import OnExisting, Undertaking
from vya_backupdb.domain.undertaking import Phase as Stage
from vya_backupdb.dumper import restore_report, safety
from vya_backupdb.dumper.accounts import PlannedUsers
from vya_backupdb.dumper.deliver import Delivery
from vya_backupdb.dumper.events import Noted, RunEnded, RunStarted, Step, StepStarted
from vya_backupdb.dumper.journal import Journal, left_behind
from vya_backupdb.dumper.pipeline import Meter
from vya_backupdb.dumper.restore_plan import Plan, plan_restore, unfinished
from vya_backupdb.dumper.restore_report import Clock, Outcome
from vya_backupdb.dumper.restore_request import Request
from vya_backupdb.dumper.restore_users import both_phases, give_due, make_accounts, reported
from vya_backupdb.dumper.same_schema import require_same_rows, require_same_schema
from vya_backupdb.dumper.session import Session
from vya_backupdb.dumper.settling import Earlier, settle_target
from vya_backupdb.engines.base import Count, HeldLock
from vya_backupdb.engines.loading import LoadResult
from vya_backupdb.storage.ledger import ClaimState, Phase
from vya_backupdb.storage.tree import InstanceTree

_log = logging.getLogger(__name__)


def run_restore(
    session: Session, request: Request, deliver: Delivery, *, source: InstanceTree | None = None
) -> RunReport:
    """Restore what `request` asks for, and return the report, delivered. Raise what prevented it.

    `source` is the tree of the backup, where that is not the session's own. After an error everything that this run
    made on the server is gone again, unless that failed too: then the log names it, and the next restore settles it.
    """
    source = source or session.tree
    for tree in (source, session.tree):
        # before the run's lock, which would be a file in somebody else's tree
        tree.require_owner(session.app.owner)
    with session.tree.lock_run(request.run):
        report = _done_before(session, source, request)
        if report is None:
            session.say(RunStarted(request.run, "restore", (request.target,)))
            report = _restore(session, source, request)
        report = deliver(report)
    session.say(RunEnded(report))
    return report


def _done_before(session: Session, source: InstanceTree, request: Request) -> RunReport | None:
    """Return the report of this very restore, if it ended well before. Raise AlreadyExecuted if another one's did.

    Asked first of all: a target that was restored exists, and that is not what is to be said about it.
    """
    if request.claim is None:
        before = session.tree.run(request.run)
        return before if before and before.operation == "restore" and before.reason == ExitCode.OK.reason else None
    ledger, claim = source.ledger(), request.claim
    entry = ledger.look_up(claim.name)
    if entry is None:
        return None
    if entry.uid == claim.uid and entry.result is not None:
        return entry.result
    # past the point of no return the journal of this very run tells what became of it
    journalled = any(one.run == request.run for one in unfinished(session, request.target))
    if not (journalled and ledger.resume(claim.name, claim.uid, request.run)):
        ledger.claim(claim.name, claim.uid, request.run, now=session.tools.clock())
    return None


def _restore(session: Session, source: InstanceTree, request: Request) -> RunReport:
    """Settle what died, then plan and do it. The report is saved on the volume, that of a failure, too."""
    started_at = session.tools.clock()
    earlier = Earlier(source, request, started_at)
    try:
        settle_target(session, request.target, earlier.settled)
        report = earlier.result
        if report is None:
            with ExitStack() as held:
                plan = plan_restore(session, request, source, held)
                plan.require()
                report = _Restore(session, source, request, plan, started_at).do()
    except BackupDBError as error:
        _save(session, restore_report.failure(session, request, started_at, error))
        raise
    _save(session, report)
    return report


def _save(session: Session, report: RunReport) -> None:
    try:
        session.tree.save_run(report)
    except StorageError as error:
        _log.warning("the report of run %s could not be saved: %s", report.run, error.message)


class _Restore:
    """One restore under way, past its plan."""

    def __init__(
        self, session: Session, source: InstanceTree, request: Request, plan: Plan, started_at: datetime
    ) -> None:
        self._session, self._source, self._request, self._plan = session, source, request, plan
        self._engine, self._target = session.engine, plan.target
        self._clock = Clock(started_at, time.monotonic())
        self._claim: ClaimState | None = None
        self._loaded = LoadResult(0, 0, ())
        self._users: tuple[AccountReport, ...] = ()

    def do(self) -> RunReport:
        """Do it, under the target's lock, and return the final report."""
        check, wait = self._session.tools.stop.check, self._session.database.lock_wait_seconds
        with self._engine.lock(self._target, wait_seconds=wait, checkpoint=check) as lock:
            if unfinished(self._session, self._target):
                raise Busy(f"another restore to {self._target!r} died meanwhile", hint="Run it again: that settles it.")
            self._take_claim()
            self._warn(self._plan.warnings)
            saved = self._save_former(lock)
            planned = self._plan.accounts.plan() if self._plan.accounts else None
            journal = self._begin(planned)
            try:
                self._make(journal, lock, saved, planned)
            except BaseException as error:
                # the server decides: a swap whose answer was lost may have happened
                settled = self._settle(journal)
                self._warn(journal.warnings)
                if not settled or not isinstance(error, BackupDBError):
                    raise
            else:
                settled = self._settle(journal)
            return self._end(journal, settled=settled)

    def _take_claim(self) -> None:
        claim = self._request.claim
        if claim is not None:
            now = self._session.tools.clock()
            self._claim = self._source.ledger().claim(claim.name, claim.uid, self._request.run, now=now)

    def _advance(self, phase: Phase) -> None:
        if self._claim is not None:
            self._claim.advance(phase)

    def _save_former(self, lock: HeldLock) -> str | None:
        """Dump what is about to be replaced; return the backup's id."""
        if not self._plan.saves:
            return None
        made = safety.save_former(self._session, self._request.run, self._plan.server, lock, self._target)
        self._session.say(Noted(f"the present {self._target} was saved as {made.stored.id}", self._target))
        return made.stored.id

    def _begin(self, planned: PlannedUsers | None) -> Journal:
        """Note what is about to be made, and what is due later. Notes of the accounts of earlier attempts end in it."""
        self._advance(Phase.LOADING)
        own_name = self._own_name()
        one = Undertaking(
            run=self._request.run,
            target=self._target,
            asked=self._request.asked,
            on_existing=self._request.on_existing,
            started_at=self._clock.started_at,
            server_identity=self._plan.server.info.identity,
            phase=Stage.CREATING,
            made=own_name if self._plan.beside else self._target,
            marker=own_name,
            users=self._plan.accounts.due(planned) if self._plan.accounts and planned else None,
        )
        journals = self._session.tree.undertakings()
        journal = Journal(journals, self._engine, one)
        for earlier in journals.of(self._target) if planned else ():
            if earlier.left_accounts and earlier.left_accounts <= one.begun:
                journals.remove(earlier.run)
        return journal

    def _own_name(self) -> str:
        return f"vya_{self._session.tools.random_hex()}"

    def _make(self, journal: Journal, lock: HeldLock, saved: str | None, planned: PlannedUsers | None) -> None:
        """Make the accounts, build the new content and put it in place."""
        if planned is not None:
            earlier = self._plan.accounts.begun if self._plan.accounts else ()
            result = make_accounts(self._session, planned, journal.began, earlier)
            self._warn(result.notes)
            self._users = reported(result)
        count = self._build(journal)
        lock.verify()
        self._session.tools.stop.check()
        self._place(journal, count, saved)

    def _build(self, journal: Journal) -> Count:
        """Create, load, apply what the dump lacks, and compare; return what is there."""
        made, marker = journal.one.made, journal.one.marker
        self._step(Step.CREATING)
        try:
            notes = self._engine.create(made, self._plan.settings, marker="" if self._plan.beside else marker)
        except TargetExists:
            journal.not_made()
            raise
        journal.made()
        self._load(made)
        self._step(Step.FINISHING)
        notes += self._engine.finish(made, self._plan.settings)
        self._warn(notes)
        self._step(Step.COMPARING)
        count = self._count(made, marker)
        require_same_rows(self._plan.expected, count, self._target)
        self._compare_schema(made, marker)
        return count

    def _count(self, made: str, marker: str) -> Count:
        """Return the rows of the tables: as they were before an event of the database began to change them."""
        if self._loaded.counted is None:
            return self._engine.count(made, without=marker)
        tables = tuple(one for one in self._loaded.counted if one.name != marker)
        return Count(len(tables), sum(one.rows or 0 for one in tables), tables)

    def _compare_schema(self, made: str, marker: str) -> None:
        """Raise RestoreFailed, naming the objects, if the schema lost something that the backup has; warn of the rest.

        Of a foreign file nothing is known, and of single tables the rest is not asked for.
        """
        metadata = self._plan.metadata
        if metadata is None or self._request.tables:
            return
        found = schema.without_table(self._engine.schema(made), marker)
        told = {one.name for one in self._loaded.transforms}
        self._warn(require_same_schema(metadata, found, self._target, transforms=told))

    def _place(self, journal: Journal, count: Count, saved: str | None) -> None:
        """Put what was made under the target's name: a point of no return only for the ledger, not for the journal."""
        made, placer = journal.one.made, self._engine.placer
        stays = self._plan.replaces and self._request.on_existing is OnExisting.RENAME
        kept = self._own_name() if self._plan.replaces else None
        swap = placer.prepare_swap(made, self._target, kept=kept, stays=stays) if self._plan.beside else None
        transforms = (*self._loaded.transforms, *self._plan.fitted.transforms)
        result = restore_report.success(
            self._session,
            self._request,
            self._plan,
            self._clock,
            Outcome(count, transforms, kept=kept if stays else None, saved=saved, users=self._users),
        )
        self._step(Step.PLACING)
        journal.placing(swap, result)
        self._advance(Phase.SWAPPING)
        self._warn(placer.swap(swap) if swap else ())

    def _settle(self, journal: Journal) -> bool:
        """Finish or undo, by what is on the server; return whether the new content is in its place."""
        try:
            done = journal.settle()
            if not done:
                if self._claim is not None:
                    self._claim.revert()
                journal.close(done=False)
        except BackupDBError as error:
            left_behind(error, journal.one)
            return False
        return done

    def _end(self, journal: Journal, *, settled: bool) -> RunReport:
        """Note the end, in this order: the ledger must know before the journal goes. Return the report."""
        report = journal.one.result
        if report is None:
            raise RestoreFailed("the restore ended without a result", hint="This is a bug; please report it.")
        report = self._give_due(journal, report)
        if self._claim is not None:
            self._claim.finish(report)
        if settled:
            journal.close(done=True)
        else:
            journal.told()
        return report

    def _give_due(self, journal: Journal, report: RunReport) -> RunReport:
        """Give the accounts what they may do in the database that is there now. If that fails, the journal stays."""
        if journal.one.users is None:
            return report
        try:
            given = reported(give_due(self._session, journal.one.users, self._target))
        except BackupDBError as error:
            raise type(error)(
                f"{self._target!r} was restored, but not what its accounts may do in it: {error.message}",
                hint="Give the same command again: it goes on from there.",
            ) from error
        return restore_report.with_users(report, both_phases(self._users, given))

    def _load(self, name: str) -> None:
        self._step(Step.LOADING, self._plan.source.raw_bytes)
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
        meter = Meter(self._session.say, name=self._target, kind="database", lock=None)
        for piece in self._plan.source.read():
            self._session.tools.stop.check()
            yield piece
            meter.passed(len(piece))

    def _warn(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            self._session.say(Noted(note, self._target, "warning"))

    def _step(self, step: Step, expected_bytes: int | None = None) -> None:
        self._session.tools.stop.check()
        self._session.say(StepStarted(self._target, "database", step, expected_bytes))

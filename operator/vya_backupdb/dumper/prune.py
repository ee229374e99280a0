"""Retention: plan what to delete, and delete exactly that.

The decisions are `domain.retention`'s. Here are the circumstances: the tree's owner, and, only if something would be
deleted, the database server's clock and identity. A server that does not answer freezes the deletion: a wrong clock of
ours could not be told from a right one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from vya_backupdb.domain.config import RetentionConfig
from vya_backupdb.domain.errors import Busy, RetentionFrozen, ServerError
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.report import RunReport, Totals
from vya_backupdb.domain.retention import Circumstances, Policy, RetentionPlan, Strategy, plan
from vya_backupdb.dumper.deliver import Delivery
from vya_backupdb.dumper.events import Noted
from vya_backupdb.dumper.progress import counted
from vya_backupdb.dumper.session import Session
from vya_backupdb.storage.catalog import StoredBackup

Opened = Callable[[], Session]


@dataclass(frozen=True, slots=True)
class Pruning:
    """A plan with what it is about. `refusal` is why its deletions must not be done, None if they may."""

    plan: RetentionPlan
    stored: dict[tuple[str, str], StoredBackup]
    refusal: RetentionFrozen | None


def policy_of(config: RetentionConfig) -> Policy:
    """Return the configured policy."""
    return Policy(
        strategy=Strategy(config.strategy),
        hourly=config.hourly_keep,
        daily=config.daily_keep,
        weekly=config.weekly_keep,
        monthly=config.monthly_keep,
        yearly=config.yearly_keep,
        keep_last=config.keep_last,
        minimum=config.minimum,
    )


def plan_retention(session: Session) -> Pruning:
    """Return what the configured policy would do now. Deletes nothing."""
    tree = session.tree
    stored = {one.summary(tree.layout).key: one for one in (*tree.backups(), *tree.users())}
    owner = tree.owner()
    stranger = owner if owner and session.app.owner and owner != session.app.owner else None
    known = Circumstances(tree_owner=stranger)
    decided = _decide(session, stored, Circumstances())
    if not decided.deletions or stranger:
        frozen = _decide(session, stored, known)
        return Pruning(frozen, stored, _refusal(frozen) if decided.deletions else None)
    try:
        skew, changed = _ask_server(session)
    except ServerError as error:
        return Pruning(decided, stored, _unreachable(error))
    asked = _decide(session, stored, Circumstances(clock_skew=skew, server_changed=changed))
    return Pruning(asked, stored, _refusal(asked))


def _ask_server(session: Session) -> tuple[timedelta, bool]:
    server = session.ask_server()
    session.tree.claim(session.app.owner, server.info.identity)
    return server.skew, bool(session.tree.frozen)


def _decide(
    session: Session, stored: dict[tuple[str, str], StoredBackup], circumstances: Circumstances
) -> RetentionPlan:
    return plan(
        (one.summary(session.tree.layout) for one in stored.values()),
        policy=policy_of(session.app.retention),
        schedule=session.app.schedule,
        time_zone=session.zone,
        now=session.tools.clock(),
        circumstances=circumstances,
    )


def _refusal(frozen: RetentionPlan) -> RetentionFrozen | None:
    if not frozen.frozen:
        return None
    reasons = "; ".join(one.reason for one in frozen.frozen)
    return RetentionFrozen(f"nothing was deleted: {reasons}", hint=" ".join(one.hint for one in frozen.frozen))


def _unreachable(error: ServerError) -> RetentionFrozen:
    return RetentionFrozen(
        f"nothing was deleted: the database server's clock could not be asked: {error.message}",
        hint="Mend the connection; retention goes on by itself.",
    )


def apply_retention(session: Session, run: RunId, deliver: Delivery, show: Callable[[Pruning], None]) -> RunReport:
    """Delete exactly what the plan says, and return the report, delivered; `show` gets the plan before it is done.

    Raise RetentionFrozen if it must not be done, a StorageError if a deletion fails; those done are done then.
    """
    tree, started = session.tree, session.tools.clock()
    with tree.lock_run(run):
        for text in tree.recover():
            session.say(Noted(text))
        pruning = plan_retention(session)
        show(pruning)
        deliver.save = tree.save_run
        if pruning.refusal is not None:
            raise pruning.refusal
        doomed = pruning.plan.deletions if session.app.retention.cleanup_enabled else ()
        deleted = sum(_delete(session, pruning.stored[backup.key]) for backup in doomed)
        kept = len(pruning.plan.decisions) - deleted
        return deliver(
            RunReport(
                operation="retention",
                run=run,
                reason=ExitCode.OK.reason,
                message=_message(session.app.retention, len(pruning.plan.deletions), deleted, kept),
                exit_code=ExitCode.OK,
                started_at=started,
                finished_at=session.tools.clock(),
                totals=Totals(kept=kept, deleted=deleted),
            )
        )


def _delete(session: Session, stored: StoredBackup) -> bool:
    """Delete `stored`; return False if somebody reads it: then it stays until the next run."""
    session.tools.stop.check()
    try:
        session.tree.delete(stored)
    except Busy as error:
        session.say(Noted(error.message, stored.database or "", "warning"))
        return False
    return True


def _message(config: RetentionConfig, planned: int, deleted: int, kept: int) -> str:
    if planned and not config.cleanup_enabled:
        return f"cleanup_enabled is false: {counted(planned, 'backup')} would have been deleted, {kept} kept"
    said = f"{counted(deleted, 'backup')} deleted, {kept} kept"
    return f"{said}, {planned - deleted} of them only until nobody reads them" if deleted < planned else said

"""Retention: plan what to delete, and delete exactly that.

The decisions are `domain.retention`'s. Here are the circumstances: the tree's owner, and, only if something would be
deleted, the database server's clock and identity. A server that does not answer freezes the deletion: a wrong clock of
ours could not be told from a right one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from vya_backupdb.domain.brake import Brake
from vya_backupdb.domain.config_retention import RetentionConfig
from vya_backupdb.domain.errors import BackupCorrupt, BackupPinned, Busy, RetentionFrozen, ServerError
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.freeze import Circumstances
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.report import Finding, RunReport, Totals
from vya_backupdb.domain.retention import Action, Policy, RetentionPlan, Strategy, plan
from vya_backupdb.domain.series import ANOMALY, Backup
from vya_backupdb.dumper.deliver import Delivery
from vya_backupdb.dumper.events import Noted
from vya_backupdb.dumper.judged import Judged, judge
from vya_backupdb.dumper.progress import counted
from vya_backupdb.dumper.session import Session
from vya_backupdb.storage.catalog import StoredBackup

Opened = Callable[[], Session]


@dataclass(frozen=True, slots=True)
class Pruning:
    """A plan with what it is about. `refusal` is why its deletions must not be done, None if they may.

    `now` is the time for which it was made: of the server's clock where that was asked. What is done by it goes by the
    same time, because our own clock may jump after it was compared.
    """

    plan: RetentionPlan
    judged: Judged
    refusal: RetentionFrozen | None
    now: datetime


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
        safety_days=config.safety_keep_days,
    )


def plan_retention(session: Session) -> Pruning:
    """Return what the configured policy would do now. Deletes nothing."""
    tree = session.tree
    now = session.tools.clock()
    judged = judge(tree, session.app.retention.anomaly, now=now)
    owner = tree.owner()
    stranger = owner if owner and session.app.owner and owner != session.app.owner else None
    known = Circumstances(tree_owner=stranger, notes_problem=judged.problem)
    decided = decide(session, judged, Circumstances(), now)
    would_delete = bool(decided.deletions or decided.braked)
    if not would_delete or stranger or judged.problem:
        frozen = decide(session, judged, known, now)
        return Pruning(frozen, judged, _refusal(frozen) if would_delete else None, now)
    try:
        server = session.ask_server()
    except ServerError as error:
        return Pruning(decided, judged, _unreachable(error), now)
    session.tree.claim(session.app.owner, server.info.identity)
    circumstances = Circumstances(clock_skew=server.skew, server_changed=bool(session.tree.frozen))
    asked = decide(session, judged, circumstances, server.now())
    return Pruning(asked, judged, _refusal(asked), server.now())


def decide(session: Session, judged: Judged, circumstances: Circumstances, now: datetime) -> RetentionPlan:
    """Return the plan for `judged` by the configured rules, as of `now`; asks nobody."""
    return plan(
        judged.backups.values(),
        policy=policy_of(session.app.retention),
        schedule=session.app.schedule,
        time_zone=session.zone,
        now=now,
        circumstances=circumstances,
        brake=Brake(session.app.retention.max_delete_percent, judged.notes.accepted_deletions),
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


def apply_retention(
    session: Session,
    run: RunId,
    deliver: Delivery,
    show: Callable[[Pruning], None],
    done: Callable[[Sequence[Backup]], None] = lambda _deleted: None,
) -> RunReport:
    """Delete exactly what the plan says, and return the report, delivered.

    `show` gets the plan before it is done, `done` what was deleted, before the report goes out.

    What changed since the plan, or was pinned, is left alone, and told. Raise RetentionFrozen if nothing may be done, a
    StorageError if a deletion fails; those done are done then.
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
        doomed = _in_order(pruning.plan.deletions) if session.app.retention.cleanup_enabled else []
        left = _delete_all(session, pruning, doomed)
        done([backup for backup, why in zip(doomed, left, strict=True) if not why])
        return deliver(_report(session, run, started, pruning, left))


def _in_order(doomed: Sequence[Backup]) -> list[Backup]:
    """Return `doomed`, the users and roles last: what becomes of them depends on the databases of their runs."""
    return sorted(doomed, key=lambda backup: backup.series.is_users)


def _delete_all(session: Session, pruning: Pruning, doomed: Sequence[Backup]) -> list[str]:
    """Delete `doomed` one after the other; return for each why it was left alone, or ''."""
    left: list[str] = []
    staying: dict[str, str] = {}  # by runs: a database's backup that was left alone, of which the users are a part
    for backup in doomed:
        partner = staying.get(backup.run_id) if backup.series.is_users else None
        if partner:
            why = f"{backup.id} is not deleted: it has the users of the run that made {partner}, which stays"
            session.say(Noted(why, level="warning"))
        else:
            why = _delete(session, pruning, pruning.judged.stored[backup.key])
        if why and backup.run_id:
            staying.setdefault(backup.run_id, backup.id)
        left.append(why)
    return left


def _delete(session: Session, pruning: Pruning, stored: StoredBackup) -> str:
    """Delete `stored` and return '', or why it is left alone. Raise StorageUnavailable if the volume fails."""
    session.tools.stop.check()
    try:
        session.tree.delete(stored, now=pruning.now, planned_by=pruning.judged.notes)
    except (BackupCorrupt, BackupPinned, Busy) as error:
        session.say(Noted(error.message, stored.database or "", "warning"))
        return error.message
    return ""


def _report(session: Session, run: RunId, started: datetime, pruning: Pruning, left: Sequence[str]) -> RunReport:
    """Return the report; `left` holds, for each deletion that was tried, why it was not done, or ''."""
    planned, deleted = len(pruning.plan.deletions), left.count("")
    anomalies = [_finding(one) for one in pruning.judged.anomalies]
    alone = [Finding(reason="LeftAlone", message=text, blocking=False) for text in left if text]
    kept = _kept(session, pruning.plan) + planned - deleted
    return RunReport(
        operation="retention",
        run=run,
        reason=ExitCode.OK.reason,
        message=_message(session.app.retention, planned, deleted, kept) + _waiting(len(anomalies)),
        exit_code=ExitCode.OK,
        started_at=started,
        finished_at=session.tools.clock(),
        totals=Totals(kept=kept, deleted=deleted),
        findings=(*anomalies, *alone),
    )


def _kept(session: Session, decided: RetentionPlan) -> int:
    """Return how many backups of this policy's own schedule the plan keeps.

    A volume holds other schedules' backups too, and safety dumps: whoever reads "kept" of one schedule means its own.
    """
    own = (
        one.action is Action.KEEP and one.backup.good and not one.backup.is_safety_dump
        for one in decided.decisions
        if one.backup.series.schedule == session.app.schedule
    )
    return sum(own)


def _finding(backup: Backup) -> Finding:
    name = backup.series.database_name
    whose = "users and roles" if name is None else f"the database {name!r}"
    text = f"{backup.id} of {whose}: {backup.anomaly}; older backups are kept until 'retention accept'"
    return Finding(reason=ANOMALY, message=text, blocking=False)


def _waiting(anomalies: int) -> str:
    """Return what is to be known of so many findings, for a reader of the message alone."""
    one = "anomaly waits" if anomalies == 1 else "anomalies wait"
    return f"; {anomalies} {one} for 'retention accept'" if anomalies else ""


def _message(config: RetentionConfig, planned: int, deleted: int, kept: int) -> str:
    if planned and not config.cleanup_enabled:
        return f"cleanup_enabled is false: {counted(planned, 'backup')} would have been deleted, {kept} kept"
    said = f"{counted(deleted, 'backup')} deleted, {kept} kept"
    return f"{said}, {planned - deleted} of them left alone though planned" if deleted < planned else said

"""What the runs of a schedule mean: its conditions about them, and the Events when one was counted just now."""

from collections.abc import Mapping
from typing import Any

from vya_backupdb.domain.series import ANOMALY
from vya_backupdb.reconcile.conditions import Wanted, find, keep
from vya_backupdb.reconcile.outcome import Outcome
from vya_backupdb.reconcile.reasons import GOOD, Reason
from vya_backupdb.reconcile.runs import Counted
from vya_backupdb.reconcile.text import clean, word
from vya_backupdb.reconcile.world import Action, Announcement, CreateJob, Status


def last_backup(old: Status, counted: Mapping[str, Any]) -> Wanted:
    """Return condition LastBackupSucceeded: the newest run that ended."""
    last = counted.get("lastRun") or {}
    if not last:
        return keep(
            old, "LastBackupSucceeded", Wanted("LastBackupSucceeded", None, Reason.NEVER_RUN, "no run has ended")
        )
    return _ended_as("LastBackupSucceeded", last)


def last_retention(counted: Mapping[str, Any]) -> Wanted | None:
    """Return condition LastRetentionSucceeded once a retention has ended: where it fails, the volume fills."""
    last = counted.get("lastRetention") or {}
    return _ended_as("LastRetentionSucceeded", last) if last else None


def plausible(old: Status, retention: Counted) -> Wanted | None:
    """Return condition Plausible: what the newest retention that succeeded found. One that failed found nothing out."""
    unknown = Wanted("Plausible", None, Reason.NEVER_RUN, "no retention has ended")
    end = retention.new[-1] if retention.new else None
    if end is None or not end.succeeded or end.report is None:
        return keep(old, "Plausible", unknown) if find(old, "Plausible") else None
    found = [one.message for one in end.report.findings if one.reason == ANOMALY]
    if found:
        return Wanted("Plausible", False, Reason.ANOMALY, clean("; ".join(found)))
    return Wanted("Plausible", True, Reason.NO_ANOMALY, "no backup looks unlike those before it")


def odd(old: Status, plausible: Wanted | None) -> tuple[Announcement, ...]:
    """Return the Event for anomalies that were not told before."""
    before = find(old, "Plausible") or {}
    if plausible is None or plausible.status is not False or before.get("message") == plausible.message:
        return ()
    return (Announcement("AnomalyFound", plausible.message, warning=True),)


def runs(backups: Counted, retention: Counted, trigger: tuple[Action, ...]) -> tuple[Announcement, ...]:
    """Return the Events for the runs that were counted just now and for the Job that is made now."""
    started = tuple(
        Announcement("BackupStarted", f"Job {one.manifest['metadata']['name']} answers spec.manualTrigger")
        for one in trigger
        if isinstance(one, CreateJob)
    )
    ended = tuple(_backup(end) for end in backups.new)
    failed = tuple(
        Announcement("RetentionFailed", f"{end.run}: {end.result}: {end.message}", warning=True)
        for end in retention.new
        if not end.succeeded
    )
    return (*started, *ended, *failed)


def _ended_as(type_: str, last: Mapping[str, Any]) -> Wanted:
    result = str(last.get("result"))
    # a status may have been written by hand; the API server would refuse a reason that is no word, and all beside it
    reason = word(result) or Reason.JOB_FAILED
    return Wanted(type_, result in GOOD, reason, f"{last.get('run')}: {last.get('message', '')}")


def _backup(end: Outcome) -> Announcement:
    if end.succeeded:
        return Announcement("BackupSucceeded", f"{end.run}: {end.message}")
    return Announcement("BackupFailed", f"{end.run}: {end.result}: {end.message}", warning=True)

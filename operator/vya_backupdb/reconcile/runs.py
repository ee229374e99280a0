"""Finished Jobs into a schedule's status: each run once, whatever its Job's fate afterwards.

A run is its Job's name. What the history holds has been counted; what is older than a full history was. So counting is
a merge, not an addition: doing it again, also by another operator or after a crash, changes nothing. Deleting a Job
never takes its run out of the status; one that is deleted while it runs is a run that failed. A Job that was made after
a run of its name had ended is another one: somebody gave the name twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import DatabaseRow
from vya_backupdb.domain.schedule import scheduled_time
from vya_backupdb.domain.specs_schedule import MAX_DATABASE_ROWS, MAX_HISTORY_ROWS
from vya_backupdb.reconcile.conditions import find, parse_time, timestamp
from vya_backupdb.reconcile.outcome import Outcome, outcome
from vya_backupdb.reconcile.reasons import Reason
from vya_backupdb.reconcile.status import compact
from vya_backupdb.reconcile.text import clean
from vya_backupdb.reconcile.world import JobView, Status

USERS = "(users)"
_RESULTS = {"success": "Succeeded", "failed": "Failed", "skipped": "Skipped", "running": "Failed"}


@dataclass(frozen=True, slots=True)
class Counted:
    """The fields of a status after counting, and the runs that were counted just now."""

    fields: Mapping[str, Any]
    new: tuple[Outcome, ...] = field(default=())


def count_backups(old: Status, jobs: Iterable[JobView], *, cron_job: str, now: datetime) -> Counted:
    """Return lastRun, databases, history and lastSuccessfulTime with each finished one of `jobs` counted once."""
    jobs = tuple(jobs)
    history = [one for one in old.get("history") or () if isinstance(one, Mapping) and one.get("run")]
    floor = _time(history[-1].get("completionTime")) if len(history) >= MAX_HISTORY_ROWS else ""
    ends = (_explained(old, outcome(job)) for job in jobs if job.over and not _told(history, job, now))
    new = sorted((end for end in ends if timestamp(end.finished) > floor), key=lambda end: (end.finished, end.run))
    new = [*_lost(old, jobs, known={one["run"] for one in history}, before=new, now=now), *new]
    fields: dict[str, Any] = {
        "lastRun": old.get("lastRun"),
        "databases": old.get("databases"),
        "lastSuccessfulTime": old.get("lastSuccessfulTime"),
    }
    for end in new:
        fields.update(_counted(fields, end, cron_job=cron_job))
        history.append(_summary(end, cron_job=cron_job))
    history.sort(key=lambda one: (_time(one.get("completionTime")), one["run"]), reverse=True)
    return Counted({**fields, "history": history[:MAX_HISTORY_ROWS]}, tuple(new))


def count_retention(old: Status, jobs: Iterable[JobView]) -> Counted:
    """Return lastRetention: the newest finished one of `jobs`, or what it was."""
    last = old.get("lastRetention") or {}
    ends = [outcome(job) for job in jobs if job.over and job.name != last.get("run")]
    new = [end for end in ends if timestamp(end.finished) >= _time(last.get("completionTime"))]
    if not new:
        return Counted({"lastRetention": last})
    end = max(new, key=lambda one: (one.finished, one.run))
    totals = end.report.totals if end.report else None
    entry = {
        "run": end.run,
        "result": end.result,
        "completionTime": timestamp(end.finished),
        "message": end.message,
        "kept": totals.kept if totals else None,
        "deleted": totals.deleted if totals else None,
    }
    return Counted({"lastRetention": compact(entry)}, (end,))


def counted_before(old: Status, job: JobView, *, now: datetime) -> bool:
    """Whether `old` already tells of `job`, so that the Job itself may go."""
    history = [one for one in old.get("history") or () if isinstance(one, Mapping)]
    if _told(history, job, now):
        return True
    full = len(history) >= MAX_HISTORY_ROWS
    ended = timestamp(job.finished or job.created)
    return full and ended <= _time(history[-1].get("completionTime"))


def _told(history: Iterable[Mapping[str, Any]], job: JobView, now: datetime) -> bool:
    """Whether `history` has the run of this very `job`, not of an earlier one of its name.

    A Job that is yet to be made, by a clock that jumped, is told by its name alone.
    """
    born, started = timestamp(job.created), timestamp(job.started or job.created)
    mine = [one for one in history if one.get("run") == job.name]
    if job.created > now:
        return bool(mine)
    # within one second one Job of a name may end and the next be made
    spans = [(_time(one.get("startTime")), _time(one.get("completionTime"))) for one in mine]
    return any(begin == started or end > born or not end for begin, end in spans)


def _lost(
    old: Status, jobs: Iterable[JobView], *, known: set[Any], before: list[Outcome], now: datetime
) -> list[Outcome]:
    """Return the end of each run that was seen to go on and whose Job is gone: nobody saw how it ended.

    They ended before what is counted `before` now began, or just now.
    """
    there = {job.name for job in jobs}
    gone = [str(one) for one in old.get("active") or () if one not in there and one not in known]
    ended = min([now, *(end.started for end in before)])
    text = "Job {} was deleted before anybody saw its end; what it left is told by its report on the volume alone"
    return [
        Outcome(name, "", False, Reason.REPORT_LOST.value, text.format(name), ended, ended, None)
        for name in sorted(gone)
    ]


def _explained(old: Status, end: Outcome) -> Outcome:
    """Return `end`, with what was known of the Job before where it died of its deadline without a word."""
    flag = find(old, "Stalled") or {}
    about, _, cause = str(flag.get("message") or "").partition(": ")
    if end.reported or end.result != ExitCode.DEADLINE_EXCEEDED.reason or about != f"Job {end.run}" or not cause:
        return end
    return replace(end, message=clean(f"{end.message}; before, it was held up: {cause}"))


def _counted(fields: Mapping[str, Any], end: Outcome, *, cron_job: str) -> dict[str, Any]:
    """Return the fields that `end` changes: all of them if it is the newest run, else the last success at most."""
    ended = timestamp(end.finished)
    changed: dict[str, Any] = {}
    if end.succeeded:
        changed["lastSuccessfulTime"] = max(_backed_up(end), _time(fields.get("lastSuccessfulTime")))
    if ended >= _time((fields.get("lastRun") or {}).get("completionTime")):
        omitted = end.report.omitted if end.report else 0
        code = end.report.exit_code if end.report and end.reported else None
        extra = {"exitCode": code, "message": end.message, "omitted": omitted or None}
        changed["lastRun"] = {**_summary(end, cron_job=cron_job), **compact(extra)}
        changed["databases"] = _rows(fields.get("databases") or (), end, complete=end.reported and not omitted)
    return changed


def _backed_up(end: Outcome) -> str:
    """Return when the backups of a run that succeeded were made: one that found them done made none now."""
    if end.result == Reason.ALREADY_DONE and end.report is not None and end.report.finished_at is not None:
        return timestamp(min(end.report.finished_at, end.finished))
    return timestamp(end.finished)


def _summary(end: Outcome, *, cron_job: str) -> dict[str, Any]:
    totals = end.report.totals if end.report else None
    scheduled = scheduled_time(end.run, cron_job=cron_job) is not None
    return compact(
        {
            "run": end.run,
            "trigger": "Scheduled" if scheduled else "Manual",
            "result": end.result,
            "startTime": timestamp(end.started),
            "completionTime": timestamp(end.finished),
            "databases": totals.databases if totals else None,
            "succeeded": totals.succeeded if totals else None,
            "failed": totals.failed if totals else None,
            "sizeBytes": totals.size_bytes if totals else None,
        }
    )


def _rows(old: Iterable[Any], end: Outcome, *, complete: bool) -> list[dict[str, Any]]:
    """Return the rows with those of `end` in them; without the others if its report told of every database."""
    before = {str(one.get("name")): dict(one) for one in old if isinstance(one, Mapping)}
    rows = {} if complete and end.rows else dict(before)
    for row in end.rows:
        name = USERS if row.kind == "users" else row.name
        rows[name] = _row(name, row, before.get(name, {}), end)
    ordered = sorted(rows.values(), key=lambda one: (one.get("result") == "Succeeded", one.get("name", "")))
    return ordered[:MAX_DATABASE_ROWS]


def _row(name: str, row: DatabaseRow, before: Mapping[str, Any], end: Outcome) -> dict[str, Any]:
    if row.status == "skipped" and before.get("result") == "Succeeded" and not row.reason:
        return dict(before)
    ended = timestamp(row.finished_at or end.finished)
    unfinished = row.status == "running"
    return compact(
        {
            "name": name[:1024],
            "result": _RESULTS[row.status],
            "backup": row.backup_id,
            "sizeBytes": row.size_bytes,
            "durationSeconds": round(row.duration_seconds) if row.duration_seconds is not None else None,
            "completionTime": ended,
            "lastSuccessfulTime": ended if row.status == "success" else before.get("lastSuccessfulTime"),
            "reason": end.result if unfinished else clean(row.reason, 100),
            "error": end.message if unfinished else clean(row.error),
        }
    )


def _time(text: Any) -> str:
    """Return `text` as a timestamp that sorts, or an empty text, which sorts first."""
    moment: datetime | None = parse_time(text)
    return timestamp(moment) if moment else ""

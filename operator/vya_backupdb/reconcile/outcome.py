"""How a finished Job ended: its own report first, then the exit code, then what the Job controller says.

Success needs both witnesses: the Job is Complete, and a report of this very run says so. A Complete Job without a
report is ``ReportLost``: a program that was replaced by another, or a node that died at the wrong moment, has proved
nothing. Several pods of one Job are one run: a later pod's row wins, except that a skipped row leaves a success alone.
"""

from dataclasses import dataclass
from datetime import datetime

from vya_backupdb.domain import exitcodes
from vya_backupdb.domain.report import DatabaseRow, RunReport, parse_report
from vya_backupdb.reconcile.reasons import Reason
from vya_backupdb.reconcile.text import clean, word
from vya_backupdb.reconcile.world import JobState, JobView, PodView, Trouble


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one run. `result` is ``Succeeded`` or the reason of the failure; `rows` are merged over its pods."""

    run: str
    uid: str
    succeeded: bool
    result: str
    message: str
    started: datetime
    finished: datetime
    report: RunReport | None
    rows: tuple[DatabaseRow, ...] = ()
    reported: bool = False


def outcome(job: JobView) -> Outcome:
    """Return how `job`, which is over, ended."""
    pods = sorted((pod for pod in job.pods if pod.exit_code is not None), key=lambda pod: pod.finished or pod.created)
    said = [_report(job, pod) for pod in pods]
    reports = [report for report in said if report is not None]
    last = reports[-1] if reports else None
    # the last pod's end decides, not an earlier pod's report; and a report that was not finished proves nothing
    told = said[-1] if said and said[-1] is not None and said[-1].finished_at else None
    succeeded, result, message = _judge(job, pods[-1] if pods else None, told)
    if job.beside:
        message = clean(f"{message}; container {', '.join(job.beside)}, put beside the dumper, runs on after it")
    started = job.started or job.created
    return Outcome(
        run=job.name,
        uid=job.uid,
        succeeded=succeeded,
        result=result,
        message=message,
        started=started,
        finished=job.finished or started,
        report=last,
        rows=_rows(reports),
        reported=told is not None,
    )


def last_failure(job: JobView) -> Trouble | None:
    """Return why the newest ended pod of `job`, which goes on, failed; None where none has."""
    ended = [pod for pod in job.pods if pod.exit_code not in (None, 0)]
    if not ended:
        return None
    pod = max(ended, key=lambda one: one.finished or one.created)
    told = _report(job, pod)
    if told is not None and told.finished_at is not None and told.exit_code != 0:
        return Trouble(_known(told.reason, told.exit_code), clean(told.message))
    return Trouble(*_by_exit(job, pod))


def _report(job: JobView, pod: PodView) -> RunReport | None:
    report = parse_report(pod.message) if pod.message else None
    return report if report is not None and report.run == job.name else None


def _judge(job: JobView, pod: PodView | None, told: RunReport | None) -> tuple[bool, str, str]:
    if told is not None and told.exit_code != 0:
        return False, _known(told.reason, told.exit_code), clean(told.message)
    if job.state is JobState.COMPLETE and told is not None:
        done = Reason.ALREADY_DONE if told.reason == Reason.ALREADY_DONE else Reason.SUCCEEDED
        return True, done.value, clean(told.message)
    if job.state is JobState.COMPLETE:
        return False, Reason.REPORT_LOST.value, f"Job {job.name} ended without a report, so nothing is proved"
    if job.why == "DeadlineExceeded":
        return False, exitcodes.ExitCode.DEADLINE_EXCEEDED.reason, f"Job {job.name} did not end in its time"
    if pod is None:
        return False, Reason.REPORT_LOST.value, f"Job {job.name} failed and left no report ({_why(job)})"
    return False, *_by_exit(job, pod)


def _by_exit(job: JobView, pod: PodView) -> tuple[str, str]:
    code = pod.exit_code
    if pod.end_reason == "OOMKilled":
        return Reason.OUT_OF_MEMORY.value, "the dumper ran out of memory; raise spec.job.resources.limits.memory"
    if pod.end_reason == "Evicted":
        return Reason.EVICTED.value, f"pod {pod.name} was evicted from its node"
    if code in (137, 143):
        return Reason.KILLED.value, f"pod {pod.name} was killed (exit code {code}) before it could report"
    known = exitcodes.of(code) if code is not None else None
    if known is not None and known is not exitcodes.ExitCode.OK:
        return known.reason, f"{known.meaning} (exit code {code}, no report)"
    return Reason.JOB_FAILED.value, f"pod {pod.name} ended with exit code {code} and no report ({_why(job)})"


def _why(job: JobView) -> str:
    return f"{job.why}: {job.detail}" if job.detail else job.why or "no reason given"


def _known(reason: str, code: int) -> str:
    """Return the code's own reason: the report is text, the code is the contract.

    A check's code says only that something was found; what, says the report.
    """
    member = exitcodes.of(code)
    if member is None or member is exitcodes.ExitCode.CHECK_FAILED:
        return word(reason) or (member.reason if member else Reason.JOB_FAILED.value)
    return member.reason


def _rows(reports: list[RunReport]) -> tuple[DatabaseRow, ...]:
    merged: dict[tuple[str, str], DatabaseRow] = {}
    for report in reports:
        for row in report.databases:
            before = merged.get((row.kind, row.name))
            if row.status == "skipped" and before is not None and before.status == "success":
                continue
            merged[row.kind, row.name] = row
    return tuple(merged.values())

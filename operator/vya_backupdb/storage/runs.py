"""``.runs/``: what became of the last 100 runs, and the locks of those that live.

``{run}.json`` is the run's report, replaced in one step each time it is saved; ``{run}/`` holds the metadata of its
failures; ``{run}.lock`` is held while the run lives; ``{run}.restore`` is a restore's journal (`undertakings`).
A damaged report is no report: nothing rests on it but display and the question whether a run is done already.
"""

import stat
from typing import Final

from vya_backupdb.domain import ids, layout
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.metadata import BackupMetadata
from vya_backupdb.domain.report import RunReport, parse_report
from vya_backupdb.storage.volume import Directory

KEPT: Final = 100
LIMIT_BYTES: Final = 64 << 20
LOCK: Final = ".lock"
JOURNAL: Final = ".restore"
_REPORT: Final = ".json"


def save(runs: Directory, report: RunReport) -> None:
    """Put `report` under its run's name, and drop the oldest beyond the last 100; the caller holds the tree's lock."""
    name = f"{report.run}{_REPORT}"
    is_new = runs.stat(name) is None
    runs.replace(name, report.model_dump_json(indent=2, exclude_none=True).encode() + b"\n")
    if is_new:
        _prune(runs, keep=report.run)


def _prune(runs: Directory, *, keep: str) -> None:
    """Drop all but the last runs, by when they were last written to; failures without a report count as a run."""
    last: dict[str, int] = {}
    for name in runs.names():
        found, run = runs.stat(name), name.removesuffix(_REPORT)
        if found is not None and run != keep and _is_ours(name, found.st_mode):
            last[run] = max(last.get(run, 0), found.st_mtime_ns)
    for run in sorted(last, key=lambda run: (last[run], run))[: max(0, len(last) + 1 - KEPT)]:
        _remove_failures(runs, run)
        runs.unlink(f"{run}{_REPORT}")


def _is_ours(name: str, mode: int) -> bool:
    """Whether it is a report, or a run's directory of failures; whatever else somebody put there stays there."""
    if not ids.is_run_id(name.removesuffix(_REPORT)):
        return False
    return stat.S_ISREG(mode) if name.endswith(_REPORT) else stat.S_ISDIR(mode)


def _remove_failures(runs: Directory, name: str) -> None:
    found = runs.stat(name)
    if found is None or not stat.S_ISDIR(found.st_mode):
        return
    with runs.child(name) as failures:
        for entry in failures.names():
            if entry.endswith((layout.METADATA, f"{layout.METADATA}.new")):
                failures.unlink(entry)
    runs.remove_directory(name)


def save_failure(runs: Directory, run: RunId, name: str, metadata: BackupMetadata) -> None:
    """Put the metadata of a backup that failed under ``{run}/{name}``; the caller holds the tree's lock."""
    with runs.child(run, create=True) as failures:
        failures.replace(name, metadata.to_json())


def load(runs: Directory, run: str) -> RunReport | None:
    """Return the report of `run`; None if there is none, or it is damaged."""
    try:
        return parse_report(runs.read(f"{run}{_REPORT}", limit=LIMIT_BYTES))
    except FileNotFoundError:
        return None


def load_all(runs: Directory) -> list[RunReport]:
    """Return all reports that can be read, oldest first."""
    found = (load(runs, name.removesuffix(_REPORT)) for name in runs.names() if _is_report(name))
    return sorted((report for report in found if report), key=lambda report: (report.started_at, report.run))


def _is_report(name: str) -> bool:
    return name.endswith(_REPORT) and not name.startswith(".")

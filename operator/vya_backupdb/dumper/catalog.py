"""What there is: each database's last backup and how its last attempt ended, from the volume alone.

No server is asked, so that a list works when it is needed most. A database is known by its backups, by the reports of
the last runs, or by being named in the configuration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.report import DatabaseRow, RunReport
from vya_backupdb.dumper.events import Kind
from vya_backupdb.dumper.run import GLOB
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.tree import InstanceTree


class Status(StrEnum):
    """How a database stands. `PARTIAL`: there are backups, and damaged ones among them."""

    NEVER = "never"
    SUCCESS = "success"
    FAILED = "failed"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Entry:
    """One database, or the users file (`name` ''). `error` is why the last attempt failed, '' if it did not."""

    kind: Kind
    name: str
    status: Status
    last: StoredBackup | None
    count: int
    corrupt: int
    size_bytes: int
    error: str = ""


def entries(tree: InstanceTree, database: DatabaseConfig) -> list[Entry]:
    """Return an entry for each known database, sorted by name, the users file last."""
    stored: dict[tuple[Kind, str], list[StoredBackup]] = {}
    for one in tree.backups():
        stored.setdefault(("database", one.database or one.id), []).append(one)
    stored["users", ""] = tree.users()
    attempts = _last_attempts(tree.runs())
    named: set[tuple[Kind, str]] = {
        ("database", name) for name in database.include_databases if not GLOB.intersection(name)
    }
    keys = {key for key in {*stored, *attempts, *named} if key[0] == "database" or database.users or stored[key]}
    ordered = sorted(keys, key=lambda key: (key[0] == "users", key[1]))
    return [_entry(kind, name, stored.get((kind, name), []), attempts.get((kind, name))) for kind, name in ordered]


def last_failure(tree: InstanceTree) -> RunReport | None:
    """Return the last backup run's report if it failed before it came to any database; None otherwise."""
    backups = [run for run in tree.runs() if run.operation == "backup"]
    last = backups[-1] if backups else None
    return last if last is not None and last.exit_code and not last.databases else None


def _last_attempts(runs: Sequence[RunReport]) -> dict[tuple[Kind, str], DatabaseRow]:
    """Return each name's row of the last backup run that has one; `runs` are oldest first."""
    rows: dict[tuple[Kind, str], DatabaseRow] = {}
    for run in runs:
        if run.operation == "backup":
            rows.update({(row.kind, row.name): row for row in run.databases if row.status in {"success", "failed"}})
    return rows


def _entry(kind: Kind, name: str, stored: Sequence[StoredBackup], attempt: DatabaseRow | None) -> Entry:
    good = [one for one in stored if one.problem is None]
    sizes = (one.metadata.file_info.size_bytes for one in good if one.metadata and one.metadata.file_info)
    failed = attempt is not None and attempt.status == "failed"
    return Entry(
        kind=kind,
        name=name,
        status=_status(bool(good), failed=failed, corrupt=len(good) < len(stored)),
        last=good[-1] if good else None,
        count=len(good),
        corrupt=len(stored) - len(good),
        size_bytes=sum(sizes),
        error=f"{attempt.reason}: {attempt.error}" if attempt is not None and failed else "",
    )


def _status(has_backups: bool, *, failed: bool, corrupt: bool) -> Status:
    if failed:
        return Status.FAILED
    if corrupt:
        return Status.PARTIAL
    return Status.SUCCESS if has_backups else Status.NEVER

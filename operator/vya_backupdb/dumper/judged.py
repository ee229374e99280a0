"""The backups of an instance with all that bears on them, pins, anomalies, damage: what retention looks at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from vya_backupdb.domain import anomaly
from vya_backupdb.domain.anomaly import Thresholds
from vya_backupdb.domain.config_retention import AnomalyConfig
from vya_backupdb.domain.errors import StorageError
from vya_backupdb.domain.metadata import BackupMetadata
from vya_backupdb.domain.notes import Notes
from vya_backupdb.domain.series import Backup, Measures
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.tree import InstanceTree

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Judged:
    """The backups by their keys, as they lie there and as retention sees them; `problem`: why no pin is known."""

    stored: Mapping[Key, StoredBackup]
    backups: Mapping[Key, Backup]
    notes: Notes
    problem: str = ""

    @property
    def anomalies(self) -> list[Backup]:
        """Those with a finding that nobody accepted yet, oldest first."""
        return sorted((one for one in self.backups.values() if one.anomaly), key=lambda one: (one.instant, one.id))


def judge(tree: InstanceTree, config: AnomalyConfig, *, now: datetime) -> Judged:
    """Read the tree, and return each of its backups, users files included, judged. Raise StorageUnavailable."""
    notes, problem = read_notes(tree)
    stored = {one.summary(tree.layout).key: one for one in (*tree.backups(), *tree.users())}
    return Judged(stored, judged(tree, stored.values(), notes, config, now=now), notes, problem)


def judged(
    tree: InstanceTree, stored: Iterable[StoredBackup], notes: Notes, config: AnomalyConfig, *, now: datetime
) -> dict[Key, Backup]:
    """Return `stored`, all backups of at least one database, with their pins and anomalies."""
    plain = [replace(one.summary(tree.layout), measures=_measures(one.metadata)) for one in stored]
    accepted = notes.accepted_backups
    found = anomaly.find(plain, thresholds=_thresholds(config), accepted=accepted, now=now) if config.enabled else {}
    pins = {one.backup: one.pin() for one in notes.pins}
    return {one.key: replace(one, pin=pins.get(one.id), anomaly=found.get(one.key, "")) for one in plain}


def read_notes(tree: InstanceTree) -> tuple[Notes, str]:
    try:
        return tree.notebook().read(), ""
    except StorageError as error:
        return Notes(), error.message


def _thresholds(config: AnomalyConfig) -> Thresholds:
    return Thresholds(
        runs=config.runs,
        minimum_runs=config.minimum_runs,
        size_drop=config.size_drop_percent,
        rows_drop=config.rows_drop_percent,
        tables_drop=config.tables_drop_percent,
        size_growth=config.size_growth_percent,
    )


def _measures(metadata: BackupMetadata | None) -> Measures:
    """Return what can be compared with other backups of the series; rows that were not all counted are not known."""
    if metadata is None:
        return Measures()
    if metadata.users is not None:
        return Measures(metadata.uncompressed_bytes, metadata.users.accounts + metadata.users.roles)
    tables = metadata.tables
    rows = [table.rows for table in tables or ()]
    known = [count for count in rows if count is not None]
    total = sum(known) if tables is not None and len(known) == len(rows) else None
    return Measures(metadata.uncompressed_bytes, total, None if tables is None else len(tables))

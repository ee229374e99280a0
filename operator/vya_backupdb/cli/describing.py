"""A backup in JSON and in words, the same wherever a command names one."""

from typing import TYPE_CHECKING, Any

from vya_backupdb.cli import output
from vya_backupdb.domain.metadata import BackupMetadata
from vya_backupdb.domain.notes import PinNote
from vya_backupdb.domain.series import ADOPTED, PRE_RESTORE, Backup
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.strangers import Stranger

if TYPE_CHECKING:
    from rich.text import Text

#: Why a backup was made, where that is out of the ordinary.
_MADE: dict[str, str] = {PRE_RESTORE: "safety dump", ADOPTED: "adopted"}


def trusted(stored: StoredBackup) -> BackupMetadata | None:
    """Return the metadata of a backup that is not known to be damaged."""
    return stored.metadata if stored.problem is None else None


def backup_dict(stored: StoredBackup, judged: Backup | None = None) -> dict[str, Any]:
    """Return a backup as plain JSON types; with `judged`, what was said and found about it besides."""
    metadata = trusted(stored)
    run = metadata.run if metadata else None
    found: dict[str, Any] = {
        "id": stored.id,
        "database": stored.database,
        "path": str(stored.path),
        "timestamp": stored.moment.isoformat(),
        "status": "corrupt" if stored.problem else "success",
        "problem": stored.problem,
        "size_bytes": metadata.file_info.size_bytes if metadata and metadata.file_info else None,
        "uncompressed_bytes": metadata.uncompressed_bytes if metadata else None,
        "tables": len(metadata.tables) if metadata and metadata.tables is not None else None,
        "schedule": metadata.schedule if metadata else None,
        "run": run.id if run else None,
        "reason": run.reason if run else None,
        "warnings": list(metadata.warnings) if metadata else [],
    }
    if judged is not None:
        pin = judged.pin
        found["pin"] = {"reason": pin.reason, "until": pin.until.isoformat() if pin.until else None} if pin else None
        found["anomaly"] = judged.anomaly or None
    return found


def pin_dict(note: PinNote | None) -> dict[str, Any] | None:
    """Return a pin as plain JSON types."""
    return note.model_dump(mode="json") if note is not None else None


def stranger_dict(stranger: Stranger) -> dict[str, Any]:
    """Return what is no backup as plain JSON types."""
    return {
        "path": str(stranger.path),
        "kind": stranger.kind.value,
        "why": stranger.why,
        "size_bytes": stranger.size_bytes,
    }


def state(stored: StoredBackup, judged: Backup | None) -> "Text":
    """Return how a backup stands: good or corrupt, and what else is to be known of it."""
    problem = stored.problem
    text = output.state("good") if problem is None else output.cell(f"corrupt: {problem}", "bold red")
    words = [_MADE.get(judged.reason, "") if judged else ""]
    if judged is not None and judged.pin is not None:
        words.append(f"pinned: {judged.pin.reason}")
    if judged is not None and judged.anomaly:
        words.append(f"anomaly: {judged.anomaly}")
    for word in filter(None, words):
        text.append(f"; {output.plain(word)}", style="yellow")
    return text


def rows(metadata: BackupMetadata | None) -> int | None:
    """Return the rows of all tables, None where not all were counted."""
    tables = metadata.tables if metadata else None
    if tables is None or any(table.rows is None for table in tables):
        return None
    return sum(table.rows or 0 for table in tables)

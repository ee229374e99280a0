"""What a person says about backups that are there: pin, unpin, accept what is odd about them, or that many go.

Each word is noted on the volume with who said it, when and why (`storage.notes`). A pin is told as set only if its
backup is still there afterwards: a deletion that came first has won, one that comes later finds the pin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vya_backupdb.domain.brake import Braked
from vya_backupdb.domain.config import AppConfig
from vya_backupdb.domain.errors import ConfigurationError, NotFound
from vya_backupdb.domain.freeze import Circumstances
from vya_backupdb.domain.notes import Acceptance, PinNote
from vya_backupdb.domain.series import Backup
from vya_backupdb.dumper import prune
from vya_backupdb.dumper.judged import judge
from vya_backupdb.dumper.session import Session
from vya_backupdb.storage.tree import InstanceTree


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who says it, at which moment (aware), and why."""

    name: str
    now: datetime
    reason: str


def pin(tree: InstanceTree, backup: str, *, until: datetime | None, speaker: Speaker) -> PinNote:
    """Keep the backup with that id from being deleted, until `until` or for ever; an earlier pin of it is replaced.

    Raise NotFound if it is not there, ConfigurationError if `until` is past.
    """
    if until is not None and until <= speaker.now:
        raise ConfigurationError(f"--until {until.isoformat()} is past", hint="Give a time to come, or leave it out.")
    if not speaker.reason.strip():
        raise ConfigurationError("--reason is empty", hint="Say why the backup is to be kept: others will ask.")
    require_backup(tree, backup)
    note = PinNote(backup=backup, reason=speaker.reason, until=until, by=speaker.name, at=speaker.now)
    tree.notebook().change(lambda notes: notes.with_pin(note))
    try:
        require_backup(tree, backup)
    except NotFound:
        tree.notebook().change(lambda notes: notes.without_pin(backup))
        raise
    return note


def unpin(tree: InstanceTree, backup: str) -> PinNote:
    """Let retention decide about the backup with that id again. Raise NotFound if it is not pinned."""
    note = tree.notebook().read().pin_of(backup)
    if note is None:
        raise NotFound(f"the backup {backup!r} is not pinned", hint="'show' tells what is known about a backup.")
    tree.notebook().change(lambda notes: notes.without_pin(backup))
    return note


def database_of(tree: InstanceTree, backup: str) -> str | None:
    """Return the database that the backup with that id is of; None for users, and where it is not there any more."""
    return next((one.database for one in tree.by_id(backup)), None)


def require_backup(tree: InstanceTree, backup: str) -> None:
    """Raise NotFound unless there is a backup with that id, in whatever state."""
    if not tree.by_id(backup):
        hint = "Give the name of its data file without '.sql.gz'; 'list --database NAME' shows them."
        raise NotFound(f"there is no backup {backup!r}", hint=hint)


def accept_anomalies(
    app: AppConfig, tree: InstanceTree, speaker: Speaker, *, backup: str | None = None, database: str | None = None
) -> list[Acceptance]:
    """Accept the anomaly of that backup, those of that database, or (with neither) all; return what was accepted.

    Raise NotFound if `backup` has none that waits.
    """
    waiting = [
        one
        for one in judge(tree, app.retention.anomaly, now=speaker.now).anomalies
        if backup in {None, one.id} and database in {None, one.series.database_name}
    ]
    if backup is not None and not waiting:
        raise NotFound(
            f"the backup {backup!r} has no anomaly that waits to be accepted",
            hint="'retention plan' shows which do.",
        )
    return _note(tree, [_anomaly(one, speaker) for one in waiting])


def accept_deletions(session: Session, speaker: Speaker, *, database: str | None = None) -> list[Acceptance]:
    """Accept that so many backups go, of that database or (None) of each; return what was accepted.

    It holds for the backups that would go now.
    """
    judged = judge(session.tree, session.app.retention.anomaly, now=speaker.now)
    waiting = prune.decide(session, judged, Circumstances(), speaker.now).braked
    words = [_deletions(one, speaker) for one in waiting if database in {None, one.series.database_name}]
    return _note(session.tree, words)


def accept_server(session: Session, speaker: Speaker) -> list[Acceptance]:
    """Take the server that answers for the right one from now on, if it is another than the one noted.

    Raise ServerError if none answers, TreeOwnedByAnother if the tree is not ours.
    """
    identity = session.ask_server().info.identity
    session.tree.claim(session.app.owner, identity)
    if identity is None or not session.tree.frozen:
        return []
    word = Acceptance(
        what="server", finding=session.tree.frozen, reason=speaker.reason, by=speaker.name, at=speaker.now
    )
    noted = _note(session.tree, [word])  # first who and why: a crash in between only means to say it again
    session.tree.accept_server(identity)
    return noted


def _anomaly(backup: Backup, speaker: Speaker) -> Acceptance:
    return Acceptance(
        what="anomaly",
        backup=backup.id,
        finding=backup.anomaly,
        reason=speaker.reason,
        by=speaker.name,
        at=speaker.now,
    )


def _deletions(one: Braked, speaker: Speaker) -> Acceptance:
    return Acceptance(
        what="deletions",
        database=one.series.database_name,
        backups=tuple(backup.id for backup in one.doomed),
        finding=one.sentence,
        reason=speaker.reason,
        by=speaker.name,
        at=speaker.now,
    )


def _note(tree: InstanceTree, words: Sequence[Acceptance]) -> list[Acceptance]:
    if words:
        tree.notebook().change(lambda notes: notes.with_accepted(words))
    return list(words)

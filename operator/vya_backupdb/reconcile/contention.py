"""Who else wants a CronJob differently: another operator of this kind, or an admission policy of the cluster.

Two releases whose namespaces overlap would each mend what the other has just applied, many times a second. So each
signs what it applies, and leaves alone for a minute what another has signed.

A policy that changes what we apply, as it is applied, would have us apply it again at once and for ever. It leaves no
entry of its own in the managed fields, as a hand that edits does; so what bears the digest of the very manifest that is
wanted, and nobody's entry since, is left for an hour.
"""

from datetime import datetime, timedelta
from typing import Final

from vya_backupdb import __version__
from vya_backupdb.builders.jobs import JobSettings
from vya_backupdb.domain.ids import PREFIX, digest
from vya_backupdb.reconcile.drift import APPLIED
from vya_backupdb.reconcile.world import Announcement, CronJobView, Manifest

SIGNATURE: Final = f"{PREFIX}/applied-by"
PAUSE: Final = timedelta(minutes=1)
ADMITTED: Final = timedelta(hours=1)


def signature(settings: JobSettings) -> str:
    """Return what is the same for operators that want the same."""
    parts = (settings.dumper_image, settings.image_pull_policy, settings.pull_secrets, settings.log_level)
    return f"{__version__}-{digest(repr(parts), 8)}"


def left_until(cronjob: CronJobView, ours: str, now: datetime) -> datetime | None:
    """Return until when `cronjob` is left as another operator has just applied it; None where it is not."""
    theirs = _annotation(cronjob.manifest, SIGNATURE)
    if theirs in (None, ours):
        return None
    return _within(cronjob.applied, PAUSE, now)


def admitted_until(cronjob: CronJobView, wanted: Manifest, now: datetime) -> datetime | None:
    """Return until when a `cronjob` that is not as `wanted` is left so, because the cluster made it so; else None."""
    touched = cronjob.touched is not None and cronjob.applied is not None and cronjob.touched >= cronjob.applied
    if touched or _annotation(cronjob.manifest, APPLIED) != _annotation(wanted, APPLIED):
        return None
    return _within(cronjob.applied, ADMITTED, now)


def told(cronjob: CronJobView) -> Announcement:
    """Return the Event about another operator."""
    text = (
        f"CronJob {cronjob.name} was changed a moment ago by another operator of this kind; it is applied again in a"
        " minute. Let only one operator work in this namespace"
    )
    return Announcement("AnotherOperator", text, warning=True)


def _annotation(manifest: Manifest, key: str) -> str | None:
    return ((manifest.get("metadata") or {}).get("annotations") or {}).get(key)


def _within(applied: datetime | None, pause: timedelta, now: datetime) -> datetime | None:
    if applied is None:
        return None
    until = applied + pause
    return until if now < until <= now + pause else None

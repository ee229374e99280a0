"""Two operators that want one CronJob differently: two releases whose namespaces overlap, of two versions or images.

Each would mend what the other has just applied, many times a second. So each signs what it applies, and leaves alone
for a minute what another has signed: who reads the object's Events learns of it, and the API server is spared.
"""

from datetime import datetime, timedelta
from typing import Final

from vya_backupdb import __version__
from vya_backupdb.builders.jobs import JobSettings
from vya_backupdb.domain.ids import PREFIX, digest
from vya_backupdb.reconcile.world import Announcement, CronJobView

SIGNATURE: Final = f"{PREFIX}/applied-by"
PAUSE: Final = timedelta(minutes=1)


def signature(settings: JobSettings) -> str:
    """Return what is the same for operators that want the same."""
    parts = (settings.dumper_image, settings.image_pull_policy, settings.pull_secrets, settings.log_level)
    return f"{__version__}-{digest(repr(parts), 8)}"


def left_until(cronjob: CronJobView, ours: str, now: datetime) -> datetime | None:
    """Return until when `cronjob` is left as another operator has just applied it; None where it is not."""
    theirs = ((cronjob.manifest.get("metadata") or {}).get("annotations") or {}).get(SIGNATURE)
    if theirs in (None, ours) or cronjob.applied is None:
        return None
    until = cronjob.applied + PAUSE
    return until if now < until <= now + PAUSE else None


def told(cronjob: CronJobView) -> Announcement:
    """Return the Event about it."""
    text = (
        f"CronJob {cronjob.name} was changed a moment ago by another operator of this kind; it is applied again in a"
        " minute. Let only one operator work in this namespace"
    )
    return Announcement("AnotherOperator", text, warning=True)

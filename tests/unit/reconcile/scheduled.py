"""A schedule on the stage whose CronJobs stand, for the tests of all that becomes of it."""

from datetime import UTC, datetime

from tests.unit.reconcile.stage import INSTANCE, NAMESPACE, SCHEDULE, Stage

from vya_backupdb.kube.gateway import CRONJOBS

SLOT = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
BACKUP, RETENTION = "nightly-backup", "nightly-retention"


async def running(**spec: object) -> Stage:
    """Return a stage with an instance and a schedule whose CronJobs stand."""
    stage = Stage()
    stage.claim("ReadWriteOnce")
    stage.user(INSTANCE)
    stage.user(SCHEDULE, **spec)
    await stage.reconcile(SCHEDULE)
    return stage


def cronjob(stage: Stage, name: str = BACKUP) -> dict[str, object]:
    """Return the spec of a CronJob."""
    return dict(stage.gateway.objects[CRONJOBS.kind, NAMESPACE, name]["spec"])


def row(name: str, status: str = "success", **more: object) -> dict[str, object]:
    """Return a row of a report."""
    return {"name": name, "status": status, "size_bytes": 10, "duration_seconds": 1.6, **more}

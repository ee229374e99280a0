"""The lists that stand beside the watches: at the start, and from time to time."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from tests.contract.fake import FakeGateway
from tests.unit.controller.virtual import run

from vya_backupdb.controller.app import resync, until_listed
from vya_backupdb.controller.health import Health
from vya_backupdb.controller.queue import Workers
from vya_backupdb.controller.settings import parse
from vya_backupdb.kube.errors import Forbidden, KubernetesError, Unavailable
from vya_backupdb.reconcile.reconciler import Reconciler

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SETTINGS = parse(("--namespace=a", "--namespace=b"), {})
KINDS = 3


def failing(error: KubernetesError, *calls: int) -> Callable[[str], None]:
    """Return what raises `error` at these calls, counted from 1."""
    numbers = count(1)

    def before(_call: str) -> None:
        if next(numbers) in calls:
            raise error

    return before


async def begin(gateway: FakeGateway) -> tuple[tuple[str, ...], Reconciler, Workers, Health]:
    """Return what the first list leaves, and all that goes on with it."""
    reconciler = Reconciler(gateway, SETTINGS.jobs, lambda: NOW)
    health = Health(asyncio.get_running_loop().time, SETTINGS.resync_seconds)
    workers = Workers(reconciler.reconcile, reconciler.show, lambda: NOW, health.beat)
    return await until_listed(reconciler, workers, health, SETTINGS), reconciler, workers, health


def test_an_error_at_the_start_is_waited_out_wherever_it_comes() -> None:
    for number in range(1, 4 * KINDS + 1):
        gateway = FakeGateway(lambda: NOW)
        gateway.before = failing(Unavailable("etcdserver: request timed out"), number)
        assert run(begin(gateway))[0] == ("a", "b"), f"call {number}"


def test_a_namespace_whose_role_comes_late_is_watched_after_a_new_start() -> None:
    gateway = FakeGateway(lambda: NOW)
    # the first question about b, and the first whether it can be watched
    gateway.before = failing(Forbidden("not yet"), KINDS + 1, 2 * KINDS + 2)

    async def story() -> tuple[tuple[str, ...], float]:
        watched, reconciler, workers, health = await begin(gateway)
        await resync(reconciler, workers, health, SETTINGS, watched)
        return watched, asyncio.get_running_loop().time()

    watched, ended = run(story())
    assert watched == ("a",)
    assert ended == SETTINGS.resync_seconds

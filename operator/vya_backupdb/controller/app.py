"""The composition root: gateway, queue, workers, resync, and kopf around them.

The workers exist before kopf does: it cancels at its end every task that it finds younger than itself. Whatever task
ends first ends the process, which is started anew; nothing is kept in memory that a list does not bring back.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from vya_backupdb import __version__
from vya_backupdb.controller import logs
from vya_backupdb.controller.doorbell import Ending, listen
from vya_backupdb.controller.health import Health
from vya_backupdb.controller.queue import Workers
from vya_backupdb.controller.settings import OperatorSettings, parse
from vya_backupdb.domain.errors import BackupDBError
from vya_backupdb.kube.aio import connect
from vya_backupdb.kube.errors import KubernetesError, NotFound
from vya_backupdb.reconcile.reconciler import Reconciler

logger = logging.getLogger(__name__)

FIRST_LIST_SECONDS = 5.0
RETRY_LIST_SECONDS = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator until it is told to stop. Return the process's exit code."""
    settings = parse(sys.argv[1:] if arguments is None else arguments, os.environ)
    logs.configure(level=settings.log_level, as_json=settings.log_format == "json")
    try:
        return asyncio.run(_operate(settings))
    except BackupDBError as error:
        logger.error("%s", error)
        return int(error.exit_code)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0


def clock() -> datetime:
    """Return the time in UTC: the one place of the operator that reads it."""
    return datetime.now(tz=UTC)  # noqa: TID251


async def _operate(settings: OperatorSettings) -> int:
    _obey_signals()
    where = ", ".join(settings.namespaces) or "all namespaces"
    logger.info(
        "vya-backupdb operator %s begins; namespaces: %s; dumper: %s", __version__, where, settings.dumper_image
    )
    async with await connect(kubeconfig=settings.kubeconfig) as gateway:
        reconciler = Reconciler(gateway, settings.jobs, clock)
        health = Health(asyncio.get_running_loop().time, settings.resync_seconds)
        workers = Workers(reconciler.reconcile, reconciler.show, clock, health.beat)
        # kopf ends when one of its watches is refused for a minute, and a deleted namespace took its role along
        watched = await until_listed(reconciler, workers, health, settings)
        work = [
            asyncio.create_task(workers.run(f"worker-{number}"), name=f"worker-{number}")
            for number in range(settings.workers)
        ]
        work.append(asyncio.create_task(resync(reconciler, workers, health, settings, watched), name="resync"))
        doorbell = asyncio.create_task(listen(workers.ring, health, settings, watched, Ending()), name="kopf")
        return await _until_the_first_ends([doorbell, *work])


def _obey_signals() -> None:
    """End at SIGTERM until kopf puts its own handler in place: the first process of a pod would ignore it."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def until_listed(
    reconciler: Reconciler, workers: Workers, health: Health, settings: OperatorSettings
) -> tuple[str, ...]:
    """Wait until our kinds can be listed, and return in which namespaces; none where all of them were asked for.

    kopf does not notice CRDs that come after it.
    """
    told = ""
    while True:
        try:
            await _ring_all(reconciler, workers, health, settings)
            return await reconciler.readable(settings.namespaces)
        except KubernetesError as error:
            hint = "the CRDs are not installed" if isinstance(error, NotFound) else "is the role bound?"
            if str(error) != told:
                logger.warning("cannot list the objects yet (%s): %s", hint, error)
            told = str(error)
        await asyncio.sleep(FIRST_LIST_SECONDS)


async def resync(
    reconciler: Reconciler, workers: Workers, health: Health, settings: OperatorSettings, watched: tuple[str, ...]
) -> None:
    """Ring for every object from time to time, so that a lost event is a delay and not a loss.

    Return, to be started anew, when a namespace that was refused at the start, and so is not `watched`, can be listed:
    a role may be bound a moment after the operator has begun.
    """
    pause: float = settings.resync_seconds
    while True:
        await asyncio.sleep(pause)
        try:
            await _ring_all(reconciler, workers, health, settings)
            pause = settings.resync_seconds
            # asked for only where something is missing: the question costs as much as the list itself
            missing = set(settings.namespaces) - set(watched)
            came = missing.intersection(await reconciler.readable(settings.namespaces)) if missing else ()
            if came:
                logger.warning("%s can be listed now; the operator starts anew to watch it", ", ".join(sorted(came)))
                return
        except KubernetesError as error:
            pause = min(RETRY_LIST_SECONDS, settings.resync_seconds)
            logger.warning("cannot list the objects: %s; again in %.0f s", error, pause)


async def _ring_all(reconciler: Reconciler, workers: Workers, health: Health, settings: OperatorSettings) -> None:
    keys = frozenset(await reconciler.keys(settings.namespaces))
    workers.ring_all(keys)
    health.listed()
    logger.debug("listed %d objects", len(keys))


async def _until_the_first_ends(tasks: list[asyncio.Task[None]]) -> int:
    """Return 0 when kopf ended (it was told to), 1 when anything else did or anything failed."""
    doorbell = tasks[0]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    failed = [task for task in done if not task.cancelled() and task.exception() is not None]
    for task in failed:
        logger.error("%s failed", task.get_name(), exc_info=task.exception())
    stopped = done == {doorbell} and not failed
    if stopped:
        logger.info("vya-backupdb operator ends")
    return 0 if stopped else 1

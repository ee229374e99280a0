"""kopf around our handlers, and its end.

kopf ends when one of its watches is refused for good, and then waits for whatever it finds still running; what does not
let itself be cancelled it waits for without end. Its own last resort is a SIGKILL to itself, which the kernel does not
give to the first process of a pod. So from the moment on at which one of kopf's tasks has ended, the process has
`ENDING_SECONDS` left: what started it starts it anew.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from typing import Final

import kopf

from vya_backupdb.controller import handlers
from vya_backupdb.controller.health import Health
from vya_backupdb.controller.settings import OperatorSettings

logger = logging.getLogger(__name__)

ENDING_SECONDS: Final = 15.0


class Ending:
    """Lets the process end, whatever hangs, some seconds after it was told to begin."""

    def __init__(self, seconds: float = ENDING_SECONDS, leave: Callable[[int], None] = os._exit) -> None:
        self._seconds, self._leave = seconds, leave
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """Begin to count, once."""
        if self._timer is None:
            # a thread: the event loop may be what hangs
            self._timer = threading.Timer(self._seconds, self._last)
            self._timer.daemon = True
            self._timer.start()

    def _last(self) -> None:
        logger.error(
            "the operator does not end by itself within %.0f s of losing its watches; it is ended", self._seconds
        )
        self._leave(1)


async def listen(
    ring: handlers.Ring, health: Health, settings: OperatorSettings, watched: tuple[str, ...], ending: Ending
) -> None:
    """Watch the namespaces `watched` (all, if the settings name none) until told to end. Raise what ended a watch."""
    ours = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=handlers.registry(ring, health),
        settings=handlers.settings(),
        # else it asks for the name of the user, which a pod's number has none of
        identity="vya-backupdb",  # type: ignore[arg-type]  # a NewType of str that kopf does not export
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=watched,
        liveness_endpoint=settings.liveness,
    )
    for task in tasks:
        task.add_done_callback(lambda _: ending.begin())
    await kopf.run_tasks(tasks, ignored=ours)

"""The queue between the doorbell and the work: keyed, so that a thousand rings for one object are one piece of work.

`Backlog` is the rule, without clock or tasks: a key is worked on by one worker at a time; a ring during the work is
one more pass after it; a failure waits twice as long as the one before it, up to `CAP`; what nobody rings for any
more leaves nothing behind. `Workers` turns it with asyncio, and is the one place that catches every exception: one
object's trouble must not stop the others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from zlib import crc32

from vya_backupdb.kube.errors import Conflict, KubernetesError, NotFound, TooManyRequests
from vya_backupdb.reconcile.world import Decision, Key

logger = logging.getLogger(__name__)

BASE = 1.0
CAP = 300.0
SOONEST = 0.5  # a wake-up that lies in the past must not turn the queue into a busy loop
BEAT = 10.0
PASS_SECONDS = 240.0


@dataclass(slots=True)
class Backlog:
    """What is to be done when. Times are seconds of a clock that never goes back."""

    due: dict[Key, float] = field(default_factory=dict)
    running: set[Key] = field(default_factory=set)
    again: set[Key] = field(default_factory=set)
    failures: dict[Key, int] = field(default_factory=dict)

    def ring(self, key: Key, at: float) -> None:
        """Note that `key` is to be worked on at `at`, or earlier if it is so already."""
        if key in self.running:
            self.again.add(key)
        else:
            self.due[key] = min(at, self.due.get(key, at))

    def take(self, now: float) -> Key | None:
        """Return the key that has waited longest, and hold it as running; None where nothing is due."""
        key = min(self.due, key=lambda one: (self.due[one], one), default=None)
        if key is None or self.due[key] > now:
            return None
        del self.due[key]
        self.running.add(key)
        return key

    def done(self, key: Key, now: float, wake_at: float | None) -> None:
        """Note that the work on `key` was done; it is looked at again at `wake_at`, or now if it was rung for."""
        self.running.discard(key)
        self.failures.pop(key, None)
        if key in self.again:
            self.again.discard(key)
            self.due[key] = now
        elif wake_at is not None:
            self.due[key] = max(wake_at, now + SOONEST)

    def failed(self, key: Key, now: float, *, at_least: float = 0.0) -> float:
        """Note that the work on `key` failed. Return the pause before it is tried again."""
        self.running.discard(key)
        self.again.discard(key)
        count = self.failures[key] = self.failures.get(key, 0) + 1
        # up to a fifth more, by the key: what failed together does not come back together
        spread = 1 + (crc32(str(key).encode()) % 200) / 1000
        pause = max(at_least, min(CAP, BASE * 2.0 ** min(count - 1, 16)) * spread)
        self.due[key] = now + pause
        return pause

    def forget_failing(self, known: frozenset[Key]) -> None:
        """Drop what keeps failing and is not among the `known` keys: it is gone, and cannot even be asked for."""
        for key in self.failures.keys() - known - self.running:
            del self.failures[key]
            self.due.pop(key, None)

    def next_due(self) -> float | None:
        """Return when the next key is due."""
        return min(self.due.values(), default=None)


@dataclass(slots=True)
class Workers:
    """A number of tasks that work the backlog off. `work` does one pass; `show` tells the object of an error."""

    work: Callable[[Key], Awaitable[Decision]]
    show: Callable[[Key, Exception], Awaitable[None]]
    wall: Callable[[], datetime]
    beat: Callable[[str], None]
    backlog: Backlog = field(default_factory=Backlog)
    _rung: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self, key: Key) -> None:
        """Let `key` be worked on soon."""
        self.backlog.ring(key, asyncio.get_running_loop().time())
        self._rung.set()

    def ring_all(self, keys: frozenset[Key]) -> None:
        """Ring for every object that there is; what only fails and is not among them is dropped."""
        self.backlog.forget_failing(keys)
        for key in sorted(keys):
            self.ring(key)

    async def run(self, name: str) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.beat(name)
            key = self.backlog.take(loop.time())
            if key is None:
                await self._wait(loop.time())
            else:
                await self._pass(key)

    async def _wait(self, now: float) -> None:
        """Wait for a ring, for the next key to come due, or for the next heartbeat."""
        self._rung.clear()
        due = self.backlog.next_due()
        pause = BEAT if due is None else min(BEAT, max(0.0, due - now))
        try:
            async with asyncio.timeout(pause):
                await self._rung.wait()
        except TimeoutError:
            return

    async def _pass(self, key: Key) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PASS_SECONDS):
                decision = await self.work(key)
        except Exception as error:  # noqa: BLE001 - whatever one object's work raises, the others' goes on
            await self._failed(key, error)
            return
        wake_at = None
        if decision.wake_at is not None:
            wake_at = loop.time() + (decision.wake_at - self.wall()).total_seconds()
        self.backlog.done(key, loop.time(), wake_at)
        for other in decision.ring:
            self.ring(other)

    async def _failed(self, key: Key, error: Exception) -> None:
        """Log the error, tell the object of it, and try again later."""
        try:
            async with asyncio.timeout(PASS_SECONDS):
                await self.show(key, error)
        except Exception as second:  # noqa: BLE001 - the log has to do then
            logger.debug("%s: its conditions could not be written: %s", key, second)
        at_least = error.retry_after if isinstance(error, TooManyRequests) else 0.0
        pause = self.backlog.failed(key, asyncio.get_running_loop().time(), at_least=at_least)
        if isinstance(error, Conflict | NotFound):
            logger.debug("%s: changed or gone since it was read; again in %.1f s", key, pause)
        elif isinstance(error, KubernetesError):
            logger.warning("%s: %s; again in %.0f s", key, error, pause)
        else:
            logger.error("%s: unexpected error; again in %.0f s", key, pause, exc_info=error)

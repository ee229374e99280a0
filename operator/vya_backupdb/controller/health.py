"""Whether the operator still works, not only whether its web server answers.

Two things must not grow old: the heartbeat of each worker (one that hangs in a call would never be missed otherwise),
and the last list of all objects that the API server answered (a stalled watch or a lost right shows there).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

WORKER_SECONDS = 600.0
LIST_INTERVALS = 3
LIST_SECONDS = 900.0


class Unhealthy(Exception):
    """The process should be started anew; the message says why."""


@dataclass(slots=True)
class Health:
    """Remembers the last signs of life. `clock` returns seconds that never go back."""

    clock: Callable[[], float]
    resync_seconds: float
    beats: dict[str, float] = field(default_factory=dict)
    listed_at: float = 0.0

    def __post_init__(self) -> None:
        """Count from the start: a process that never succeeds grows old as well."""
        self.listed_at = self.clock()

    def beat(self, worker: str) -> None:
        """Note that `worker` is alive."""
        self.beats[worker] = self.clock()

    def listed(self) -> None:
        """Note that every object was listed."""
        self.listed_at = self.clock()

    def check(self) -> dict[str, float]:
        """Return the ages in seconds. Raise Unhealthy if one of them is too old."""
        now = self.clock()
        oldest = max((now - beat for beat in self.beats.values()), default=0.0)
        listed = now - self.listed_at
        if oldest > WORKER_SECONDS:
            raise Unhealthy(f"a worker has not been heard of for {oldest:.0f} seconds")
        if listed > max(LIST_SECONDS, LIST_INTERVALS * self.resync_seconds):
            raise Unhealthy(f"the API server has not listed our objects for {listed:.0f} seconds")
        return {"workerAgeSeconds": round(oldest, 1), "listAgeSeconds": round(listed, 1)}

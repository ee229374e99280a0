"""The session lock that keeps two runs of ours off one database: how it is waited for, and how it is known to be held.

Each product has its own statement for it; that it can be lost with its session, and that a loser waits in slices so
that it can be told to stop, is the same for all.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from vya_backupdb.domain.errors import BackupDBError, Busy, DumpFailed, ServerError
from vya_backupdb.engines.base import Checkpoint

_SLICE_SECONDS: Final = 1.0


class SessionLock:
    """`base.HeldLock`; `held` asks the session that took it."""

    def __init__(self, database: str, held: Callable[[], bool]) -> None:
        self._database, self._held = database, held

    def verify(self) -> None:
        """See `base.HeldLock.verify`."""
        try:
            held = self._held()
        except ServerError as error:
            raise self._lost(error.message) from error
        if not held:
            raise self._lost("the server does not know it any more")

    def _lost(self, why: str) -> DumpFailed:
        return DumpFailed(
            f"the lock on database {self._database!r} was lost: {why}",
            hint="Another run may have worked on it at the same time; what was made is not used. Run it again.",
        )


@contextmanager
def holding(database: str, held: Callable[[], bool], release: Callable[[], object]) -> Iterator[SessionLock]:
    """Give the lock that was taken, and `release` it in the end.

    It would go with its session, but a server ends a session some time after it was told to.
    """
    try:
        yield SessionLock(database, held)
    finally:
        with suppress(BackupDBError):
            release()


def wait_for(
    database: str, try_lock: Callable[[float], bool], *, wait_seconds: float, checkpoint: Checkpoint | None
) -> None:
    """Call `try_lock`, which waits on the server for so many seconds (0: not at all), until it returns True.

    Between two tries `checkpoint` may raise. Raise Busy after `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    while not try_lock(max(0.0, min(_SLICE_SECONDS, deadline - time.monotonic()))):
        if checkpoint is not None:
            checkpoint()
        if time.monotonic() >= deadline:
            raise Busy(
                f"database {database!r} is held by another run for more than {wait_seconds:.0f} seconds",
                hint="Wait for that run; the lock ends with its session.",
            )


def digest(database: str) -> bytes:
    """Return what every process of ours names the lock on `database` by."""
    return hashlib.sha256(f"vya-backupdb:{database}".encode("utf-8", "surrogatepass")).digest()

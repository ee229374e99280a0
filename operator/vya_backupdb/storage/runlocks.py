"""Which runs live. A run holds ``.runs/{run}.lock`` while it writes; the kernel lets go of it when the run dies.

Of a run that this process holds itself, what lies there is left over from an earlier attempt as long as nothing of it
is open: a Job's second pod carries the run id of the first.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from vya_backupdb.domain import layout
from vya_backupdb.domain.errors import Busy
from vya_backupdb.domain.ids import RunId
from vya_backupdb.storage import locks
from vya_backupdb.storage.faults import map_os_errors
from vya_backupdb.storage.recovery import IsDead
from vya_backupdb.storage.runs import LOCK
from vya_backupdb.storage.site import Site
from vya_backupdb.storage.volume import Directory


class RunLocks:
    """The locks of the runs of one instance: those held here, and the question about all others."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._guard = threading.Lock()
        self._held: set[str] = set()
        self._open: Counter[str] = Counter()

    @contextmanager
    def hold(self, run: RunId) -> Iterator[None]:
        """Hold the lock of `run` during the block. Raise Busy if it is held, be it by another thread."""
        name = layout.run_in_name(run)
        doing = f"locking the run {run} in {self._site.root}"
        with map_os_errors(doing):
            directory = self._site.descend(self._site.layout.runs, create=True)
        with directory:
            # under the tree's lock: a recovery that tries this file meanwhile would make us look like our own double
            with map_os_errors(doing), self._site.exclusively():
                lock = locks.acquire(directory, f"{name}{LOCK}", wait=False)
            if lock is None:
                raise Busy(f"the run {run} is alive elsewhere", hint="Wait for its end, or end it.")
            with self._guard:
                self._held.add(name)
            try:
                yield
            finally:
                with self._guard:
                    self._held.discard(name)
                with map_os_errors(doing):
                    lock.release(remove=True)

    def began(self, run: RunId) -> None:
        """Note that a backup of `run` is being written. Raise RuntimeError if its lock is not held here."""
        name = layout.run_in_name(run)
        with self._guard:
            if name not in self._held:
                raise RuntimeError(f"the lock of {run} is not held: a recovery would take its backup for a dead run's")
            self._open[name] += 1

    def ended(self, run: RunId) -> None:
        """Note that one that `began` is published or aborted."""
        with self._guard:
            self._open[layout.run_in_name(run)] -= 1

    @contextmanager
    def dead(self, instance: Directory) -> Iterator[IsDead]:
        """Give the judge of runs, by their names in partials. Nothing begins here, and no dead run revives, meanwhile.

        The locks of the dead are held during the block, and removed at its end.
        """
        runs = self._site.layout.runs.name
        with self._guard, instance.child(runs, create=True) as directory, ExitStack() as stack:
            verdicts: dict[str, bool] = {}

            def is_dead(run: str) -> bool:
                if run not in verdicts:
                    verdicts[run] = self._judge(run, directory, stack)
                return verdicts[run]

            for name in directory.names():
                if name.endswith(LOCK):
                    is_dead(name.removesuffix(LOCK))
            yield is_dead

    def _judge(self, run: str, directory: Directory, stack: ExitStack) -> bool:
        if run in self._held:
            return self._open[run] == 0
        lock = locks.acquire(directory, f"{run}{LOCK}", wait=False)
        if lock is None:
            return False
        # where the volume cannot lock, a run that may live is left alone
        stack.callback(lock.release, remove=lock.exclusive)
        return lock.exclusive

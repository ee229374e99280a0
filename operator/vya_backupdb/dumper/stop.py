"""How a run is told to stop, once, for one reason: a signal, its deadline, or an error that concerns all of it.

Invariants: the first reason wins; whoever registered something to be killed has it killed exactly once, even when it
registers after the stop; a signal handler does nothing but write one byte, because it may interrupt any of our own
locks. The killing is done by the watcher's thread.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from vya_backupdb.domain.errors import BackupDBError, DeadlineExceeded, Interrupted

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS: Final = 20.0
_END: Final = b"\0"


class Stop:
    """One run's word that it is over before its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._reason: BackupDBError | None = None
        self._kills: set[Callable[[], None]] = set()

    def now(self, reason: BackupDBError) -> None:
        """Stop for `reason`, and kill what is registered. A second call changes nothing."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            kills, self._kills = self._kills, set()
        self._event.set()
        for kill in kills:
            kill()

    @property
    def reason(self) -> BackupDBError | None:
        """Why the run was stopped; None while it goes on."""
        return self._reason

    def check(self) -> None:
        """Raise the reason, if there is one. Each caller gets an exception of its own: threads share no traceback."""
        if self._reason is not None:
            raise type(self._reason)(self._reason.message, hint=self._reason.hint)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until the stop. Raise its reason then."""
        self._event.wait(seconds)
        self.check()

    @contextmanager
    def killing(self, kill: Callable[[], None]) -> Iterator[None]:
        """Call `kill` if the stop comes while the block runs, or has come already; the block finds out by itself."""
        with self._lock:
            stopped = self._reason is not None
            if not stopped:
                self._kills.add(kill)
        if stopped:
            kill()
        try:
            yield
        finally:
            with self._lock:
                self._kills.discard(kill)


@contextmanager
def watched(*, deadline_seconds: float | None, signals: bool = True) -> Iterator[Stop]:
    """Give a Stop that SIGINT, SIGTERM, SIGHUP and the deadline set while the block runs.

    `signals` must be False outside the main thread. A second signal, or 20 seconds after the first reason, ends the
    process at once (a thread may hang in a dead connection): the children are dead by then, and the next run removes
    the partial files.
    """
    stop = Stop()
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    end = None if deadline_seconds is None else time.monotonic() + deadline_seconds

    def ring(number: int, _frame: FrameType | None) -> None:
        os.write(writer, bytes((number,)))

    heard = [number for number in SIGNALS if signals and not _is_unwanted(number)]
    before = {number: signal.signal(number, ring) for number in heard}
    watcher = threading.Thread(target=_watch, args=(stop, reader, end, deadline_seconds), name="watcher", daemon=True)
    watcher.start()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.write(writer, _END)
        watcher.join()
        os.close(reader)
        os.close(writer)


def _is_unwanted(number: signal.Signals) -> bool:
    """Whether whoever started us keeps this signal from us: ``nohup`` a hangup, a shell's '&' Ctrl-C."""
    return number != signal.SIGTERM and signal.getsignal(number) is signal.SIG_IGN


def _watch(stop: Stop, reader: int, end: float | None, seconds: float | None) -> None:
    interrupted = False
    while True:
        timeout = None if end is None else max(0.0, end - time.monotonic())
        ready, _, _ = select.select([reader], [], [], timeout)
        for number in os.read(reader, 64) if ready else (0,):
            if ready and number == _END[0]:
                return
            if stop.reason is not None and (interrupted or not ready):
                os._exit(stop.reason.exit_code)
            interrupted = interrupted or bool(ready)
            stop.now(interrupt_error(number) if ready else deadline_error(seconds))
            end = time.monotonic() + GRACE_SECONDS


def deadline_error(seconds: float | None) -> DeadlineExceeded:
    """Return the error of a run that took longer than `seconds`."""
    return DeadlineExceeded(
        f"the run did not end within its deadline of {seconds:g} s",
        hint="Raise run.deadline_seconds (job.activeDeadlineSeconds), or back up fewer databases in one run.",
    )


def interrupt_error(number: int) -> Interrupted:
    """Return the error of a run that got the signal `number`."""
    return Interrupted(
        f"the run was told to stop by {signal.Signals(number).name}",
        hint="What was published stays; run it again for the rest.",
    )

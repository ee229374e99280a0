"""Work in a process of its own, for what it loads is large, and what it gives back is small and kept for long.

A process that backs up for an hour needs Fernet for a millisecond, and would keep the 6 MiB of its library all the
while. The child is a fork: nothing is in its arguments or its environment, and the answer comes through a pipe.
"""

import io
import os
import pickle
import select
import signal
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from vya_backupdb.domain.errors import BackupDBError

T = TypeVar("T")
#: What takes a moment has taken too long by then: the fork of a process with threads may wait for a lock for ever.
PATIENCE_SECONDS: Final = 30.0
_PIECE: Final = 1 << 16
_STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def aside(work: Callable[[], T], *, patience: float = PATIENCE_SECONDS) -> T:
    """Return what `work` returns, or raise the BackupDBError that it raises; what it loads does not stay.

    Where the child does not answer, within `patience` seconds, the work is done here. It should need no lock that
    another thread of ours may hold: the child would have that lock, and nobody to release it.
    """
    reading, writing = os.pipe()
    # a signal that arrived in between would run the parent's handler in the child
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        pid = os.fork()
        if pid == 0:
            _answer(work, writing, before)
    except OSError:  # no process is to be had: a limit of the user, or of the pod
        pid = -1
    finally:
        os.close(writing)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    data = _wait(pid, reading, patience)
    if data is None:
        return work()
    answer: T | BackupDBError = pickle.loads(data)  # noqa: S301  # it comes from ourselves
    if isinstance(answer, BackupDBError):
        raise answer
    return answer


def _wait(pid: int, reading: int, patience: float) -> bytes | None:
    """Return what the child `pid` wrote (-1: there is none), None if it did not end well; `reading` is closed."""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        if pid < 0:
            return None
        data = _read(pipe, patience)
        if data is None:
            os.kill(pid, signal.SIGKILL)
    try:
        status = os.waitpid(pid, 0)[1]
    except ChildProcessError:  # whoever uses us ignores SIGCHLD
        return None
    return data if status == 0 and data else None


def _read(pipe: io.FileIO, patience: float) -> bytes | None:
    """Return all that comes out of `pipe`, None if its end does not come within `patience` seconds."""
    data, end = b"", time.monotonic() + patience
    ready = select.poll()
    ready.register(pipe, select.POLLIN)
    while (left := end - time.monotonic()) > 0:
        if ready.poll(left * 1000):
            piece = pipe.read(_PIECE)
            if not piece:
                return data
            data += piece
    return None


def _answer(work: Callable[[], object], writing: int, mask: Iterable[int]) -> None:
    """Write the answer and end at once: what the parent had begun (buffers, exit handlers) is the parent's."""
    try:
        # a signal to the whole group would else be told twice through the parent's handler, as if in impatience
        for number in _STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            answer = pickle.dumps(work())
        except BackupDBError as error:
            answer = pickle.dumps(error)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
    except BaseException:  # noqa: BLE001  # nothing may climb up into what the parent was doing
        os._exit(1)
    os._exit(0)

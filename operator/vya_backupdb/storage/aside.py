"""Work in a process of its own, for what it loads is large, and what it gives back is small and kept for long.

A process that backs up for an hour needs Fernet for a millisecond, and would keep the 6 MiB of its library all the
while. The child is a fork: nothing is in its arguments or its environment, and the answer comes through a pipe.
"""

import os
import pickle
import signal
from collections.abc import Callable
from typing import TypeVar

from vya_backupdb.domain.errors import BackupDBError

T = TypeVar("T")


def aside(work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise the BackupDBError that it raises; what it loads does not stay.

    Where the child does not answer, the work is done here. It must need no lock that another thread of ours may hold:
    the child would have that lock, and nobody to release it.
    """
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:  # no process is to be had: a limit of the user, or of the pod
        os.close(reading)
        os.close(writing)
        return work()
    if pid == 0:
        _answer(work, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    if os.waitpid(pid, 0)[1] != 0 or not data:
        return work()
    answer: T | BackupDBError = pickle.loads(data)  # noqa: S301  # it comes from ourselves
    if isinstance(answer, BackupDBError):
        raise answer
    return answer


def _answer(work: Callable[[], object], writing: int) -> None:
    """Write the answer and end at once: what the parent had begun (buffers, exit handlers) is the parent's."""
    try:
        # a signal to the whole group would else be told twice through the parent's handler, as if in impatience
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        try:
            answer = pickle.dumps(work())
        except BackupDBError as error:
            answer = pickle.dumps(error)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)

"""What the host gives to this process and must not decide anything: variables, closed streams, encodings, signals.

libpq and the MySQL drivers read variables of the environment inside our own process: a PGHOSTADDR or PGSERVICE that a
profile sets would lead every connection elsewhere, whatever the configuration says. (The clients' environment is built
by `dumper.process` anyway.) A stream that the starter closed would give its number to the next file that is opened, and
output meant for a terminal would go into it. Who ignores SIGCHLD hands that on, and the kernel then keeps no exit code:
each client that failed would seem to have ended well. And a umask that takes rights from the owner would leave
directories that we could not enter again.
"""

import ctypes
import io
import os
import signal
import stat
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

#: Of glibc's ``mallopt`` (malloc.h): one place for all threads, for else each keeps what it gave back for itself; and
#: the kernel gets back what is free beyond 2 MiB, not 128 KiB: else every piece of a dump (256 KiB) is given back and
#: asked for again page by page, which was 300 page faults, 0.75 ms, for each MB (measured).
_ARENA_MAX: Final = -8
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_MALLOC: Final = ((_ARENA_MAX, 1), (_TRIM_THRESHOLD, 2 << 20), (_MMAP_THRESHOLD, 1 << 20))

#: Of libpq, of MySQL's and MariaDB's libraries; and where Python's ssl would write session keys to.
_FOREIGN: Final = ("PG", "MYSQL", "MARIADB", "LIBMYSQL", "SSLKEYLOGFILE")


def prepare() -> None:
    """Make this process independent of its surroundings; to be called once, before anything is opened."""
    open_closed_streams()
    forget(os.environ)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.umask(os.umask(0o077) & ~stat.S_IRWXU)
    keep_memory()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # JSON is UTF-8, whatever the locale; and no character of a name may end a run
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def keep_memory() -> None:
    """Let memory that was used once be used again, by any thread (glibc only)."""
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _MALLOC:
            mallopt(parameter, value)


def forget(environ: MutableMapping[str, str]) -> None:
    """Remove the variables that drivers would read."""
    for name in [name for name in environ if name.startswith(_FOREIGN)]:
        del environ[name]


def open_closed_streams() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)

"""The only place that starts processes: dump and restore clients, and nothing else.

Invariants: no shell; a session and process group of its own, killed as a whole; nothing inherited but what the command
names; an environment that we built, with a home that cannot hold a file (a ``~/.my.cnf`` with ``where=`` would pass
every check); secrets only as memfds of mode 0600, which end with their last holder even after kill -9; stderr is
always drained, and kept within bounds. End of output is no success: a killed client gives it too. Only `Ended` counts.
"""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from vya_backupdb.domain.errors import ClientMissing, DumpFailed
from vya_backupdb.dumper.stop import Stop
from vya_backupdb.engines.base import Command, Option, SecretFile

PIPE_BYTES: Final = 1 << 20
PIECE_BYTES: Final = 1 << 18
NAP_SECONDS: Final = 0.001
KEPT: Final = 64 * 1024
HOME: Final = "/nonexistent"
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": HOME,
    "LC_ALL": "C.UTF-8",
}


@dataclass(slots=True)
class Kept:
    """The head and the tail of a text of any length, at most 64 KiB each."""

    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    left_out: int = 0

    def add(self, data: bytes) -> None:
        """Take `data`; what is neither head nor tail any more is only counted."""
        room = KEPT - len(self.head)
        self.head += data[:room]
        self.tail += data[room:] if room > 0 else data
        if len(self.tail) > 2 * KEPT:
            self.left_out += len(self.tail) - KEPT
            del self.tail[:-KEPT]

    def text(self) -> str:
        """Return it all, or head and tail with the number of bytes between them. Undecodable bytes are escaped."""
        between = f"\n… {self.left_out} bytes left out …\n".encode() if self.left_out else b""
        return (bytes(self.head) + between + bytes(self.tail)).decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. `stdout` is what it said where nobody took its chunks. Neither text is redacted yet.

    `stderr_cut`: so much was said on stderr that the middle of it is not in `stderr`; nobody can judge it then.
    """

    program: str
    returncode: int
    stderr: str
    stderr_cut: bool = False
    stdout: str = ""

    @property
    def ok(self) -> bool:
        """Whether the exit code is 0. Necessary for a success, never enough."""
        return self.returncode == 0

    def describe(self) -> str:
        """Return one phrase: 'pg_dump ended with exit code 1', 'pg_dump was killed by SIGKILL'."""
        if self.returncode >= 0:
            return f"{self.program} ended with exit code {self.returncode}"
        try:
            name = signal.Signals(-self.returncode).name
        except ValueError:
            name = f"signal {-self.returncode}"
        return f"{self.program} was killed by {name}"


def run(
    command: Command,
    *,
    stop: Stop,
    on_chunk: Callable[[bytes], None] | None = None,
    feed: Iterable[bytes] | None = None,
    patience: float | None = None,
) -> Ended:
    """Run `command` to its end and return how it ended; the exit code is the caller's to judge.

    `on_chunk` gets stdout in pieces of 256 KiB (the last is shorter) in the calling thread; an error that it raises
    kills the process and goes on. `feed` is written to stdin, which is empty otherwise; a client that stops reading
    early is no error here: its exit code tells. Raise ClientMissing if the program cannot be started, the reason of
    `stop` if it was told to stop, and DumpFailed if no byte came for `patience` seconds while `on_chunk` waited.
    Give not both `on_chunk` and `feed`.
    """
    stop.check()
    with ExitStack() as stack:
        process = stack.enter_context(_started(command, piped_input=feed is not None))
        stack.enter_context(stop.killing(lambda: kill_group(process)))
        errors, said = Kept(), Kept()
        drains = [_drain(_pipe(process.stderr), errors)]
        if on_chunk is None:
            drains.append(_drain(_pipe(process.stdout), said))
        if feed is not None:
            _feed(_widen(_pipe(process.stdin)), feed)
        if on_chunk is not None:
            _read(_widen(_pipe(process.stdout)), on_chunk, patience, Path(str(command.argv[0])).name)
        returncode = process.wait()
        for drain in drains:
            drain.join()
    stop.check()
    return Ended(Path(str(command.argv[0])).name, returncode, errors.text(), errors.left_out > 0, said.text())


def ask(argv: tuple[str, ...], *, stop: Stop) -> str:
    """Return what a program says of itself (``--version``), or '' if it cannot be started or fails.

    For `engines.clients`, which looks for programs but may not start them.
    """
    try:
        ended = run(Command(argv=argv, environ={}), stop=stop)
    except ClientMissing:
        return ""
    return ended.stdout.strip() if ended.ok else ""


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all that it started. Nothing happens if it has ended."""
    # poll() first: after it reaped the leader its pid may be another's, and poll() holds Popen's own lock
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _started(command: Command, *, piped_input: bool) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command`; on leaving, by an error too, it is dead and reaped and its pipes are closed."""
    with ExitStack() as stack:
        secrets = _Secrets(stack)
        argv = tuple(secrets.place(part) for part in command.argv)
        environ = {**ENVIRONMENT, **{name: secrets.place(value) for name, value in command.environ.items()}}
        try:
            process = subprocess.Popen(
                argv,
                env=environ,
                stdin=subprocess.PIPE if piped_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=tuple(secrets.fds),
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            raise ClientMissing(
                f"cannot start {argv[0]}: {os.strerror(error.errno or 0).lower()}",
                hint="Install the client programs of the server's product and version.",
            ) from None
    # the memfds are closed here: only the child holds them from now on
    try:
        yield process
    finally:
        kill_group(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()


class _Secrets:
    """Puts each SecretFile into a memfd and gives its path; the same file is placed once."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._paths: dict[int, str] = {}
        self.fds: list[int] = []

    def place(self, part: str | SecretFile | Option) -> str:
        """Return `part` as the child shall see it."""
        if isinstance(part, Option):
            return part.prefix + self._path(part.file)
        return self._path(part) if isinstance(part, SecretFile) else part

    def _path(self, secret: SecretFile) -> str:
        if id(secret) not in self._paths:
            fd = os.memfd_create(secret.name, os.MFD_CLOEXEC)
            self._stack.callback(os.close, fd)
            os.fchmod(fd, 0o600)  # libpq refuses a passfile that others may read
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(secret.content)
            self.fds.append(fd)
            self._paths[id(secret)] = f"/proc/self/fd/{fd}"
        return self._paths[id(secret)]


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise DumpFailed("the client was started without its pipes", hint="This is a bug; please report it.")
    return pipe


def _widen(pipe: IO[bytes]) -> IO[bytes]:
    # a user's pipes may together hold 64 MiB only (pipe-user-pages-soft); beyond that a narrow pipe is slow, no failure
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return pipe


def _drain(pipe: IO[bytes], kept: Kept) -> threading.Thread:
    def drain() -> None:
        # ValueError, OSError: the pipe was closed because the run was stopped
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(pipe.fileno(), KEPT):
                kept.add(data)

    thread = threading.Thread(target=drain, name="drain", daemon=True)
    thread.start()
    return thread


def _read(pipe: IO[bytes], on_chunk: Callable[[bytes], None], patience: float | None, program: str) -> None:
    poll = select.poll()
    poll.register(pipe.fileno(), select.POLLIN)
    is_wide = fcntl.fcntl(pipe.fileno(), fcntl.F_GETPIPE_SZ) >= PIPE_BYTES
    while True:
        pieces, missing = [], PIECE_BYTES
        while missing:
            ready = poll.poll(None if patience is None else patience * 1000)
            if not ready:
                raise DumpFailed(
                    f"{program} gave no byte for {patience:.0f} seconds",
                    hint="See what it waits for on the server; a longer wait is given by timeouts.stall_seconds.",
                )
            if is_wide and not ready[0][1] & select.POLLHUP and _waiting(pipe) < missing:
                # clients write 4 KiB at a time: to wake for each takes both cores' time from those who have work to do
                time.sleep(NAP_SECONDS)
            piece = os.read(pipe.fileno(), missing)
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        if pieces:
            on_chunk(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if missing:
            return


def _waiting(pipe: IO[bytes]) -> int:
    """Return how many bytes lie in the pipe."""
    return int.from_bytes(fcntl.ioctl(pipe.fileno(), termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)


def _feed(pipe: IO[bytes], chunks: Iterable[bytes]) -> None:
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(pipe.fileno(), view) :]
    except BrokenPipeError:
        pass
    finally:
        pipe.close()

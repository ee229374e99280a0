"""Running other programs: one place that shows what a failed one said, and that knows how to become root."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

Say = Callable[[str], None]
Result = subprocess.CompletedProcess[str]


class CommandError(RuntimeError):
    """A program ended with an error; the message holds the command and the end of what it said."""


class NotRootError(RuntimeError):
    """Root is needed, and neither this user nor sudo gives it."""


def say_to_stderr(text: str) -> None:
    """Tell the person at the terminal, without disturbing what is piped on."""
    print(text, file=sys.stderr, flush=True)


def run(
    *argv: str,
    input: str | None = None,  # noqa: A002
    check: bool = True,
    environ: Mapping[str, str] | None = None,
) -> Result:
    """Run a program and return what it printed; a program that is missing counts as exit code 127.

    Raises CommandError when it fails and `check` is set.
    """
    stdin = subprocess.DEVNULL if input is None else None
    try:
        result = subprocess.run(
            argv, input=input, stdin=stdin, capture_output=True, text=True, check=False, env=environ
        )
    except FileNotFoundError as missing:
        result = subprocess.CompletedProcess(list(argv), 127, "", str(missing))
    if check and result.returncode != 0:
        raise CommandError(explain(argv, result.returncode, result.stderr or result.stdout))
    return result


def explain(argv: Sequence[str], returncode: int, said: str) -> str:
    """Return one message: which command, how it ended, and its last lines."""
    tail = "\n  ".join(said.strip().splitlines()[-12:])
    return f"`{shlex.join(argv)}` ended with {returncode}:\n  {tail}"


def pipe(producer: Sequence[str], consumer: Sequence[str], environ: Mapping[str, str]) -> None:
    """Run `producer | consumer` without a shell; raise CommandError if either fails."""
    with (
        subprocess.Popen(producer, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as first,
        subprocess.Popen(
            consumer, stdin=first.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environ
        ) as second,
    ):
        if first.stdout:
            first.stdout.close()  # else the producer never learns that the consumer died
        said_second = second.communicate()[1]
        said_first = first.communicate()[1]
    for argv, process, said in ((consumer, second, said_second), (producer, first, said_first)):
        if process.returncode != 0:
            raise CommandError(explain(argv, process.returncode, said))


def as_root() -> tuple[str, ...]:
    """Return what to put before a command that needs root.

    Raises NotRootError when there is no way to become root.
    """
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo") is None:
        raise NotRootError("root is needed, and sudo is not installed: run as root, or install sudo")
    # without a terminal a password prompt would hang for ever
    sudo = ("sudo",) if sys.stdin.isatty() else ("sudo", "-n")
    if run(*sudo, "true", check=False).returncode != 0:
        raise NotRootError("root is needed, and sudo refused: run as root, or as a user who may use sudo")
    return sudo

"""The program ``vya-backupdb``: its commands, and the one place where an error becomes a sentence and an exit code.

Only here is a broad `except` allowed. An expected error is two calm lines on stderr; an unknown one is a line and, with
``--verbose``, its traceback, redacted.
"""

import gc
import logging
import sys
from collections.abc import Sequence
from typing import Final

import typer
from typer.exceptions import Abort, TyperException

from vya_backupdb import __version__
from vya_backupdb.cli import commands, surroundings
from vya_backupdb.cli.invocation import Invocation
from vya_backupdb.domain.errors import BackupDBError
from vya_backupdb.domain.exitcodes import ExitCode

PROGRAM: Final = "vya-backupdb"
SIGINT_OF_TYPER: Final = 130

_log = logging.getLogger(__name__)


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the program, with the one command that `arguments` call, or with all of them."""
    made = typer.Typer(
        name=PROGRAM,
        help="Back up, restore and expire every database of a MySQL, MariaDB or PostgreSQL server.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(_program)
    commands.register(made, arguments)
    return made


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _program(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and end."
    ),
) -> None:
    del version


def main() -> None:
    """Run the program with this process's arguments, and end the process with its exit code."""
    surroundings.prepare()
    gc.freeze()
    gc.set_threshold(700, 10, 10)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the program with `arguments` and return its exit code; every error has been told on stderr by then."""
    invocation = Invocation()
    try:
        code = application(arguments)(list(arguments), standalone_mode=False, prog_name=PROGRAM, obj=invocation)
        return ExitCode.INTERRUPTED if code == SIGINT_OF_TYPER else int(code or 0)
    except BackupDBError as error:
        return _tell(invocation, error)
    except TyperException as error:
        print(f"error: {error.format_message()}\nhint: See '{PROGRAM} --help'.", file=invocation.stderr)
        return ExitCode.USAGE
    except Abort:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost edge: an unknown error still gets its exit code
        return _tell_unknown(invocation, error)


def _tell(invocation: Invocation, error: BackupDBError) -> int:
    _log.debug("%s", error.message, exc_info=error)
    invocation.show_error(error)
    invocation.deliver_failure(error)
    return error.exit_code


def _tell_unknown(invocation: Invocation, error: Exception) -> int:
    _log.debug("unexpected error", exc_info=error)
    text = invocation.redact(f"{type(error).__name__}: {error}")
    hint = "This is a bug; please report it with the output of --verbose."
    print(f"error: unexpected: {text}\nhint: {hint}", file=invocation.stderr)
    invocation.deliver_failure(None)
    return ExitCode.UNEXPECTED

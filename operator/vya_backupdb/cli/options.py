"""The options that several commands share, each described once. Hidden ones are for Jobs, as environment variables."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from vya_backupdb.cli.invocation import Format
from vya_backupdb.domain.errors import ConfigurationError

Config = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="VYA_BACKUPDB_CONFIG", help="The configuration file.", show_default=True),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        envvar="VYA_BACKUPDB_FORMAT",
        help="How to print. Default: tables on a terminal, JSON otherwise.",
        show_default=False,
    ),
]
#: As `FormatOption`, for commands that write no file, of which ``--output`` could be the name.
OutputOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        "--output",
        "-o",
        envvar="VYA_BACKUPDB_FORMAT",
        help="How to print. Default: tables on a terminal, JSON otherwise.",
        show_default=False,
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log debugging details to stderr.")]
Instance = Annotated[
    str | None,
    typer.Option("--instance", "-i", metavar="ID", help="The id of one instance.", show_default=False),
]
Databases = Annotated[
    list[str] | None,
    typer.Option("--database", "-d", metavar="NAME", help="A database; may be given often.", show_default=False),
]
RunId = Annotated[str | None, typer.Option("--run-id", envvar="VYA_BACKUPDB_RUN_ID", hidden=True)]
TerminationLog = Annotated[
    Path | None, typer.Option("--termination-log", envvar="VYA_BACKUPDB_TERMINATION_LOG", hidden=True)
]

CLIENT_PATH_VARIABLE = "VYA_BACKUPDB_CLIENT_PATH"


def parse_time(text: str | None, option: str) -> datetime | None:
    """Return the ISO 8601 time in `text`; None for None. Raise ConfigurationError if it is none, or has no zone."""
    if text is None:
        return None
    example = "2026-11-21T03:00:00+01:00"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option} {text!r} is not a time", hint=f"Write it like {example}.") from None
    if moment.utcoffset() is None:
        raise ConfigurationError(f"{option} {text!r} has no time zone", hint=f"Write it like {example}, or with 'Z'.")
    return moment

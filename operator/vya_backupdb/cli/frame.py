"""The frame that commands share: configuration, instance, format, verbosity, and who calls.

`framed` gives a command these options in front of its own; the command gets them as one `Frame`. Commands of Jobs,
which note their run before the configuration is read, do without.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

import typer

from vya_backupdb.cli import options, output, settings
from vya_backupdb.cli.auditing import who
from vya_backupdb.cli.invocation import Format, Invocation, chosen, the_one
from vya_backupdb.domain.config import AppConfig, DatabaseConfig

Own = ParamSpec("Own")


@dataclass(frozen=True, slots=True)
class Frame:
    """What a framed command was called with."""

    invocation: Invocation
    app: AppConfig
    instance: str | None
    as_json: bool

    @property
    def databases(self) -> tuple[DatabaseConfig, ...]:
        """The instance that was named, or every enabled one."""
        return chosen(self.app, self.instance)

    @property
    def database(self) -> DatabaseConfig:
        """The instance that was named, or the only enabled one. Raise ConfigurationError if there are more."""
        return the_one(self.app, self.instance)


def _shared(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    wanted: options.OutputOption = None,
    verbose: options.Verbose = False,
) -> Frame:
    invocation: Invocation = context.obj
    app = invocation.configure(config, verbose=verbose)
    return Frame(invocation, app, instance, output.chosen_format(wanted) is Format.JSON)


def framed(command: Callable[Concatenate[Frame, Own], int]) -> Callable[..., int]:
    """Return `command` with the shared options in place of its first parameter, for Typer to look at."""
    shared = inspect.signature(_shared).parameters
    own = list(inspect.signature(command).parameters.values())[1:]

    def run(**given: Any) -> int:
        frame = _shared(**{name: given.pop(name) for name in shared})
        return command(frame, **given)  # type: ignore[call-arg]  # the rest is the command's own

    parameters = [*shared.values(), *own]
    required = [one for one in parameters if one.default is inspect.Parameter.empty]
    optional = [one for one in parameters if one.default is not inspect.Parameter.empty]
    by_name = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*required, *optional)]
    run.__signature__ = inspect.Signature(by_name, return_annotation=int)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in by_name}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def caller() -> str:
    """Return the account that runs this process, and on which host, for what is noted on the volume."""
    actor = who(os.environ)
    return f"{actor.name} on {actor.hostname}"

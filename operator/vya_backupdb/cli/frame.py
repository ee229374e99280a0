"""What commands share of their options, each described once: groups of them, and the frame of a whole command.

A dataclass of options is a group: a parameter of its type stands for all its fields (`grouped`). `framed` commands have
the options of every command in front of their own; they get them as one `Frame`. Commands of Jobs, which note their run
before the configuration is read, take groups alone.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Concatenate, ParamSpec

import typer

from vya_backupdb.cli import options, output, settings
from vya_backupdb.cli.auditing import who
from vya_backupdb.cli.invocation import Format, Invocation, chosen, the_one
from vya_backupdb.domain.config import AppConfig, DatabaseConfig

Own = ParamSpec("Own")
_BY_NAME = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True, slots=True)
class Frame:
    """What a framed command was called with."""

    invocation: Invocation
    app: AppConfig
    instance: str | None
    wanted: Format | None

    @property
    def as_json(self) -> bool:
        """Whether one JSON document is to be printed."""
        return output.chosen_format(self.wanted) is Format.JSON

    @property
    def databases(self) -> tuple[DatabaseConfig, ...]:
        """The instance that was named, or every enabled one."""
        return chosen(self.app, self.instance)

    @property
    def database(self) -> DatabaseConfig:
        """The instance that was named, or the only enabled one. Raise ConfigurationError if there are more."""
        return the_one(self.app, self.instance)


@dataclass(frozen=True, slots=True)
class Configured:
    """The options of a command that needs the configuration only sometimes: where it is, and how much is logged."""

    config: options.Config = settings.DEFAULT_PATH
    verbose: options.Verbose = False

    def load(self, context: typer.Context) -> AppConfig:
        """Read the configuration."""
        invocation: Invocation = context.obj
        return invocation.configure(self.config, verbose=self.verbose)


@dataclass(frozen=True, slots=True)
class Job:
    """The hidden options of a command that the operator runs as a Job."""

    run_id: options.RunId = None
    termination_log: options.TerminationLog = None


def _frame(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    wanted: options.OutputOption = None,
    verbose: options.Verbose = False,
) -> Frame:
    invocation: Invocation = context.obj
    return Frame(invocation, invocation.configure(config, verbose=verbose), instance, wanted)


def framed(command: Callable[Concatenate[Frame, Own], int]) -> Callable[..., int]:
    """Return `command` with the options of every command in place of its first parameter, and its groups spread."""
    shared = inspect.signature(_frame).parameters
    spread = grouped(command)
    own = list(inspect.signature(spread).parameters.values())[1:]

    def run(**given: Any) -> int:
        frame = _frame(**{name: given.pop(name) for name in shared})
        return spread(frame=frame, **given)

    return _looking_like(command, run, (*shared.values(), *own))


def grouped(command: Callable[..., int]) -> Callable[..., int]:
    """Return `command` with the fields of each of its groups as options of their own, for Typer to look at."""
    parameters = inspect.signature(command).parameters
    groups = {name: one.annotation for name, one in parameters.items() if _is_group(one.annotation)}

    def run(**given: Any) -> int:
        for name, group in groups.items():
            given[name] = group(**{one.name: given.pop(one.name) for one in fields(group)})
        return command(**given)

    spread: list[inspect.Parameter] = []
    for name, one in parameters.items():
        spread += _options(groups[name]) if name in groups else [one]
    return _looking_like(command, run, spread)


def _is_group(annotation: Any) -> bool:
    return is_dataclass(annotation) and annotation is not Frame


def _options(group: Any) -> Iterator[inspect.Parameter]:
    for one in fields(group):
        default = inspect.Parameter.empty if one.default is MISSING else one.default
        yield inspect.Parameter(one.name, _BY_NAME, default=default, annotation=one.type)


def _looking_like(
    command: Callable[..., int], run: Callable[..., int], parameters: Iterable[inspect.Parameter]
) -> Callable[..., int]:
    """Return `run` with the name, the text and these `parameters` of a command, all by name."""
    by_name = [one.replace(kind=_BY_NAME) for one in parameters]
    run.__signature__ = inspect.Signature(by_name, return_annotation=int)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in by_name}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def caller() -> str:
    """Return the account that runs this process, and on which host, for what is noted on the volume."""
    actor = who(os.environ)
    return f"{actor.name} on {actor.hostname}"

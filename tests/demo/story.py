"""How a demonstration is told: each step with the command that a user would type, and what came back.

A command is shown as a person would type it and run as it is shown; where the demonstration has to add something of
its own (the path of a kubeconfig, the virtual environment), that is set once in the environment and said at the start.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

BOLD, DIM, GREEN, RED, BLUE, RESET = "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[34m", "\033[0m"


class StoryFailedError(Exception):
    """A step did not do what the story says; the message names the step."""


@dataclass
class Story:
    """A teller with an environment for its commands."""

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    colour: bool = field(default_factory=sys.stdout.isatty)
    steps: int = 0
    begun: float = field(default_factory=time.monotonic)

    def _paint(self, style: str, text: str) -> str:
        return f"{style}{text}{RESET}" if self.colour else text

    def title(self, text: str, *lines: str) -> None:
        """Print the head of the story."""
        print(self._paint(BOLD, text))
        for line in lines:
            print(line)
        sys.stdout.flush()

    def step(self, text: str) -> None:
        """Begin a numbered step."""
        self.steps += 1
        elapsed = time.monotonic() - self.begun
        print(
            f"\n{self._paint(BOLD + BLUE, f'{self.steps}. {text}')}  {self._paint(DIM, f'[{elapsed:.0f} s]')}",
            flush=True,
        )

    def say(self, text: str) -> None:
        """Print one line of explanation or progress."""
        print(f"   {text}", flush=True)

    def good(self, text: str) -> None:
        """Print what was proved."""
        print(f"   {self._paint(GREEN, '✔ ' + text)}", flush=True)

    def show(self, output: str) -> None:
        """Print what a command answered, indented."""
        for line in output.rstrip("\n").splitlines():
            print(f"     {line}")
        sys.stdout.flush()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str | None = None,
        shown: str | None = None,
        quiet: bool = False,
        codes: Sequence[int] = (0,),
    ) -> str:
        """Show a command, run it, show and return its output. Raise StoryFailedError for an exit code not in `codes`.

        `shown` replaces the shown text where the command reads something (`… < file`); `quiet` hides its output.
        """
        print(f"   {self._paint(BOLD, '$ ' + (shown or shlex.join(argv)))}", flush=True)
        done = subprocess.run(argv, input=stdin, env=dict(self.environ), capture_output=True, text=True, check=False)
        if not quiet or done.returncode not in codes:
            self.show(done.stdout + done.stderr)
        if done.returncode not in codes:
            raise StoryFailedError(f"step {self.steps}: the command above ended with exit code {done.returncode}")
        return done.stdout

    def expect(self, condition: bool, proved: str, otherwise: str) -> None:
        """Print what was proved, or raise StoryFailedError."""
        if not condition:
            raise StoryFailedError(f"step {self.steps}: {otherwise}")
        self.good(proved)

    def elapsed(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self.begun

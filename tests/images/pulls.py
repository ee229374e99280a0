"""Pulling an image once, and remembering for a while that it could not be had.

A machine without a registry must not wait for one again and again: a refusal is kept in the cache and holds for all
processes. Where the registry itself did not answer it holds for every image, else for that image alone.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# a name that a registry knows is confirmed within seconds; the layers may take long
FIRST_WORD_SECONDS: Final = 20.0
WHOLE_SECONDS: Final = 1800.0
REMEMBERED_SECONDS: Final = 12 * 3600.0
EVERY_IMAGE: Final = "*"

# words of a registry that did answer: it refuses this image, others may be had
_ANSWERED: Final = ("manifest", "not found", "does not exist", "access denied", "unauthorized", "toomanyrequests")


@dataclass(frozen=True)
class Pulls:
    """One attempt a name; `memory` is the file of refusals, `clock` returns seconds since the epoch."""

    environ: Mapping[str, str]
    memory: Path
    clock: Callable[[], float] = time.time
    docker: tuple[str, ...] = ("docker",)
    first_word_seconds: float = FIRST_WORD_SECONDS

    def pull(self, name: str) -> str:
        """Pull an image; return "" when it is there, else why it could not be had."""
        known = self.refusal(name)
        if known:
            return known
        reason = self._attempt(name)
        if reason:
            self._remember(name if any(word in reason.lower() for word in _ANSWERED) else EVERY_IMAGE, reason)
        return reason

    def refusal(self, name: str) -> str:
        """Return why this image was refused lately, or ""."""
        entries = self._read()
        for key in (name, EVERY_IMAGE):
            entry = entries.get(key)
            if entry and 0 <= self.clock() - float(entry["at"]) < REMEMBERED_SECONDS:
                return str(entry["reason"])
        return ""

    def forget(self) -> None:
        """Forget every refusal: the next pull asks again."""
        self.memory.unlink(missing_ok=True)

    def _attempt(self, name: str) -> str:
        argv = (*self.docker, "pull", name)
        environ = {**os.environ, **self.environ}
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
        ) as process:
            assert process.stdout is not None
            first = _within(self.first_word_seconds, process, process.stdout.readline)
            rest = _within(WHOLE_SECONDS, process, process.stdout.read)
        if process.returncode == 0:
            return ""
        said = (first + rest).strip().splitlines()
        return said[-1] if said else f"no answer within {self.first_word_seconds:.0f} seconds"

    def _read(self) -> dict[str, dict[str, float | str]]:
        try:
            entries: dict[str, dict[str, float | str]] = json.loads(self.memory.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return entries

    def _remember(self, key: str, reason: str) -> None:
        entries = {**self._read(), key: {"at": self.clock(), "reason": reason}}
        partial = self.memory.with_name(f"{self.memory.name}.{os.getpid()}")
        partial.write_text(json.dumps(entries, indent=1))
        partial.replace(self.memory)


def _within(seconds: float, process: "subprocess.Popen[str]", read: Callable[[], str]) -> str:
    """Return what `read` returns; the process is killed, and the read so ended, when it takes longer."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        return read()
    finally:
        timer.cancel()

"""Waiting for something that only a question can tell: a deadline, a short pause between two questions, a clear end."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_PAUSE_SECONDS: Final = 0.3


def until(what: str, ask: Callable[[], T | None], *, seconds: float) -> T:
    """Ask until the answer is true, and return it; fail, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not so within {seconds:.0f} s")
        # between two questions to another process, not instead of one
        time.sleep(_PAUSE_SECONDS)

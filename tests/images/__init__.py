"""The images under the tests: pulled where a registry answers, else built here from Debian packages.

`ensure("mariadb:11.8")` returns a reference that `docker run` takes, whatever had to be done for it. What is there
already costs nothing and needs no network. A tag or label with a hash of its recipe tells a current image from one
whose recipe has changed since. `python -m tests.images` does the same from the command line.
"""

from collections.abc import Callable

Say = Callable[[str], None]


class ImageUnavailableError(RuntimeError):
    """An image can neither be pulled nor built here; the message names it and says why."""


def ensure(name: str, say: Say | None = None) -> str:
    """Make an image available and return the reference to run.

    `name` is an official name of a server ("mariadb:11.8"), "base" (debian:trixie-slim), "operator" or "dumper"; `say`
    takes lines of progress (default: stderr). Raises ImageUnavailableError.
    """
    # inside: the cluster's own package asks for images, and is asked for the engine
    from tests.images import catalogue

    return catalogue.ensure(name, say)

"""The Docker engine under the tests: the user's where one answers, else a private dockerd of our own.

The private one has its own socket, exec root, pid file and data root, so it can stand beside an engine of the user's
that is started later, and is stopped by its pid. The user's Docker configuration and contexts are neither read nor
written: every call carries its own `DOCKER_HOST` and `DOCKER_CONFIG`.
"""

import http.client
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster import dockerd, paths
from tests.cluster.command import CommandError, NotRootError, Result, Say, pipe, run, say_to_stderr
from tests.cluster.packages import PackagesError, ensure_packages, is_known

PRIVATE_HOST: Final = f"unix://{paths.SOCKET}"
DEFAULT_SOCKET: Final = Path("/var/run/docker.sock")
_PING_SECONDS: Final = 5.0


class EngineUnavailable(RuntimeError):
    """No Docker engine answers and none can be started here; the message says why in one sentence."""


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers; `private` tells whether it is ours to stop."""

    host: str
    private: bool

    def run(self, *argv: str, input: str | None = None, check: bool = True) -> Result:  # noqa: A002
        """Run the docker command with these arguments; raise CommandError if it fails and `check` is set."""
        return run("docker", *argv, input=input, check=check, environ={**os.environ, **self.environ()})

    def pipe(self, producer: tuple[str, ...], consumer: tuple[str, ...]) -> None:
        """Run `docker PRODUCER | docker CONSUMER`."""
        pipe(("docker", *producer), ("docker", *consumer), {**os.environ, **self.environ()})

    def environ(self) -> dict[str, str]:
        """Return the variables that lead the docker command, and testcontainers, to this engine."""
        config = paths.cache() / "docker-config"
        config.mkdir(exist_ok=True)
        # testcontainers' reaper is an image that cannot be pulled everywhere; the tests stop what they start
        return {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(config), "TESTCONTAINERS_RYUK_DISABLED": "true"}


def find_engine() -> Engine | None:
    """Return an engine that answers now: DOCKER_HOST's, the system's, or our private one; start nothing."""
    candidates = (os.environ.get("DOCKER_HOST", ""), f"unix://{DEFAULT_SOCKET}", PRIVATE_HOST)
    host = next((host for host in candidates if host and _answers(host)), None)
    return None if host is None else Engine(host, private=host == PRIVATE_HOST)


def ensure_engine(say: Say = say_to_stderr) -> Engine:
    """Find an engine, or install Debian's docker.io and start a private dockerd; idempotent.

    Raises EngineUnavailable with one sentence when this machine cannot run one.
    """
    asked = os.environ.get("DOCKER_HOST", "")
    engine = find_engine()
    if asked and (engine is None or engine.host != asked) and asked != PRIVATE_HOST:
        say(f"DOCKER_HOST={asked} does not answer; looking further")
    try:
        _ensure_command(engine, say)
        return engine or find_engine() or _start_private(say)
    except (NotRootError, PackagesError, CommandError, dockerd.DaemonError) as error:
        raise EngineUnavailable(f"no Docker engine answers, and none can be started here: {error}") from error


def stop_engine(say: Say = say_to_stderr) -> None:
    """Stop the private dockerd and take away what it left in the system; the user's engine is never touched."""
    dockerd.stop(say, shared=_answers(f"unix://{DEFAULT_SOCKET}"))


def _ensure_command(engine: Engine | None, say: Say) -> None:
    if engine is None:
        ensure_packages("docker.io", "iptables", "iproute2", say=say)
    if shutil.which("docker") is None:
        # bookworm's docker.io carries the command, trixie has a package for it
        ensure_packages("docker-cli" if is_known("docker-cli") else "docker.io", say=say)


def _start_private(say: Say) -> Engine:
    say(f"starting a private Docker engine at {paths.SOCKET}")
    dockerd.start(lambda: _answers(PRIVATE_HOST))
    return Engine(PRIVATE_HOST, private=True)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PING_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PING_SECONDS)
        self.sock.connect(self._path)


def _answers(host: str) -> bool:
    if not host.startswith("unix://"):
        return run("docker", "--host", host, "version", check=False).returncode == 0
    connection = _UnixConnection(host.removeprefix("unix://"))
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

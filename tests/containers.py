"""What a test run needs around its containers: an engine, ports, memory, and a broom for what a killed run left."""

import functools
import os
import socket
from pathlib import Path
from typing import Final

from tests.cluster.engine import Engine, ensure_engine

LABEL: Final = "digital.vya.backupdb.tests"
_SPARE_BYTES: Final = 8 << 30


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody holds right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def memory_to_spare() -> bool:
    """Tell whether this machine has memory for the data of several servers."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10 > _SPARE_BYTES
    return False


@functools.cache
def prepare_engine() -> Engine:
    """Point testcontainers at the engine, and remove what an earlier run left because it was killed."""
    engine = ensure_engine()
    # before the first client is made; its reaper's image cannot be pulled everywhere, and this is our own
    os.environ.update(engine.environ())
    remove_abandoned(engine)
    return engine


def remove_abandoned(engine: Engine) -> None:
    """Remove the containers of test runs on this machine that have ended without doing so."""
    shown = "{{.ID}} {{.Label " + f'"{LABEL}"' + "}}"
    listed = engine.run("ps", "--all", "--no-trunc", "--filter", f"label={LABEL}", "--format", shown)
    for line in listed.stdout.splitlines():
        identity, _, owner = line.partition(" ")
        if _is_gone(owner):
            engine.run("rm", "--force", "--volumes", identity, check=False)


def owner() -> str:
    """Return who made a container: the label by which a later run tells whether its maker still lives."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_gone(owner: str) -> bool:
    """Tell whether a container's owner was a process of this machine that has ended."""
    host, _, pid = owner.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False

"""What the tests, the demonstration and the command line call: up, find, down."""

import contextlib
import fcntl
from collections.abc import Iterator

from tests.cluster import paths
from tests.cluster.cluster import Cluster, Provider, answers
from tests.cluster.command import Say, say_to_stderr
from tests.cluster.engine import Engine, ensure_engine, find_engine, stop_engine
from tests.cluster.local import LocalProvider


def ensure_cluster(nodes: int = 1, say: Say = say_to_stderr) -> Cluster:
    """Bring up a cluster of at least so many nodes, or find it up.

    Raises EngineUnavailable when no Docker engine can run here, ClusterError when the cluster does not become ready.
    """
    with _alone(say):
        provider = _provider(ensure_engine(say), say)
        return Cluster(provider, tuple(provider.up(nodes)))


def existing_cluster(say: Say = say_to_stderr) -> Cluster | None:
    """Return the cluster if it is up; start nothing."""
    engine = find_engine()
    if engine is None or not answers():
        return None
    provider = _provider(engine, say)
    return Cluster(provider, tuple(provider.nodes()))


def take_down(say: Say = say_to_stderr, *, engine: bool = False) -> None:
    """Take the cluster away; with `engine`, stop the private Docker engine, too."""
    with _alone(say):
        found = find_engine()
        if found is not None:
            _provider(found, say).down()
        if engine:
            stop_engine(say)


def _provider(engine: Engine, say: Say) -> Provider:
    return LocalProvider(engine, say)


@contextlib.contextmanager
def _alone(say: Say) -> Iterator[None]:
    """Hold the lock of the cluster: two `up` at a time would build the same things twice."""
    with (paths.cache() / "cluster.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that brings the cluster up or down")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield

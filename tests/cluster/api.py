"""What the tests, the demonstration and the command line call: up, find, down."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import paths
from tests.cluster.cluster import Cluster, ClusterError, Provider, answers
from tests.cluster.command import CommandError, NotRootError, Say, say_to_stderr
from tests.cluster.engine import Engine, ensure_engine, find_engine, stop_engine
from tests.cluster.kind import KindProvider, why_not
from tests.cluster.local import LocalProvider
from tests.cluster.node_images import save_all
from tests.cluster.packages import PackagesError
from tests.cluster.toolchain import ToolchainError


def ensure_cluster(nodes: int = 1, say: Say = say_to_stderr) -> Cluster:
    """Bring up a cluster of at least so many nodes, or find it up.

    Raises EngineUnavailable when no Docker engine can run here, ClusterError when the cluster does not come up on it.
    """
    with _alone(say):
        provider = _provider(ensure_engine(say), say)
        try:
            return Cluster(provider, tuple(provider.up(nodes)))
        except (CommandError, NotRootError, PackagesError, ToolchainError) as error:
            raise ClusterError(str(error)) from error


def pack_images(archive: Path, say: Say = say_to_stderr) -> str:
    """Return which provider makes the clusters here; if it is ours, write an archive of all that its nodes need.

    Brings no cluster up, and needs none. Raises EngineUnavailable when no Docker engine can run here.
    """
    with _alone(say):
        engine = ensure_engine(say)
        name = _provider(engine, say).name
        if name == LocalProvider.name:
            save_all(engine, archive, say)
        return name


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
            for provider in (KindProvider(found, say), LocalProvider(found, say)):
                provider.down()
        if engine:
            stop_engine(say)


def _provider(engine: Engine, say: Say) -> Provider:
    """Return the provider whose nodes exist, else the best that can be used here."""
    kind, local = KindProvider(engine, say), LocalProvider(engine, say)
    existing: list[Provider] = [provider for provider in (kind, local) if provider.nodes()]
    if existing:
        return existing[0]
    asked = os.environ.get("VYA_BACKUPDB_CLUSTER", "")
    if asked:
        return kind if asked == "kind" else local
    refusal = why_not(engine)
    if refusal is None:
        return kind
    say(f"kind cannot be used here: {refusal}; using nodes of our own")
    return local


@contextlib.contextmanager
def _alone(say: Say) -> Iterator[None]:
    """Hold the lock of the cluster: two `up` at a time would build the same things twice."""
    with (paths.cache() / "cluster.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that brings the cluster up or down")
            fcntl.flock(lock, fcntl.LOCK_EX)
        _sweep()
        yield


def _sweep() -> None:
    """Remove what a killed `up` had written aside; nobody else writes there while we hold the lock."""
    for folder in (*paths.cache().glob(".*-*"), *paths.binaries().glob(".*-*")):
        shutil.rmtree(folder, ignore_errors=True)

"""A cluster that is up, and the interface that both providers offer."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.cluster import paths
from tests.cluster.command import CommandError, Result, explain, run

_AWAY_SECONDS: Final = 60
_REFUSED: Final = "was refused - did you specify the right host or port?"


class ClusterError(RuntimeError):
    """The cluster did not come up, or does not answer; the message says what was waited for."""


class Provider(Protocol):
    """Something that makes a cluster, and takes it away."""

    @property
    def name(self) -> str:
        """`kind` or `local`."""

    def up(self, nodes: int) -> Sequence[str]:
        """Bring up a cluster of at least so many nodes, or find it up; return the nodes' names."""

    def down(self) -> None:
        """Take everything away that `up` made, except for caches and images."""

    def nodes(self) -> Sequence[str]:
        """Return the names of the nodes that exist."""

    def load(self, *images: str) -> None:
        """Give images of the engine to every node."""

    def logs(self, node: str, component: str) -> str:
        """Return what a component of a node has logged."""

    def exec(self, node: str, *argv: str, input: str | None = None, check: bool = True) -> Result:  # noqa: A002
        """Run a command on a node."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up."""

    maker: Provider
    nodes: tuple[str, ...]

    @property
    def provider(self) -> str:
        """Return `kind` or `local`."""
        return self.maker.name

    @property
    def kubeconfig(self) -> Path:
        """Return the path of the cluster's own kubeconfig."""
        return paths.kubeconfig()

    def kubectl(self, *argv: str, input: str | None = None, check: bool = True) -> Result:  # noqa: A002
        """Run the cluster's own kubectl; raise CommandError if it fails and `check` is set."""
        return kubectl(*argv, input=input, check=check)

    def load(self, *images: str) -> None:
        """Give images of the engine to every node; those that are there already cost nothing."""
        self.maker.load(*images)

    def exec(self, node: str, *argv: str, input: str | None = None, check: bool = True) -> Result:  # noqa: A002
        """Run a command on a node."""
        return self.maker.exec(node, *argv, input=input, check=check)

    def logs(self, node: str, component: str) -> str:
        """Return what a component of a node has logged."""
        return self.maker.logs(node, component)


def environ() -> dict[str, str]:
    """Return the variables with which `kubectl` is the cluster's own, and leaves the user's folders alone."""
    return {
        "KUBECONFIG": str(paths.kubeconfig()),
        "KUBECACHEDIR": str(paths.cache() / "kubectl"),
        "PATH": f"{paths.binaries()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def kubectl(*argv: str, input: str | None = None, check: bool = True) -> Result:  # noqa: A002
    """Run the cluster's own kubectl against the cluster.

    A command whose connection is refused has done nothing: it is given again until the API server, which a node starts
    anew when it ends, had time to come back.
    """
    deadline = time.monotonic() + _AWAY_SECONDS
    while True:
        result = _kubectl(*argv, input=input)
        if result.returncode == 0 or _REFUSED not in result.stderr or time.monotonic() > deadline:
            break
        time.sleep(1)
    if check and result.returncode != 0:
        raise CommandError(explain(("kubectl", *argv), result.returncode, result.stderr or result.stdout))
    return result


def _kubectl(*argv: str, input: str | None = None) -> Result:  # noqa: A002
    binary = str(paths.binaries() / "kubectl")
    return run(binary, *argv, input=input, check=False, environ={**os.environ, **environ()})


def answers() -> bool:
    """Tell whether the API server says that it is ready."""
    if not paths.kubeconfig().exists():
        return False
    return _kubectl("get", "--raw=/readyz", "--request-timeout=5s").returncode == 0


def apply(manifest: str) -> None:
    """Apply a manifest as ours, whoever has touched it."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=manifest)


def wait_for(what: str, *argv: str, seconds: int) -> None:
    """Wait with `kubectl wait`; raise ClusterError, naming what was waited for."""
    try:
        kubectl("wait", f"--timeout={seconds}s", *argv)
    except CommandError as error:
        raise ClusterError(f"{what} within {seconds} s: {error}{_warnings()}") from error


def roll_out(what: str, namespace: str, workload: str, *, seconds: int) -> None:
    """Wait until a workload runs as it is specified now; raise ClusterError, naming what was waited for."""
    try:
        kubectl(f"--namespace={namespace}", "rollout", "status", workload, f"--timeout={seconds}s")
    except CommandError as error:
        raise ClusterError(f"{what} within {seconds} s: {error}{_warnings()}") from error


def _warnings() -> str:
    """Return the last warnings that the cluster has to tell: most often the cause."""
    columns = "custom-columns=:.involvedObject.kind,:.involvedObject.name,:.message"
    options = ("--all-namespaces", "--field-selector=type=Warning", "--sort-by=.lastTimestamp", "--no-headers")
    lines = kubectl("get", "events", *options, "-o", columns, check=False).stdout.strip().splitlines()
    return "".join(f"\n  {' '.join(line.split())[:400]}" for line in lines[-3:])

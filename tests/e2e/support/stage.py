"""The stage of all stories: the chart installed once, the servers up, a fresh restricted namespace for each story.

The operator of this release watches the stories' namespaces only. Another release that watches every namespace (the
demonstration leaves one) is paused meanwhile: a test that stops the operator must not have a second one do its work.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests import helm, images
from tests.cluster import Cluster, paths
from tests.e2e.support import databases
from tests.e2e.support.databases import Database
from tests.e2e.support.manifests import claim, secret
from tests.e2e.support.node import processes
from tests.e2e.support.space import Manifest, Space
from tests.e2e.support.volume import Volume, mount

RELEASE: Final = "vya-e2e"
STORIES: Final = ("main", "two", "heal", "kill", "secrets", "clock", "gone", "gone-too")
#: For work on the tests: keep everything, and take a stage that an earlier run has left as it is.
KEEP: Final = "VYA_BACKUPDB_E2E_KEEP"
_HELM_OF_THE_README: Final = "vya-backupdb"


@dataclass(frozen=True)
class Stage:
    """What stands when a story begins."""

    cluster: Cluster
    operator: Space
    databases: dict[str, Database]
    dumper_image: str

    def space(self, story: str) -> Space:
        """Return the namespace of a story."""
        return Space(self.cluster, f"{RELEASE}-{story}")

    def furnish(self, story: str) -> Space:
        """Return the namespace of a story with the account of each server and the claim `backups` in it."""
        space = self.space(story)
        space.apply(*(secret(product, **databases.account(product)) for product in self.databases), claim())
        return space

    def volume(self, space: Space, claim_name: str = "backups") -> Volume:
        """Return the volume of a claim, mounted."""
        return mount(space, self.dumper_image, claim_name)

    def operator_pods(self) -> list[Manifest]:
        """Return the operator's pods."""
        return self.operator.items("pods", "app.kubernetes.io/name=vya-backupdb")

    def kill_operator(self) -> None:
        """End the operator's process as `kill -9` does, and have another pod start at once.

        The pod goes, too: kubelet would wait longer before each restart of the same one.
        """
        for pod in self.operator_pods():
            for process in processes(self.cluster, pod):
                process.kill()
            name = pod["metadata"]["name"]
            self.operator.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")

    def scale_operator(self, replicas: int) -> None:
        """Stop the operator (0) or start it (1), and return when that is so."""
        self.operator.kubectl("scale", f"deployment/{RELEASE}-vya-backupdb", f"--replicas={replicas}")
        if replicas == 0:
            self.operator.kubectl("wait", "pods", "--all", "--for=delete", "--timeout=90s")
        else:
            self.operator_ready()

    def operator_ready(self) -> None:
        """Return when the operator is up."""
        self.operator.kubectl("rollout", "status", f"deployment/{RELEASE}-vya-backupdb", "--timeout=120s")

    def operator_logs(self) -> str:
        """Return what the operator has printed, before its last end, too."""
        pods = [pod["metadata"]["name"] for pod in self.operator_pods()]
        return "".join(self.operator.logs(f"pod/{pod}") + self.operator.logs(f"pod/{pod}", "-p") for pod in pods)


@contextmanager
def set_stage(cluster: Cluster) -> Iterator[Stage]:
    """Set everything up, and take everything away."""
    operator_image, dumper_image = images.ensure("operator"), images.ensure("dumper")
    cluster.load(operator_image, dumper_image)
    servers = Space(cluster, databases.NAMESPACE)
    spaces = [Space(cluster, RELEASE), *(Space(cluster, f"{RELEASE}-{story}") for story in STORIES)]
    if os.environ.get(KEEP) and spaces[0].kubectl("get", "deployments", "-o", "name").stdout:
        yield Stage(cluster, spaces[0], databases.find(servers), dumper_image)
        return
    _uninstall()
    # the servers, too: a run that was killed has left databases on them
    _remove(cluster, [servers, *spaces])
    for space in (servers, *spaces):
        space.create()
    found = databases.start(servers)
    with _others_paused(cluster):
        _install_definitions(cluster)
        stage = Stage(cluster, spaces[0], found, dumper_image)
        _install([space.name for space in spaces[1:]])
        databases.await_all(servers)
        try:
            yield stage
        finally:
            if not os.environ.get(KEEP):
                _uninstall()
                _remove(cluster, [servers, *spaces])


def _install(namespaces: list[str]) -> None:
    listed = ",".join(f'"{name}"' for name in namespaces)
    settings = ("--set", "crds.enabled=false", "--set", "logLevel=DEBUG", "--set-json", f"watchNamespaces=[{listed}]")
    chart = str(paths.CHECKOUT / "charts" / "vya-backupdb")
    _helm("upgrade", "--install", RELEASE, chart, "--namespace", RELEASE, *settings, "--wait")


def _uninstall() -> None:
    _helm("uninstall", RELEASE, "--namespace", RELEASE, "--ignore-not-found", "--wait")


def _helm(*argv: str) -> None:
    assert helm.main([*argv, "--kubeconfig", str(paths.kubeconfig())]) == 0, f"helm {' '.join(argv)} failed"


def _install_definitions(cluster: Cluster) -> None:
    """Apply the CRDs, and mark them such that an install as in the README, later, may take them over."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(paths.CHECKOUT / "crds"))
    names = cluster.kubectl("get", "-f", str(paths.CHECKOUT / "crds"), "-o", "name").stdout.split()
    cluster.kubectl("wait", *names, "--for=condition=Established", "--timeout=60s")
    owned = "meta.helm.sh/release-name"
    for name in names:
        if owned not in cluster.kubectl("get", name, "-o", "jsonpath={.metadata.annotations}").stdout:
            release = (f"{owned}={_HELM_OF_THE_README}", f"meta.helm.sh/release-namespace={_HELM_OF_THE_README}")
            cluster.kubectl("annotate", name, *release)
            cluster.kubectl("label", name, "app.kubernetes.io/managed-by=Helm")


def _remove(cluster: Cluster, spaces: list[Space]) -> None:
    names = [space.name for space in spaces]
    cluster.kubectl("delete", "namespace", *names, "--ignore-not-found", "--timeout=180s")


@contextmanager
def _others_paused(cluster: Cluster) -> Iterator[None]:
    """Scale down the operators of other releases that watch every namespace; bring them back at the end."""
    template = "{range .items[*]}{.metadata.namespace} {.metadata.name} {.spec.template.spec.containers[0].args}\n{end}"
    selector = "app.kubernetes.io/name=vya-backupdb"
    listed = cluster.kubectl("get", "deployments", "-A", "-l", selector, "-o", f"jsonpath={template}").stdout
    rows = [line.split(" ", 2) for line in listed.splitlines() if not os.environ.get(KEEP)]
    others = [(space, name) for space, name, args in rows if "--all-namespaces" in args]
    for space, name in others:
        print(f"the operator in namespace {space} is paused for these tests", file=sys.stderr)
        cluster.kubectl("-n", space, "scale", f"deployment/{name}", "--replicas=0")
    try:
        yield
    finally:
        for space, name in others:
            cluster.kubectl("-n", space, "scale", f"deployment/{name}", "--replicas=1")

"""The provider `kind`: the first choice wherever the machine can run privileged containers and has the node image.

kind's node image is what a registry must give, and its nodes are privileged. Where either is refused,
`why_not` says so in one line and the provider `local` is used instead.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from tests.cluster import capabilities, cluster, paths
from tests.cluster.cluster import ClusterError
from tests.cluster.command import CommandError, Result, Say, run
from tests.cluster.engine import Engine
from tests.cluster.node_images import BUSYBOX
from tests.cluster.toolchain import find_go

# the node image of Kubernetes 1.36 that kind's authors published, by digest
NODE_IMAGE: Final = "kindest/node:v1.36.1@sha256:3489c7674813ba5d8b1a9977baea8a6e553784dab7b84759d1014dbd78f7ebd5"
_KIND: Final = "v0.33.0"
_BUSYBOX: Final = "busybox:1.37"
_LABEL: Final = f"io.x-k8s.kind.cluster={paths.CLUSTER}"
_NETWORK: Final = "vya-backupdb-kind"
_API_SECONDS: Final = 90
_SMALL_VOLUMES: Final = 4
_SMALL_SIZE: Final = "64Mi"


def why_not(engine: Engine) -> str | None:
    """Return why kind cannot be used here, or None; pulls the node image to know it."""
    lacking = capabilities.missing()
    if lacking:
        return f"its privileged nodes need {', '.join('CAP_' + name for name in lacking)}, which this machine has not"
    if engine.run("image", "inspect", NODE_IMAGE, check=False).returncode != 0:
        pulled = engine.run("pull", "--quiet", NODE_IMAGE, check=False)
        if pulled.returncode != 0:
            return f"its node image cannot be pulled: {(pulled.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    return None


class KindProvider:
    """Clusters that kind makes."""

    name = "kind"

    def __init__(self, engine: Engine, say: Say) -> None:
        self._engine = engine
        self._say = say

    def up(self, nodes: int) -> Sequence[str]:
        """Bring up, mend or find the cluster.

        Raises ClusterError when it does not come up.
        """
        existing = self.nodes()
        if len(existing) >= nodes and cluster.answers():
            self._say(f"already up: {len(existing)} node(s), KUBECONFIG={paths.kubeconfig()}")
            return existing
        if existing and not self._come_back(existing, nodes):
            self._say("the nodes did not come back, or are too few; making new ones")
            self.down()
        if not self.nodes():
            self._create(nodes)
        self._finish()
        return self.nodes()

    def down(self) -> None:
        """Delete the cluster, its network and its kubeconfig."""
        containers = list(self.nodes())
        if containers:
            self._say(f"removing {', '.join(containers)}")
            self._engine.run("rm", "--force", "--volumes", *containers)
        self._engine.run("network", "rm", _NETWORK, check=False)
        paths.kubeconfig().unlink(missing_ok=True)

    def nodes(self) -> Sequence[str]:
        """Return the names of the nodes that exist; they are those of the containers, too."""
        listed = self._engine.run("ps", "--all", "--filter", f"label={_LABEL}", "--format", "{{.Names}}").stdout
        return tuple(sorted(listed.split()))

    def load(self, *images: str) -> None:
        """Give images of the engine to every node; kind leaves out what a node has."""
        self._kind("load", "docker-image", "--name", paths.CLUSTER, *images)

    def logs(self, node: str, component: str) -> str:
        """Return a component's log: the kubelet's and containerd's from the journal, a control plane's from its pod."""
        if component in {"kubelet", "containerd"}:
            return self.exec(node, "journalctl", "--no-pager", "-u", component).stdout
        return cluster.kubectl("--namespace=kube-system", "logs", f"{component}-{node}").stdout

    def exec(self, node: str, *argv: str, input: str | None = None, check: bool = True) -> Result:  # noqa: A002
        """Run a command on a node."""
        interactive = ("-i",) if input is not None else ()
        return self._engine.run("exec", *interactive, node, *argv, input=input, check=check)

    def _come_back(self, existing: Sequence[str], nodes: int) -> bool:
        if len(existing) < nodes:
            return False
        self._engine.run("start", *existing, check=False)
        deadline = time.monotonic() + _API_SECONDS
        while not cluster.answers():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True

    def _create(self, nodes: int) -> None:
        self._say(f"creating a kind cluster of {nodes} node(s)")
        roles = [{"role": "control-plane"}, *({"role": "worker"} for _ in range(nodes - 1))]
        config = yaml.safe_dump({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": roles})
        paths.kubeconfig().parent.mkdir(parents=True, exist_ok=True)
        where = ("--name", paths.CLUSTER, "--image", NODE_IMAGE, "--kubeconfig", str(paths.kubeconfig()))
        try:
            self._kind("create", "cluster", *where, "--config", "-", "--wait", "180s", input=config)
        except CommandError as error:
            raise ClusterError(f"kind cannot make the cluster: {error}") from error

    def _finish(self) -> None:
        self._take_kubectl()
        # a worker beside it makes the control plane refuse pods; here every node takes them
        cluster.kubectl("taint", "nodes", "--all", "node-role.kubernetes.io/control-plane-", check=False)
        # kind's volumes are hostPath, which gets no fsGroup, unless its provisioner is told otherwise
        cluster.kubectl("annotate", "--overwrite", "storageclass/standard", "defaultVolumeType=local")
        for node in self.nodes():
            cluster.apply(self._small_volumes(node))
        if self._engine.run("image", "inspect", BUSYBOX, check=False).returncode != 0:
            self._engine.run("pull", "--quiet", _BUSYBOX)
            self._engine.run("tag", _BUSYBOX, BUSYBOX)
        self.load(BUSYBOX)

    def _take_kubectl(self) -> None:
        node = self.nodes()[0]
        with tempfile.TemporaryDirectory(dir=paths.binaries(), prefix=".kubectl-") as aside:
            self._engine.run("cp", f"{node}:/usr/bin/kubectl", f"{aside}/kubectl")
            Path(aside, "kubectl").rename(paths.binaries() / "kubectl")

    def _small_volumes(self, node: str) -> str:
        """Return the class `small` and its volumes on a node: each a small tmpfs, mounted here."""
        documents: list[object] = [{
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "small"},
            "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer",
        }]  # fmt: skip
        for number in range(_SMALL_VOLUMES):
            folder = f"/var/small/{number}"
            if self.exec(node, "mountpoint", "-q", folder, check=False).returncode != 0:
                self.exec(node, "mkdir", "-p", folder)
                self.exec(node, "mount", "-t", "tmpfs", "-o", f"size={_SMALL_SIZE}", "tmpfs", folder)
            host = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
            documents.append({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"small-{node}-{number}"},
                "spec": {
                    "capacity": {"storage": _SMALL_SIZE}, "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
                    "storageClassName": "small", "persistentVolumeReclaimPolicy": "Retain", "local": {"path": folder},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}},
                },
            })  # fmt: skip
        return yaml.safe_dump_all(documents)

    def _kind(self, *argv: str, input: str | None = None) -> Result:  # noqa: A002
        environ = {**os.environ, **self._engine.environ(), "KIND_EXPERIMENTAL_DOCKER_NETWORK": _NETWORK}
        return run(str(_kind_binary(self._say)), *argv, input=input, environ=environ)


def _kind_binary(say: Say) -> Path:
    """Return kind: the one on PATH, else the pinned one, compiled into the cache."""
    found = shutil.which("kind")
    target = paths.binaries() / f"kind-{_KIND}"
    if found or target.exists():
        return Path(found) if found else target
    go = find_go(say)
    say(f"compiling kind {_KIND}")
    with tempfile.TemporaryDirectory(dir=paths.binaries(), prefix=".kind-") as aside:
        run(str(go.binary), "install", f"sigs.k8s.io/kind@{_KIND}", environ={**go.environ(), "GOBIN": aside})
        Path(aside, "kind").rename(target)
    return target

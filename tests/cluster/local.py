"""The provider `local`: nodes of our own making, as containers of a Docker engine; needs no registry.

A node is a container `vya-backupdb-nodeN`. A cluster is complete when the file `complete.json` names the start of each
of its containers: `up` writes it last, so an interrupted `up`, or a restarted node, is seen and mended.
"""

import json
import time
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from tests.cluster import capabilities, cluster, leftovers, node_images, paths, settings
from tests.cluster.cluster import ClusterError
from tests.cluster.command import NotRootError, Result, Say, as_root
from tests.cluster.engine import Engine

_PREFIX: Final = "vya-backupdb-node"
_API_SECONDS: Final = 90
_NODE_SECONDS: Final = 120


class LocalProvider:
    """Clusters of our own nodes."""

    name = "local"

    def __init__(self, engine: Engine, say: Say) -> None:
        self._engine = engine
        self._say = say

    def up(self, nodes: int) -> Sequence[str]:
        """Bring up, mend or find the cluster.

        Raises ClusterError when it does not become ready.
        """
        if nodes > settings.MAXIMUM_NODES:
            raise ClusterError(f"{nodes} nodes are asked for: {settings.MAXIMUM_NODES} is the most")
        starts = self._starts()
        if len(starts) >= nodes and starts == self._complete() and cluster.answers():
            self._say(f"already up: {len(starts)} node(s), KUBECONFIG={paths.kubeconfig()}")
            return self.nodes()
        begun = time.monotonic()
        self._refuse_overlay()
        image = node_images.ensure_node_image(self._engine, self._say)
        existing = self._containers()
        for name in existing:
            self._engine.run("start", name, check=False)
        self._make_missing(image, max(nodes, len(existing)))
        if not self._answers_in_time() and existing:
            self._say("the nodes did not come back as they were left; making new ones")
            self.down()
            self._make_missing(image, nodes)
        self._finish(restarted=bool(existing))
        self._say(
            f"up in {time.monotonic() - begun:.0f} s: {len(self.nodes())} node(s), KUBECONFIG={paths.kubeconfig()}"
        )
        return self.nodes()

    def down(self) -> None:
        """Remove the nodes, their volumes, network, control groups and kubeconfig."""
        containers = list(self._containers())
        if containers:
            self._say(f"removing {', '.join(containers)}")
            self._engine.run("rm", "--force", "--volumes", *containers)
        if self._engine.run("network", "inspect", paths.NETWORK, check=False).returncode == 0:
            self._engine.run("network", "rm", paths.NETWORK)
        self._remove_control_groups()
        for path in (self._complete_file(), paths.kubeconfig()):
            path.unlink(missing_ok=True)

    def nodes(self) -> Sequence[str]:
        """Return the names of the nodes that exist."""
        return tuple(name.removeprefix("vya-backupdb-") for name in self._containers())

    def load(self, *images: str) -> None:
        """Give images of the engine to every node; what a node has already is not sent again."""
        for node in self.nodes():
            wanted = {image: self._identity(image) for image in images}
            has = self._loaded(node)
            missing = [image for image, identity in wanted.items() if has.get(image) != identity]
            if missing:
                self._say(f"loading into {node}: {', '.join(missing)}")
                consumer = ("exec", "-i", f"vya-backupdb-{node}", "ctr", "-n", "k8s.io", "images", "import", "-")
                self._engine.pipe(("save", *missing), consumer)
                record = json.dumps({**has, **wanted})
                self.exec(node, "tee", _LOADED, input=record)

    def logs(self, node: str, component: str) -> str:
        """Return a component's log; `ends` lists which component ended when, and how."""
        return self.exec(node, "cat", f"/var/log/node/{component}.log").stdout

    def exec(self, node: str, *argv: str, input: str | None = None, check: bool = True) -> Result:  # noqa: A002
        """Run a command on a node."""
        interactive = ("-i",) if input is not None else ()
        return self._engine.run("exec", *interactive, f"vya-backupdb-{node}", *argv, input=input, check=check)

    def _containers(self) -> list[str]:
        listed = self._engine.run("ps", "--all", "--filter", f"name=^{_PREFIX}", "--format", "{{.Names}}").stdout
        return sorted(listed.split())

    def _starts(self) -> dict[str, str]:
        """Return when each running node was started."""
        names = self._containers()
        template = "{{.Name}} {{.State.Running}} {{.Id}} {{.State.StartedAt}}"
        listed = self._engine.run("inspect", "--format", template, *names).stdout if names else ""
        rows = [line.split(maxsplit=2) for line in listed.splitlines()]
        return {name.lstrip("/"): start for name, running, start in rows if running == "true"}

    def _complete_file(self) -> Path:
        return paths.kubeconfig().parent / "complete.json"

    def _complete(self) -> object:
        return json.loads(self._complete_file().read_text()) if self._complete_file().exists() else None

    def _make_missing(self, image: str, nodes: int) -> None:
        """Make the nodes that are missing; without node 1, which holds the state, all are made anew."""
        if f"{_PREFIX}1" not in self._containers() or not paths.kubeconfig().exists():
            self.down()
            self._prepare()
        existing = self._containers()
        for number in range(1, nodes + 1):
            if f"{_PREFIX}{number}" not in existing:
                self._say(f"starting node{number}")
                self._start(image, number)

    def _prepare(self) -> None:
        memory = int(self._engine.run("info", "--format", "{{.MemTotal}}").stdout)
        paths.kubeconfig().parent.mkdir(parents=True, exist_ok=True)
        cgroup = "/" if self._one_hierarchy() else f"/{_PREFIX}{{number}}"
        settings.write_settings(self._settings(), settings.size_of_node(memory), cgroup)
        if self._engine.private:  # nothing of this network exists: what has its addresses is a dead engine's
            leftovers.remove_links(as_root(), IPv4Network(paths.NODE_NETWORK))
        # no masquerading here and no default route in the nodes: nothing can leave the machine
        masquerade = ("--opt", "com.docker.network.bridge.enable_ip_masquerade=false")
        self._engine.run("network", "create", "--subnet", paths.NODE_NETWORK, *masquerade, paths.NETWORK)

    def _refuse_overlay(self) -> None:
        """Refuse an engine whose data lies on overlayfs (in a container, say): nodes could not mount images there.

        Raises ClusterError.
        """
        driver, root = self._engine.run("info", "--format", "{{.Driver}} {{.DockerRootDir}}").stdout.split()
        if driver == "vfs":
            raise ClusterError(f"overlayfs cannot be mounted in {root}: put it on a plain disk (XDG_CACHE_HOME)")

    def _settings(self) -> Path:
        return paths.kubeconfig().parent / "settings"

    def _one_hierarchy(self) -> bool:
        return self._engine.run("info", "--format", "{{.CgroupVersion}}").stdout.strip() == "2"

    def _start(self, image: str, number: int) -> None:
        name = f"{_PREFIX}{number}"
        size = settings.size_of_node(int(self._engine.run("info", "--format", "{{.MemTotal}}").stdout))
        groups = ("--cgroupns=private",) if self._one_hierarchy() else ("--volume", "/sys/fs/cgroup:/sys/fs/cgroup")
        variables = {
            "NODE": str(number), "CGROUP": name, "SERVICE_RANGE": paths.SERVICE_RANGE, "POD_RANGE": paths.POD_RANGE,
        }  # fmt: skip
        self._engine.run(
            "create", "--name", name, "--hostname", f"node{number}", *capabilities.arguments(), *groups,
            "--memory", str(size.node), "--cpu-shares", "512", "--sysctl", "net.ipv4.ip_forward=1",
            "--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/var/lib/cni",
            "--network", paths.NETWORK, "--ip", settings.address(number),
            *(part for key, value in variables.items() for part in ("--env", f"{key}={value}")), image,
        )  # fmt: skip
        self._engine.run("cp", f"{self._settings() / f'node{number}'}/.", f"{name}:/etc/kubernetes/")
        self._engine.run("start", name)

    def _answers_in_time(self) -> bool:
        deadline = time.monotonic() + _API_SECONDS
        while not cluster.answers():
            if time.monotonic() > deadline or not self._starts():
                return False
            time.sleep(0.5)
        return True

    def _finish(self, *, restarted: bool) -> None:
        """Bring the nodes to Ready, and DNS and storage to the cluster."""
        if not self._answers_in_time():
            raise ClusterError(f"the API server does not answer within {_API_SECONDS} s: {self._last_words()}")
        self._route()
        nodes = [f"node/{name}" for name in self.nodes()]
        cluster.wait_for("nodes did not register", "--for=create", *nodes, seconds=_NODE_SECONDS)
        # before the first pod: a kubelet that misses an image once tries again only after a while
        self.load(*node_images.SUPPORT)
        cluster.apply((paths.HERE / "storage.yaml").read_text())
        cluster.apply((paths.HERE / "coredns" / "coredns.yaml").read_text())
        cluster.wait_for("nodes did not become ready", "--for=condition=Ready", *nodes, seconds=_NODE_SECONDS)
        if restarted:
            # what the API server says of a node and its pods is from before the restart: only a new pod proves them
            cluster.kubectl("--namespace=kube-system", "rollout", "restart", "deployment/coredns")
        cluster.roll_out("cluster DNS did not come up", "kube-system", "deployment/coredns", seconds=_NODE_SECONDS)
        self._complete_file().write_text(json.dumps(self._starts()))

    def _last_words(self) -> str:
        """Return why the control plane is not there, as far as it told."""
        log = self.exec("node1", "tail", "-n", "5", "/var/log/node/kube-apiserver.log", check=False).stdout
        return log or self._engine.run("logs", "--tail", "5", f"{_PREFIX}1", check=False).stderr or "it said nothing"

    def _route(self) -> None:
        """Tell each node by which other node the pods of that one are reached."""
        numbers = [int(name.removeprefix("node")) for name in self.nodes()]
        for here in numbers:
            for there in numbers:
                if here != there:
                    via = settings.address(there)
                    self.exec(f"node{here}", "ip", "route", "replace", settings.pod_range(there), "via", via)

    def _identity(self, image: str) -> str:
        return self._engine.run("image", "inspect", "--format", "{{.Id}}", image).stdout.strip()

    def _loaded(self, node: str) -> dict[str, str]:
        record = self.exec(node, "cat", _LOADED, check=False)
        return dict(json.loads(record.stdout)) if record.returncode == 0 else {}

    def _remove_control_groups(self) -> None:
        names = [f"{_PREFIX}{number}" for number in range(1, settings.MAXIMUM_NODES + 1)]
        try:
            leftovers.remove_control_groups(as_root(), *names)
        except NotRootError:
            folders = [f"/sys/fs/cgroup/{hierarchy}{name}" for name in names for hierarchy in ("", "*/")]
            self._say(f"not root: empty control groups may remain: rmdir {' '.join(folders)}")


# beside containerd's own data: it is gone exactly when the images are
_LOADED: Final = "/var/lib/containerd/loaded.json"

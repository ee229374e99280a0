"""What is copied into a node before it starts: certificates, kubeconfigs, the kubelet's and the pod network's settings.

Written once for a cluster and kept beside its kubeconfig, so that a node can join later, or be made again.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cluster import paths, pki

MAXIMUM_NODES: Final = 4
_GIB: Final = 1024**3
_DAEMONS: Final = 3 * _GIB // 2
_COMPONENTS: Final = {
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "admin": ("vya-backupdb-admin", "system:masters"),
}


@dataclass(frozen=True)
class Size:
    """How much of the host's memory a node takes, in bytes."""

    host: int
    node: int

    @property
    def reserved(self) -> int:
        """What the kubelet must not give to pods: the host's part, and the node's own daemons'."""
        return self.host - self.node + _DAEMONS


def size_of_node(host: int) -> Size:
    """Return the size of a node on a host of so many bytes: a third, from 3 to 8 GiB, so that the host stays usable."""
    return Size(host, min(host, max(3 * _GIB, min(8 * _GIB, host // 3))))


def address(number: int) -> str:
    """Return the address of a node on the nodes' network."""
    prefix = paths.NODE_NETWORK.rpartition(".")[0]
    return f"{prefix}.{number + 1}"


def pod_range(number: int) -> str:
    """Return the addresses of a node's pods."""
    return f"10.244.{number}.0/24"


def write_settings(folder: Path, size: Size, cgroup: str) -> None:
    """Write the settings of all nodes that a cluster can have, and the cluster's kubeconfig; replaces older ones."""
    shutil.rmtree(folder, ignore_errors=True)
    authority = pki.Authority()
    server = f"https://{address(1)}:6443"
    shared = _certificates(authority, server)
    for number in range(1, MAXIMUM_NODES + 1):
        node = folder / f"node{number}"
        kubelet = authority.issue(f"system:node:node{number}", "system:nodes", f"node{number}", address(number))
        files: dict[str, bytes | str] = {
            **{f"pki/{name}": content for name, content in shared.items()},
            "pki/kubelet.crt": kubelet.certificate,
            "pki/kubelet.key": kubelet.key,
            "pki/kubelet.conf": pki.kubeconfig(server, authority.pair.certificate, kubelet),
            "kubelet.yaml": yaml.safe_dump(_kubelet(size, cgroup.format(number=number))),
            "cni/10-pods.conflist": json.dumps(_pod_network(number)),
        }
        for name, content in files.items():
            (node / name).parent.mkdir(parents=True, exist_ok=True)
            pki.write_private(node / name, content)
    pki.write_private(paths.kubeconfig(), shared["admin.conf"])


def _certificates(authority: pki.Authority, server: str) -> dict[str, bytes | str]:
    names = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
        "127.0.0.1",
        "10.96.0.1",
        address(1),
    )
    private, public = pki.key_pair()
    files: dict[str, bytes | str] = {"service-accounts.key": private, "service-accounts.pub": public}
    pairs = {"ca": authority.pair, "apiserver": authority.issue("kube-apiserver", "", *names)}
    for name, (user, group) in _COMPONENTS.items():
        pairs[name] = authority.issue(user, group)
        files[f"{name}.conf"] = pki.kubeconfig(server, authority.pair.certificate, pairs[name])
    for name, pair in pairs.items():
        files |= {f"{name}.crt": pair.certificate, f"{name}.key": pair.key}
    return files


def _kubelet(size: Size, cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/etc/kubernetes/pki/kubelet.crt",
        "tlsPrivateKeyFile": "/etc/kubernetes/pki/kubelet.key",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failSwapOn": False,
        "failCgroupV1": False,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDomain": "cluster.local",
        "clusterDNS": [paths.DNS_ADDRESS],
        "resolvConf": "/etc/resolv.conf",
        # the node shares the host's disk, so the fill of that disk says nothing about the node
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
        "localStorageCapacityIsolation": False,
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "syncFrequency": "10s",
        "systemReserved": {"memory": str(size.reserved), "cpu": "100m"},
    }


def _pod_network(number: int) -> dict[str, Any]:
    # ptp needs no bridge, and so no br_netfilter
    ranges = [[{"subnet": pod_range(number)}]]
    ipam = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }

"""Where everything of the test cluster lies, and the names and addresses that it takes.

Nothing is written outside the cache and `/run/vya-backupdb`. Everything on an engine carries the prefix
`vya-backupdb`, so that what is ours can be told from what is the user's. All addresses that the host can see lie in
`ADDRESSES`: 172.31.249.0/24 is the private engine's bridge, 172.31.250.0/24 the nodes' network.
"""

import os
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CHECKOUT: Final = HERE.parent.parent

RUN: Final = Path("/run/vya-backupdb")
SOCKET: Final = RUN / "docker.sock"
PID_FILE: Final = RUN / "docker.pid"
EXEC_ROOT: Final = RUN / "exec"

ADDRESSES: Final = IPv4Network("172.31.240.0/20")
ENGINE_BRIDGE: Final = "172.31.249.1/24"
ADDRESS_POOL: Final = "base=172.31.240.0/21,size=24"
NODE_NETWORK: Final = "172.31.250.0/24"
SERVICE_RANGE: Final = "10.96.0.0/16"
DNS_ADDRESS: Final = "10.96.0.10"
POD_RANGE: Final = "10.244.0.0/16"

NETWORK: Final = "vya-backupdb-cluster"
CLUSTER: Final = "vya-backupdb"


def cache() -> Path:
    """Return the cache folder, made if it is missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "vya-backupdb"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def binaries() -> Path:
    """Return the folder of what was compiled; `kubectl` in it is the cluster's own."""
    folder = cache() / "bin"
    folder.mkdir(exist_ok=True)
    return folder


def kubeconfig() -> Path:
    """Return where the cluster's kubeconfig lies; never the user's own."""
    return cache() / "cluster" / "kubeconfig"

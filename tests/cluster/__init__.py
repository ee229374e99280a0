"""The cluster under the tests, and the Docker engine below it.

`ensure_cluster()` brings up a real Kubernetes cluster, or finds it up. Everything is idempotent, may be interrupted and
called again, and leaves the user's kubeconfig and Docker configuration alone.
"""

from tests.cluster.api import ensure_cluster, existing_cluster, pack_images, take_down
from tests.cluster.cluster import Cluster, ClusterError
from tests.cluster.command import CommandError
from tests.cluster.engine import Engine, EngineUnavailable, ensure_engine, stop_engine

__all__ = [
    "Cluster",
    "ClusterError",
    "CommandError",
    "Engine",
    "EngineUnavailable",
    "ensure_cluster",
    "ensure_engine",
    "existing_cluster",
    "pack_images",
    "stop_engine",
    "take_down",
]

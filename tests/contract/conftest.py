"""The two sides of the contract: the fake in memory, and the real API server with no right but the operator's own."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from tests.cluster import Cluster, EngineUnavailable, ensure_cluster
from tests.contract.fake import FakeGateway
from tests.contract.rights import ServiceAccount, install_definitions
from vya_backupdb.kube.aio import connect
from vya_backupdb.kube.gateway import Gateway, Manifest, ResourceType

NAMESPACE = "vya-contract"


class Bench(Protocol):
    """What a test of the contract stands on: the gateway, and a user beside it with every right."""

    namespace: str

    @property
    def gateway(self) -> Gateway:
        """What is held to the contract."""

    def put(self, type_: ResourceType, manifest: Manifest) -> Manifest:
        """Play the user: create or change an object, and return it."""

    def wait_gone(self, type_: ResourceType, name: str) -> None:
        """Return when the object is gone."""


@dataclass
class MemoryBench:
    """The fake."""

    gateway: FakeGateway
    namespace: str = NAMESPACE

    def put(self, type_: ResourceType, manifest: Manifest) -> Manifest:
        """Create or change at once."""
        return self.gateway.put(type_, manifest)

    def wait_gone(self, type_: ResourceType, name: str) -> None:
        """Look at once: the fake's garbage collector does not dawdle."""
        assert (type_.kind, self.namespace, name) not in self.gateway.objects


@dataclass
class ClusterBench:
    """The real thing."""

    gateway: Gateway
    cluster: Cluster
    namespace: str = NAMESPACE

    def put(self, type_: ResourceType, manifest: Manifest) -> Manifest:
        """Kubectl apply, as the cluster's administrator."""
        whole = {"apiVersion": type_.api_version, "kind": type_.kind, **manifest}
        argv = ("apply", "--server-side", "--force-conflicts", "--field-manager=user", "-o", "json", "-f", "-")
        return dict(json.loads(self.cluster.kubectl(*argv, input=json.dumps(whole)).stdout))

    def wait_gone(self, type_: ResourceType, name: str) -> None:
        """Watch until it is gone."""
        what = f"{type_.plural}.{type_.group}/{name}" if type_.group else f"{type_.plural}/{name}"
        self.cluster.kubectl("-n", self.namespace, "wait", "--for=delete", what, "--timeout=60s")


@pytest.fixture(scope="session")
def account() -> Iterator[tuple[Cluster, ServiceAccount]]:
    """Give a service account with the operator's rights, in a namespace that goes afterwards."""
    try:
        cluster = ensure_cluster()
    except EngineUnavailable as reason:
        pytest.skip(f"no cluster: {reason}")
    install_definitions(cluster)
    with ServiceAccount.made(cluster, NAMESPACE) as account:
        yield cluster, account


@pytest.fixture(params=["memory", pytest.param("cluster", marks=pytest.mark.e2e)])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Give each side in turn."""
    if request.param == "memory":
        yield MemoryBench(FakeGateway(lambda: datetime(2026, 11, 22, 12, 0, tzinfo=UTC)))
        return
    cluster, account = request.getfixturevalue("account")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(account.kubeconfig()))
    async with await connect(kubeconfig=str(kubeconfig)) as gateway:
        yield ClusterBench(gateway, cluster)

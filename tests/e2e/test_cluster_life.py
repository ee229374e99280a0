"""A cluster's life, from nothing to nothing: two nodes and a private engine in namespaces of their own."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import EngineUnavailable, pack_images
from tests.cluster.isolated import run_isolated


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in a life of two nodes and a private engine, from nothing to nothing.

    Neither needs nor meets the cluster of the stories, which another worker uses meanwhile.
    """
    if os.geteuid() != 0:
        pytest.skip("an engine of its own, in namespaces of its own, needs root")
    archive: Path = tmp_path_factory.mktemp("images") / "nodes.tar"
    try:
        provider = pack_images(archive)
    except EngineUnavailable as reason:
        pytest.skip(f"no cluster: {reason}")
    if not archive.exists():
        pytest.skip(f"this machine's clusters are made by {provider}: our own nodes were not tried")
    result = run_isolated("tests.cluster.without_trace", archive)
    archive.unlink()
    assert result.returncode == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_down_leaves_nothing(life: dict[str, Any]) -> None:
    # else the looks at the system would prove nothing
    assert {"links", "rules", "mounts", "control groups", "processes", "files"} <= life["up"].keys()
    left = [line for lines in life["cluster down"].values() for line in lines]
    assert not [line for line in left if "vya-backupdb-node" in line or " br-" in line or "containerd-shim" in line]
    assert life["engine down"] == {}


def test_pods_of_two_nodes_meet_also_after_the_engine_was_killed(life: dict[str, Any]) -> None:
    heard = "hello from the other node\n"

    assert life["pods meet"] == heard
    assert life["mended"] == {"pid file was stale": True, "no engine answered": True, "pods meet": heard}

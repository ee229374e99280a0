"""The cluster and the stage on which the stories are told; both for the whole session."""

from collections.abc import Iterator

import pytest
from tests.cluster import Cluster, EngineUnavailable, ensure_cluster
from tests.e2e.support.databases import Database
from tests.e2e.support.faults import Faults, set_faults
from tests.e2e.support.stage import Stage, set_stage


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Give the cluster; skip, with the reason, where no Docker engine can run."""
    try:
        return ensure_cluster()
    except EngineUnavailable as reason:
        pytest.skip(f"no cluster: {reason}")


@pytest.fixture(scope="session")
def stage(cluster: Cluster) -> Iterator[Stage]:
    """Give the installed chart, the servers, and a namespace for each story."""
    with set_stage(cluster) as ready:
        yield ready


@pytest.fixture(scope="session")
def postgres(stage: Stage) -> Database:
    """Give the shared PostgreSQL 17."""
    return stage.databases["postgres"]


@pytest.fixture(scope="session")
def mariadb(stage: Stage) -> Database:
    """Give the shared MariaDB 11.8."""
    return stage.databases["mariadb"]


@pytest.fixture(scope="session")
def mysql(stage: Stage) -> Database:
    """Give the shared MySQL 9.7."""
    return stage.databases["mysql"]


@pytest.fixture(scope="session")
def faults(stage: Stage) -> Iterator[Faults]:
    """Give the faulty instances of the healing stories, which two modules share."""
    with set_faults(stage) as faulty:
        yield faulty

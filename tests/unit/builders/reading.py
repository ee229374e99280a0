"""Every manifest that is built here, and how a test reads one."""

from typing import Any

import pytest
import yaml
from tests.unit.builders.samples import manifests

from vya_backupdb.builders import labels
from vya_backupdb.domain.config import parse_config

MANIFESTS = manifests()

every_manifest = pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS.keys())


def job_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return metadata and spec of the Job, or of a CronJob's template for it."""
    found: dict[str, Any] = manifest["spec"]["jobTemplate"] if manifest["kind"] == "CronJob" else manifest
    return found


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job_of(manifest)["spec"]["template"]
    return found


def container_of(manifest: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod_of(manifest)["spec"]["containers"]
    return dict(found)


def sources_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    (inputs,) = (volume for volume in pod_of(manifest)["spec"]["volumes"] if volume["name"] == "inputs")
    return list(inputs["projected"]["sources"])


def words_of(manifest: dict[str, Any]) -> list[str]:
    """Return the arguments as the container gets them: kubelet makes '$' of '$$'."""
    return [word.replace("$$", "$") for word in container_of(manifest)["args"]]


def config_of(manifest: dict[str, Any]) -> Any:
    text = pod_of(manifest)["metadata"]["annotations"][labels.CONFIG]
    return parse_config(yaml.safe_load(text), source="config.yaml")

"""The examples: valid, consistent with each other, fit for a restricted namespace, and without a secret in them."""

import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.tools.generate import ROOT

from vya_backupdb.domain.specs import (
    API_VERSION,
    BackupInstance,
    BackupSchedule,
    RestoreRequest,
    SpecProblem,
    parse,
)

FOLDER = ROOT / "examples"
FILES = sorted(FOLDER.glob("*.yaml"))
SCRIPT = (FOLDER / "20-secrets.sh").read_text()
README = (FOLDER / "README.md").read_text()


def _documents(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


ALL = [document for file in FILES for document in _documents(file)]
OURS = [parse(document) for document in ALL if document["apiVersion"] == API_VERSION]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_object_is_valid(file: Path) -> None:
    for document in _documents(file):
        if document["apiVersion"] == API_VERSION:
            assert not isinstance(parse(document), SpecProblem)
        else:
            kubernetes_validate.validate(document, "1.36", strict=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_file_says_what_it_shows(file: Path) -> None:
    assert file.read_text().startswith("# ")
    assert f"`{file.name}`" in README
    assert re.match(r"\d\d-", file.name)


def test_all_live_in_one_namespace() -> None:
    places = {document["metadata"].get("namespace") for document in ALL if document["kind"] != "Namespace"}

    assert places == {"shop"}


def test_story_has_what_it_needs() -> None:
    assert not [one for one in OURS if isinstance(one, SpecProblem)]
    instances = {one.name: one for one in OURS if isinstance(one, BackupInstance)}
    schedules = [one for one in OURS if isinstance(one, BackupSchedule)]
    restores = [one for one in OURS if isinstance(one, RestoreRequest)]

    assert len(instances) == len(schedules) == len(restores) == 2
    assert {one.spec.instance_ref.name for one in schedules} == instances.keys()
    assert {one.spec.source.instance_ref.name for one in restores} == instances.keys()


def test_names_that_are_referred_to_exist() -> None:
    claims = {document["metadata"]["name"] for document in ALL if document["kind"] == "PersistentVolumeClaim"}
    services = {document["metadata"]["name"] for document in ALL if document["kind"] == "Service"}
    secrets = set(re.findall(r"^\s*secret ([a-z-]+) ", SCRIPT, re.MULTILINE))

    for one in OURS:
        if isinstance(one, BackupInstance):
            given = one.spec.credentials
            assert one.spec.storage.persistent_volume_claim.claim_name in claims
            assert one.spec.host in services
            assert given.secret_ref.name in secrets
            assert given.keyring_secret_ref is None or given.keyring_secret_ref.name in secrets
    mounted = set(re.findall(r"secretName: ([a-z-]+)", "".join(file.read_text() for file in FILES)))
    assert mounted <= secrets


def test_servers_pass_the_restricted_level() -> None:
    servers = [document for document in ALL if document["kind"] == "StatefulSet"]

    assert [one["metadata"]["name"] for one in servers] == ["mariadb", "postgresql"]
    for server in servers:
        spec = server["spec"]["template"]["spec"]
        security = spec["containers"][0]["securityContext"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert not [
            one for one in spec["containers"][0]["env"] if "PASSWORD" in one["name"] and "_FILE" not in one["name"]
        ]


def test_no_secret_stands_in_a_file() -> None:
    assert not [document for document in ALL if document["kind"] == "Secret"]
    assert not re.search(r"--from-literal|password=[A-Za-z0-9]{4}", SCRIPT)


def test_script_of_the_secrets_is_a_script() -> None:
    subprocess.run(("bash", "-n", str(FOLDER / "20-secrets.sh")), check=True)
    assert (FOLDER / "20-secrets.sh").stat().st_mode & 0o100

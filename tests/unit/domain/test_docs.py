"""The documentation says what the code does: tables of exit codes and fields are held to the models."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from vya_backupdb.domain.config import AuditConfig, DatabaseConfig, StorageConfig
from vya_backupdb.domain.config_retention import AnomalyConfig, RetentionConfig
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.specs import SpecProblem, parse
from vya_backupdb.domain.timeouts import TimeoutsConfig

DOCS = Path(__file__).parents[3] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text()


def test_the_table_of_exit_codes_is_the_enum() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (yes|no) \| (.+) \|$", CONFIGURATION, re.MULTILINE)
    expected = [(str(e.value), e.reason, "yes" if e.retryable else "no", e.meaning) for e in ExitCode]
    assert rows == expected


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("databases[]", DatabaseConfig),
        ("storage", StorageConfig),
        ("retention", RetentionConfig),
        ("audit", AuditConfig),
        ("retention.anomaly", AnomalyConfig),
    ],
)
def test_each_field_is_documented_and_no_other(heading: str, model: type[BaseModel]) -> None:
    section = CONFIGURATION.split(f"### `{heading}`")[1].split("\n### ")[0].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    documented = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert documented == set(model.model_fields)


def test_each_timeout_is_documented_with_its_default() -> None:
    section = CONFIGURATION.split("### Time-outs")[1].split("\n### ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", section, re.MULTILINE))
    assert rows == {name: str(field.default) for name, field in TimeoutsConfig.model_fields.items()}


RESOURCES = [
    document
    for page in (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")))
    for block in re.findall(r"^ *```yaml\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    for document in yaml.safe_load_all(textwrap.dedent(block))
    if "apiVersion" in document
]


@pytest.mark.parametrize("document", RESOURCES, ids=lambda document: document["metadata"]["name"])
def test_each_resource_in_the_pages_is_valid(document: dict[str, Any]) -> None:
    assert not isinstance(parse(document), SpecProblem)

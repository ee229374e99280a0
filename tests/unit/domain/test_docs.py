"""The documentation says what the code does: tables of exit codes and fields are held to the models."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from vya_backupdb.domain.config import DatabaseConfig, RetentionConfig, StorageConfig
from vya_backupdb.domain.exitcodes import ExitCode

DOCS = Path(__file__).parents[3] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text()


def test_the_table_of_exit_codes_is_the_enum() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (yes|no) \| (.+) \|$", CONFIGURATION, re.MULTILINE)
    expected = [(str(e.value), e.reason, "yes" if e.retryable else "no", e.meaning) for e in ExitCode]
    assert rows == expected


@pytest.mark.parametrize(
    ("heading", "model"),
    [("databases[]", DatabaseConfig), ("storage", StorageConfig), ("retention", RetentionConfig)],
)
def test_each_field_is_documented_and_no_other(heading: str, model: type[BaseModel]) -> None:
    section = CONFIGURATION.split(f"### `{heading}`")[1].split("\n### ")[0].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    documented = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert documented == set(model.model_fields)

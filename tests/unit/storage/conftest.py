"""Where the storage tests write."""

from pathlib import Path

import pytest


@pytest.fixture(params=["disk", "tmpfs"])
def base(request: pytest.FixtureRequest) -> Path:
    """A base path that does not exist yet, on each kind of file system that is at hand."""
    parent: Path = request.getfixturevalue("tmp_path" if request.param == "disk" else "memory")
    return parent / "backups"

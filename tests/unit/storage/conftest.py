"""Where the storage tests write."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory on a tmpfs, where a sync costs nothing; any user may pass through it."""
    if not MEMORY.is_dir():
        pytest.skip("no /dev/shm: crashes, large trees and tmpfs are NOT tested")
    path = Path(tempfile.mkdtemp(dir=MEMORY, prefix="vya-backupdb-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["disk", "tmpfs"])
def base(request: pytest.FixtureRequest) -> Path:
    """A base path that does not exist yet, on each kind of file system that is at hand."""
    parent: Path = request.getfixturevalue("tmp_path" if request.param == "disk" else "memory")
    return parent / "backups"

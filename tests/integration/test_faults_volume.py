"""The volume fails a run: full, read-only, gone. No hang, no lie, no space lost, and the next run heals it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.fixtures.faulty import assert_heals, backup
from tests.fixtures.workspace import Connect, Workspace

from vya_backupdb.domain.exitcodes import ExitCode


@contextmanager
def full_volume(path: Path, size: str) -> Iterator[None]:
    """A file system of a few hundred KiB."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny file system needs root")
def test_a_full_volume_is_named_gives_back_its_space_and_heals(
    workspace: Workspace, database: str, connect: Connect
) -> None:
    with connect("shop") as connection:
        connection.execute(
            "CREATE TABLE big AS SELECT n, md5(n::text) || md5((-n)::text) t FROM generate_series(1, 50000) n"
        )
    with full_volume(workspace.backups, "1m"):
        done = backup(workspace)
        assert (done.code, done.row["reason"]) == (ExitCode.NO_SPACE, "NoSpace")
        free = os.statvfs(workspace.backups)
        assert free.f_bavail * free.f_frsize > 900_000
        workspace.assert_tidy()
        subprocess.run(["mount", "-o", "remount,size=64m", str(workspace.backups)], check=True)
        assert_heals(workspace)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system read-only needs root")
def test_a_read_only_volume_is_named_before_the_server_is_asked(workspace: Workspace, database: str) -> None:
    with full_volume(workspace.backups, "1m"):
        subprocess.run(["mount", "-o", "remount,ro", str(workspace.backups)], check=True)
        workspace.instance["port"] = 1
        done = backup(workspace)
    assert done.code == ExitCode.STORAGE_UNAVAILABLE
    assert "read-only" in done.err

"""Users files of one's own: private, whole, never in the place of another."""

import gzip
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from vya_backupdb.domain.errors import BackupCorrupt, ConfigurationError, NotFound, StorageError
from vya_backupdb.storage import users_text


@pytest.mark.parametrize("name", ["users.sql", "users.sql.gz"])
def test_what_is_written_is_read_and_nobody_elses(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert users_text.write(path, ["grün;\n".encode(), b"b;\n"]) == 10
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert users_text.read(path) == "grün;\nb;\n"
    with pytest.raises(ConfigurationError, match="exists already"):
        users_text.write(path, [b"other"])
    assert users_text.read(path) == "grün;\nb;\n"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises((ConfigurationError, StorageError)):
        users_text.write(tmp_path / "link", [b"x"])
    assert not (tmp_path / "target").exists()


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise NotFound("the server went away")

    with pytest.raises(NotFound):
        users_text.write(tmp_path / "users.sql", broken())
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_users_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        users_text.read(tmp_path / "none")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"x" * 1000)[:-9])
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("cut.gz", "bytes"):
        with pytest.raises(BackupCorrupt):
            users_text.read(tmp_path / name)

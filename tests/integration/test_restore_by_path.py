"""Files that are no backups of ours: Chinook's own scripts, packed or not, and what is no SQL."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients import clients_of
from tests.fixtures import samples
from tests.fixtures.engine_rig import KINDS
from tests.fixtures.restoring import restoring
from tests.integration.test_engines_chinook import ROWS, script_path
from tests.servers import Server

from vya_backupdb.domain.errors import BackupCorrupt, BackupDBError, ConfigurationError, NotFound
from vya_backupdb.domain.undertaking import OWN_NAME
from vya_backupdb.storage import outside


@pytest.mark.parametrize("image", ["postgres:17", "mariadb:11.8", "mysql:9.7"])
def test_chinooks_own_script_is_restored_by_its_path(
    image: str, servers: Callable[[str], Server], tmp_path: Path
) -> None:
    server = servers(image)
    one = restoring(tmp_path, KINDS[server.product], clients_of(image), demo=server)
    chinook = "chinook" if server.product == "postgres" else "Chinook"
    before = samples.names(server)
    try:
        samples.create_empty(server, chinook)
        script = script_path(server.product)
        packed = tmp_path / "chinook.sql.gz"
        packed.write_bytes(gzip.compress(script.read_bytes()))
        for target, path in (("copy", script), ("copy", packed)):
            mode = "rename" if path == packed else "fail"
            request = one.request(target, mode, database=target, path=path)
            plan = one.plan(request)
            assert plan.refusals == ()
            assert plan.inspection.transforms
            assert any("whole" in warning for warning in plan.warnings)
            report = one.restore(target, mode, database=target, path=path)
            assert report.restored is not None
            assert report.restored.rows == ROWS
            assert report.restored.transforms
        # the database that the script would have dropped and made is as it was: empty
        assert samples.state(server, chinook) == _empty(server)
        made = {name for name in samples.names(server) - before if not OWN_NAME.fullmatch(name)}
        assert made == {chinook, "copy", "nothing"}
    finally:
        for name in samples.names(server) - before:
            samples.drop(server, name)


def _empty(server: Server) -> dict[str, object]:
    samples.create_empty(server, "nothing")
    return samples.state(server, "nothing")


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"PGDMP\1\2", ConfigurationError, "custom format"),
        (b"\x28\xb5\x2f\xfd...", ConfigurationError, "zstd"),
        ("SELECT 1;".encode("utf-16"), ConfigurationError, "UTF-16"),
        (gzip.compress(b"SELECT 1;\n" * 1000, mtime=0)[:-5], BackupCorrupt, "ends early"),
        (gzip.compress(b"SELECT 1;\n", mtime=0) + b"more", BackupCorrupt, "follow the end"),
    ],
    ids=["custom", "zstd", "utf-16", "cut", "more"],
)
def test_what_is_no_plain_dump_is_told(tmp_path: Path, content: bytes, error: type[BackupDBError], words: str) -> None:
    path = tmp_path / "dump.sql.gz"
    path.write_bytes(content)
    with pytest.raises(error, match=words):
        list(outside.read_foreign(path))


def test_a_foreign_file_is_told_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "dump.sql"
    path.write_bytes(b"\xef\xbb\xbfSELECT 1;\n")
    assert outside.stored_at(path) is None
    assert b"".join(outside.read_foreign(path)) == b"SELECT 1;\n"
    path.write_bytes(gzip.compress(b"SELECT 2;\n"))
    assert b"".join(outside.read_foreign(path)) == b"SELECT 2;\n"
    path.write_bytes(b"")
    assert b"".join(outside.read_foreign(path)) == b""
    with pytest.raises(NotFound):
        list(outside.read_foreign(tmp_path / "nothing.sql"))
    with pytest.raises(ConfigurationError, match="regular"):
        list(outside.read_foreign(tmp_path))

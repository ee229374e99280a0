"""What a backup must not leave out in silence, and what it may not take for a loss."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.workspace import Connect, Workspace

SCRIPT = """
CREATE TABLE refsys (id int PRIMARY KEY, t text);
INSERT INTO refsys SELECT n, 'given' FROM generate_series(1, 50) n;
SELECT pg_catalog.pg_extension_config_dump('refsys', 'WHERE id > 50');
"""


@pytest.fixture
def extension(connect: Connect) -> Iterator[str]:
    """An extension with a table of its own that users add rows to, as PostGIS' spatial_ref_sys."""
    with tempfile.TemporaryDirectory() as name, connect("postgres") as connection:
        folder = Path(name) / "extension"
        folder.mkdir()
        (folder / "refs.control").write_text("default_version = '1'\nschema = public\nrelocatable = false\n")
        (folder / "refs--1.sql").write_text(SCRIPT)
        for path in (Path(name), folder):
            path.chmod(0o755)
        connection.execute(f"ALTER ROLE CURRENT_USER SET extension_control_path = '{name}:$system'".encode())
        yield "refs"
        connection.execute("ALTER ROLE CURRENT_USER RESET extension_control_path")


def test_rows_added_to_an_extensions_table_come_back(
    workspace: Workspace, database: str, connect: Connect, extension: str
) -> None:
    with connect(database) as connection:
        connection.execute(f"CREATE EXTENSION {extension}".encode())
        connection.execute("INSERT INTO refsys VALUES (1001, 'mine')")
    assert workspace.run("backup", "--database", database).code == 0
    done = workspace.run("restore", "--database", database, "--to-database", "restored")
    assert done.code == 0, done.err
    with connect("restored") as connection:
        rows = connection.execute("SELECT count(*), max(t) FILTER (WHERE id > 50) FROM refsys").fetchone()
    assert rows == (51, "mine")

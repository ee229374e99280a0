"""The catalogue's commands on a real server: list, show, verify, adopt, and a restore by hand as `show` says it."""

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.demo.embedded import EmbeddedServer
from tests.fixtures.workspace import Connect, Workspace

from vya_backupdb.domain.config import StorageConfig
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.storage.tree import InstanceTree, Tree


def open_tree(workspace: Workspace) -> InstanceTree:
    """Return the instance's tree."""
    return Tree(StorageConfig(base_path=str(workspace.backups))).instance("db", "demo")


def shown(workspace: Workspace, backup: str) -> dict[str, Any]:
    """Return what ``show`` says of a backup."""
    (one,) = json.loads(workspace.run("show", backup, "--output", "json").out)
    return dict(one)


def test_what_is_listed_shown_verified_and_restored_by_hand(
    workspace: Workspace, database: str, connect: Connect, embedded: EmbeddedServer, tmp_path: Path
) -> None:
    assert workspace.run("backup").code == 0
    (made,) = workspace.ids("shop")
    (workspace.tree / "README").write_text("notes of a colleague")
    one = shown(workspace, made)
    assert (one["status"], one["tables"], one["reason"], one["pin"], one["anomaly"]) == (
        "success", 1, "cli", None, None,
    )  # fmt: skip
    assert one["metadata"]["tables"] == [{"schema": "public", "name": "item", "rows": 1000}]
    assert [Path(path).exists() for path in one["files"]] == [True] * 3
    table = workspace.run("show", made, "--output", "table").out
    assert "to restore it by hand:" in table
    assert f"PostgreSQL {one['metadata']['tool']['server_version']}" in table

    whole = json.loads(workspace.run("verify", "--output", "json").out)
    assert [(each["outcome"], each["problem"]) for each in whole] == [("whole", None)] * 2

    with connect("postgres") as connection:
        connection.execute(f"DROP DATABASE {database}")
    environment = {
        "PATH": f"{embedded.programs}:{os.environ['PATH']}",
        "PGHOST": embedded.host,
        "PGPORT": str(embedded.port),
        "PGUSER": embedded.user,
        "PGPASSWORD": embedded.password,
    }
    script = "set -e\n" + "\n".join(one["restore_by_hand"])
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (1000,)


def test_damage_is_found_told_and_remembered(workspace: Workspace, database: str) -> None:
    assert workspace.run("backup", "--database", "shop").code == 0
    (made,) = workspace.ids("shop")
    data = workspace.data_file(made)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 4
    data.write_bytes(bytes(content))
    (workspace.tree / "stray.sql").write_text("SELECT 1;")

    (listed,) = json.loads(workspace.run("list", "--output", "json").out)
    assert listed["databases"][0]["status"] == "success"  # nobody has read the bytes yet
    assert [(one["kind"], Path(one["path"]).name) for one in listed["others"]] == [("alien", "stray.sql")]

    workspace.audit()
    found = workspace.run("verify", "--level", "file", "--output", "json")
    assert found.code == ExitCode.BACKUP_CORRUPT
    assert workspace.audited() == [("verify", "shop", "failed", None)]
    (report,) = (run for run in open_tree(workspace).runs() if run.operation == "verify")
    assert (report.exit_code, report.message) == (ExitCode.BACKUP_CORRUPT, "1 backup: 1 corrupt")
    assert [(row.name, row.reason) for row in report.databases] == [("shop", "BackupCorrupt")]
    assert str(report.databases[0].error).startswith(f"{made}: ")
    (one,) = json.loads(found.out)
    assert one["outcome"] == "corrupt"
    assert one["problem"]

    table = workspace.run("list", "--database", "shop", "--format", "table").out
    assert "found damaged on" in table
    assert "stray.sql: not of this format" in table
    assert workspace.run("restore", "--database", "shop", "--to-database", "again").code == ExitCode.BACKUP_CORRUPT
    assert shown(workspace, made)["restore_by_hand"] == []
    assert workspace.run("verify", "--backup", "nothing_20260101_000000_full").code == ExitCode.NOT_FOUND


def test_a_foreign_dump_is_adopted_and_comes_back(
    workspace: Workspace, database: str, connect: Connect, embedded: EmbeddedServer
) -> None:
    dump = subprocess.run(
        [str(Path(embedded.programs) / "pg_dump"), "--no-owner", "-d", database],
        env={
            "PGHOST": embedded.host,
            "PGPORT": str(embedded.port),
            "PGUSER": embedded.user,
            "PGPASSWORD": embedded.password,
        },
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    file = workspace.root / "from elsewhere.sql.gz"
    file.write_bytes(gzip.compress(dump))
    workspace.audit()
    done = workspace.run("adopt", str(file), "--database", "shop", "--taken-at", "2026-01-02T03:04:05Z")
    assert done.code == 0, done.err
    assert workspace.audited() == [("adopt", "shop", "success", "shop_20260102_030405_full")]
    backup = json.loads(done.out)["backup"]
    assert (backup["id"], backup["reason"], backup["schedule"]) == ("shop_20260102_030405_full", "adopted", None)
    assert "adopted" in workspace.run("list", "--database", "shop", "--format", "table").out
    restored = workspace.run("restore", "--database", "shop", "--to-database", "again")
    assert restored.code == 0, restored.err
    with connect("again") as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (1000,)

    half = workspace.root / "half.sql"
    half.write_bytes(dump[: len(dump) // 2])
    refused = workspace.run("adopt", str(half), "--database", "shop")
    assert (refused.code, "is no complete dump" in refused.err) == (ExitCode.BACKUP_FAILED, True)
    assert workspace.audited()[-1] == ("adopt", "shop", "failed", None)
    assert workspace.ids("shop") == ["shop_20260102_030405_full"]

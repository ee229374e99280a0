"""The rest of the command line on a real server: check, list, retention, formats, and the report of a Job."""

import json
import os
import pty
import re
import subprocess
from typing import Any

from tests.fixtures.workspace import PROGRAM, Connect, Workspace

from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import parse_report

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(workspace: Workspace, *arguments: str) -> tuple[int, str]:
    """Run the program on a terminal of 120 columns; return its exit code and what the terminal got."""
    path = workspace.write_config()
    ours, theirs = pty.openpty()
    environment = {"VYA_BACKUPDB_CONFIG": str(path), "TERM": "xterm-256color", "COLUMNS": "120", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        (*PROGRAM, *arguments), env=workspace.environ(environment), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = bytearray()
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # EIO: the last holder of the other end is gone
            break
        if not data:
            break
        shown += data
    os.close(ours)
    return process.wait(), shown.decode()


def test_on_a_terminal_a_person_sees_tables_and_progress(workspace: Workspace, database: str) -> None:
    code, shown = on_terminal(workspace, "backup")
    assert code == 0
    assert "\x1b[" in shown
    text = ESCAPES.sub("", shown)
    assert re.search(r"✔ +shop +[\d.]+ KiB +[\d.]+ s +shop_\d{8}_\d{6}_full", text)
    assert re.search(r"✔ +users and roles", text)
    assert "1 database backed up" in text
    code, shown = on_terminal(workspace, "restore", "--database", "shop")
    assert code == ExitCode.TARGET_EXISTS
    text = ESCAPES.sub("", shown)
    assert "error: the target 'shop' exists" in text
    assert "hint: Restore to another name" in text


def test_a_hostile_name_does_not_move_the_cursor(workspace: Workspace, connect: Connect) -> None:
    name = "a\x1b[2Jb\nc [bold]d"
    with connect("postgres") as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        for command in ("backup", "list", "check"):
            code, shown = on_terminal(workspace, command)
            assert code == 0, shown
            assert "\x1b[2J" not in shown
            assert "a\\x1b[2Jb\\nc [bold]d" in ESCAPES.sub("", shown)
        assert workspace.run("restore", "--database", name, "--to-database", name + "2").code == 0
    finally:
        with connect("postgres") as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
            connection.execute(f'DROP DATABASE IF EXISTS "{name}2"')


def test_the_formats_are_documents_or_lines(workspace: Workspace, database: str) -> None:
    document = json.loads(workspace.run("backup", "--format", "json").out)
    assert (document["operation"], document["exit_code"]) == ("backup", 0)
    events = [line["event"] for line in workspace.run("backup").lines]
    assert (events[0], events[-1]) == ("run_started", "run_finished")
    assert events.count("database_finished") == 2
    table = workspace.run("backup", "--format", "table")
    assert "✔ 1 database backed up" in table.out
    assert "\x1b" not in table.out
    plan = json.loads(workspace.run("backup", "--dry-run", "--format", "json").out)
    assert plan == [{"instance": "demo", "databases": ["shop"]}]


def test_a_check_finds_what_would_be_in_the_way_and_what_would_be_missed(workspace: Workspace, database: str) -> None:
    workspace.instance["exclude_databases"] = ["shop"]
    log = workspace.root / "log"
    done = workspace.run("check", "--termination-log", str(log), "--run-id", "check-1")
    assert done.code == 0, done.out
    report = parse_report(log.read_text())
    assert report is not None
    assert report.server is not None
    assert (report.server.product, report.server.databases, report.server.uncovered) == ("PostgreSQL", 1, 0)
    assert {finding.reason for finding in report.findings} >= {"NothingCovered"}
    assert [(row.name, row.status) for row in report.databases] == [("shop", "skipped")]
    assert report.storage is not None
    assert report.storage.free_bytes
    assert [path.name for path in workspace.files()] == [".lock", ".owner.json"]

    workspace.instance["include_databases"] = ["nowhere", "shop"]
    workspace.instance["exclude_databases"] = []
    failed = workspace.run("check", "--format", "json")
    assert failed.code == ExitCode.CHECK_FAILED
    (row,) = json.loads(failed.out)["databases"]
    assert (row["name"], row["objects"], row["size_bytes"] > 0) == ("shop", {"tables": 1}, True)
    workspace.set_credentials("postgres", "wrong")
    workspace.config["storage"]["min_free_bytes"] = 1 << 60
    wrong = workspace.run("check", "--format", "json")
    assert wrong.code == ExitCode.AUTHENTICATION_FAILED
    assert [one["reason"] for one in json.loads(wrong.out)["findings"]] == ["AuthenticationFailed", "NoSpace"]


def test_list_shows_the_last_backup_and_how_the_last_attempt_ended(workspace: Workspace, database: str) -> None:
    workspace.instance["include_databases"] = ["shop", "nowhere"]

    def listed() -> dict[str, Any]:
        (document,) = json.loads(workspace.run("list", "--format", "json").out)
        return {entry["name"]: entry for entry in document["databases"]}

    assert {name: entry["status"] for name, entry in listed().items()} == {
        "shop": "never",
        "nowhere": "never",
        "": "never",
    }
    assert workspace.run("backup").code == ExitCode.PARTIAL
    assert {name: entry["status"] for name, entry in listed().items()} == {
        "shop": "success", "nowhere": "failed", "": "success",
    }  # fmt: skip
    (made,) = workspace.ids("shop")
    assert listed()["shop"]["last"]["id"] == made
    workspace.instance["port"] = 1
    assert workspace.run("backup").code == ExitCode.CONNECTION_FAILED
    assert "the last run failed: ConnectionFailed" in workspace.run("list", "--format", "table").out
    data = workspace.data_file(made)
    data.write_bytes(data.read_bytes()[:-1])
    shop = listed()["shop"]
    assert (shop["status"], shop["last"], shop["corrupt"]) == ("partial", None, 1)


def test_a_job_finds_its_report_and_its_slot(workspace: Workspace, database: str) -> None:
    workspace.config.update(schedule="nightly", owner="team/shop")
    log = workspace.root / "termination-log"
    log.write_text("x" * 4096)
    done = workspace.run(
        "backup",
        VYA_BACKUPDB_RUN_ID="nightly-backup-29876543",
        VYA_BACKUPDB_REASON="scheduled",
        VYA_BACKUPDB_TERMINATION_LOG=str(log),
    )
    assert done.code == 0
    report = parse_report(log.read_bytes())
    assert report is not None
    assert (report.run, report.totals.databases, report.exit_code) == ("nightly-backup-29876543", 1, 0)
    assert len(log.read_bytes()) <= 4096
    saved = parse_report((workspace.tree / ".runs" / "nightly-backup-29876543.json").read_bytes())
    assert saved is not None
    assert {(row.kind, row.name): row for row in saved.databases} == {
        (row.kind, row.name): row for row in report.databases
    }
    assert saved.model_copy(update={"databases": ()}) == report.model_copy(update={"databases": ()})
    (path,) = workspace.tree.rglob("shop_*.metadata.json")
    metadata = json.loads(path.read_text())
    assert metadata["run"]["scheduled_time"] == "2026-10-21T14:23:00Z"
    assert (metadata["run"]["schedule"], metadata["run"]["reason"]) == ("nightly", "scheduled")
    assert abs(metadata["run"]["clock_skew_seconds"]) < 5
    assert [table["rows"] for table in metadata["tables"]] == [1000]


def test_several_instances_in_one_run_do_not_stop_each_other(workspace: Workspace, database: str) -> None:
    other = {**workspace.instance, "id": "gone", "port": 1}
    workspace.config["databases"].insert(0, other)
    done = workspace.run("backup", "--format", "json")
    assert done.code == ExitCode.PARTIAL
    assert [report["reason"] for report in json.loads(done.out)] == ["ConnectionFailed", "Succeeded"]
    assert "127.0.0.1:1" in done.err

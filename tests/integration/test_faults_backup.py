"""Backups that must not count: each fault ends in its exit code and a sentence, publishes nothing, and heals."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.demo.embedded import EmbeddedServer
from tests.fixtures.workspace import PROGRAM, Connect, Done, Workspace, finish, scripted_client

from vya_backupdb.domain.exitcodes import ExitCode

VERSION = "pg_dump (PostgreSQL) 18.6"
HEAD = "--\n-- PostgreSQL database dump\n--\n\n"
COPY = 'COPY "public"."item" ("id", "name") FROM stdin;\n'
MARKER = "--\n-- PostgreSQL database dump complete\n--\n\n"


def backup(workspace: Workspace, *more: str, **environment: str) -> Done:
    return workspace.run("backup", "--database", "shop", *more, **environment)


def assert_heals(workspace: Workspace) -> None:
    """A run after the fault was mended works, without anyone having deleted anything."""
    workspace.environment["VYA_BACKUPDB_CLIENT_PATH"] = workspace.environment["VYA_BACKUPDB_CLIENT_PATH"].split(":")[-1]
    done = backup(workspace)
    assert done.code == 0, done.err
    assert len(workspace.ids("shop")) == 1
    workspace.assert_tidy()


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([["out", HEAD], ["out", "x\n", 3_000_000], ["signal", 9]], "killed by signal 9"),
        ([["out", HEAD], ["err", "pg_dump: error: out of luck\n"], ["exit", 1]], "out of luck"),
        ([["out", HEAD]], "not complete"),
        ([["out", HEAD + COPY + "1\ta\n"], ["close"], ["exit", 0]], "not complete"),
        ([["out", HEAD + MARKER]], "public.item"),
        ([["out", HEAD + COPY + "1\ta\n\\.\n\n" + MARKER + "more\n"]], "not complete"),
        ([["out", HEAD + COPY + "\\.\n\n" + MARKER], ["err", "pg_dump: warning: skipped it\n"]], "skipped it"),
    ],
    ids=["killed", "error", "no marker", "cut in a table", "table missing", "after the marker", "unknown warning"],
)
def test_a_dump_that_is_not_whole_is_not_published(
    workspace: Workspace, database: str, steps: list[list[object]], says: str
) -> None:
    workspace.clients("fake", pg_dump=scripted_client(VERSION, *steps))
    done = backup(workspace)
    assert (done.code, done.row["status"]) == (ExitCode.BACKUP_FAILED, "failed")
    assert says in done.row["error"]
    assert done.row["reason"] == "BackupFailed"
    assert workspace.ids("shop") == []
    workspace.assert_tidy()
    assert_heals(workspace)


def test_a_warning_that_is_allowed_is_accepted(workspace: Workspace, database: str) -> None:
    whole = HEAD + COPY + "\\.\n\n" + MARKER
    workspace.clients("fake", pg_dump=scripted_client(VERSION, ["err", "odd but fine\n", 3], ["out", whole]))
    workspace.instance["allowed_stderr"] = ["odd but .*"]
    done = backup(workspace)
    assert done.code == 0, done.out


def test_a_flood_of_warnings_blocks_nothing_and_is_no_success(workspace: Workspace, database: str) -> None:
    whole = HEAD + COPY + "\\.\n\n" + MARKER
    workspace.clients("fake", pg_dump=scripted_client(VERSION, ["err", "odd but fine\n", 9_000_000], ["out", whole]))
    workspace.instance["allowed_stderr"] = ["odd but .*"]
    done = backup(workspace)
    assert (done.code, done.row["reason"]) == (ExitCode.BACKUP_FAILED, "BackupFailed")
    assert "more about 'shop' than can be judged" in done.row["error"]
    assert len(json.dumps(done.report)) < 4096


def test_one_failure_stops_no_other_and_a_retry_dumps_only_what_is_missing(
    workspace: Workspace, database: str, embedded: EmbeddedServer, connect: Connect
) -> None:
    with connect("postgres") as connection:
        connection.execute("CREATE DATABASE crm")
    real = str(embedded.programs / "pg_dump")
    workspace.clients("fake", pg_dump=scripted_client(VERSION, ["signal", 9], only_for="dbname=crm", otherwise=real))
    first = workspace.run("backup", "--run-id", "nightly-29876543")
    assert first.code == ExitCode.PARTIAL
    assert first.report["totals"] | {"size_bytes": 0} == {"databases": 2, "succeeded": 1, "failed": 1, "size_bytes": 0}
    assert {row["name"]: row["status"] for row in first.report["databases"]} == {
        "crm": "failed", "shop": "success", "": "success",
    }  # fmt: skip
    workspace.environment["VYA_BACKUPDB_CLIENT_PATH"] = str(embedded.programs)

    second = workspace.run("backup", "--run-id", "nightly-29876543")
    assert second.code == 0
    assert len(workspace.ids("shop")) == len(workspace.ids("crm")) == 1
    before = workspace.files()

    third = workspace.run("backup", "--run-id", "nightly-29876543")
    assert (third.code, third.report["reason"]) == (0, "AlreadyDone")
    assert workspace.files() == before
    workspace.assert_tidy()


def test_a_database_that_is_named_and_missing_fails_by_name(workspace: Workspace, database: str) -> None:
    workspace.instance["include_databases"] = ["shop", "nowhere"]
    done = workspace.run("backup")
    assert done.code == ExitCode.PARTIAL
    assert "nowhere (NotFound)" in done.report["message"]


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda w: w.set_credentials("postgres", "wrong"), ExitCode.AUTHENTICATION_FAILED, "password"),
        (lambda w: w.instance.update(port=1), ExitCode.CONNECTION_FAILED, "127.0.0.1:1"),
        (lambda w: w.instance.update(host="no-such-host.invalid"), ExitCode.CONNECTION_FAILED, "no-such-host.invalid"),
        (lambda w: (w.credentials / "password").unlink(), ExitCode.CREDENTIALS_MISSING, "'password'"),
        (lambda w: w.config["credentials"].update(encoding="fernet"), ExitCode.CREDENTIALS_MISSING, "keyring"),
        (lambda w: w.config.update(retension={}), ExitCode.INVALID_CONFIGURATION, "retension"),
        (lambda w: w.config["storage"].update(compression_level=11), ExitCode.INVALID_CONFIGURATION, "compression"),
        (lambda w: w.environment.update(VYA_BACKUPDB_CLIENT_PATH="", PATH="/"), ExitCode.CLIENT_MISSING, "postgresql-"),
        (lambda w: w.config["storage"].update(min_free_bytes=1 << 60), ExitCode.NO_SPACE, "min_free_bytes"),
    ],
    ids=[
        "wrong password", "closed port", "unknown host", "no password", "no keyring", "unknown key", "bad value",
        "no client", "too little space",
    ],
)  # fmt: skip
def test_a_cause_has_its_code_a_sentence_and_a_report(
    workspace: Workspace, database: str, change: "object", code: ExitCode, says: str
) -> None:
    assert callable(change)
    change(workspace)
    log = workspace.root / "termination-log"
    done = backup(workspace, "--termination-log", str(log))
    report = json.loads(log.read_text())
    assert (done.code, report["exit_code"], report["reason"]) == (code, code, code.reason)
    said = report["message"] + done.err
    assert says in said
    assert "Traceback" not in done.out + done.err
    assert not list(workspace.backups.rglob("*.sql.gz"))


def test_a_wrong_key_is_named(workspace: Workspace, database: str) -> None:
    ring, other = workspace.root / "keyring", workspace.root / "other"
    for path in (ring, other):
        path.write_text(workspace.run("keys", "generate").out)
        path.chmod(0o600)
    for name, value in (("username", "postgres"), ("password", "x")):
        token = encrypted(workspace, other, value)
        (workspace.credentials / name).write_text(token)
    workspace.config["credentials"].update(encoding="fernet", keyring=str(ring))
    done = backup(workspace)
    assert done.code == ExitCode.CREDENTIALS_UNREADABLE
    assert "username" in done.err


def encrypted(workspace: Workspace, keyring: Path, value: str) -> str:
    process = subprocess.run(
        [*PROGRAM, "credentials", "encrypt", "--keyring", str(keyring)],
        env=workspace.environ({}), input=value, text=True, capture_output=True, check=True,
    )  # fmt: skip
    return process.stdout


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


@pytest.fixture
def fifos(workspace: Workspace) -> tuple[Path, Path]:
    """Two events: the client is in the middle of its dump; it may go on."""
    paths = workspace.root / "reached", workspace.root / "go-on"
    for path in paths:
        os.mkfifo(path)
    return paths


def paused_client(fifos: tuple[Path, Path], otherwise: str = "") -> str:
    reached, go_on = map(str, fifos)
    return scripted_client(
        VERSION, ["out", HEAD], ["announce", reached], ["await", go_on], only_for="dbname=shop", otherwise=otherwise
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_and_its_client_and_leaves_nothing(
    workspace: Workspace, database: str, fifos: tuple[Path, Path], number: signal.Signals
) -> None:
    workspace.clients("fake", pg_dump=paused_client(fifos))
    log = workspace.root / "termination-log"
    process = workspace.start("backup", "--database", "shop", "--termination-log", str(log))
    fifos[0].read_bytes()
    process.send_signal(number)
    done = finish(process)
    assert done.code == ExitCode.INTERRUPTED
    assert json.loads(log.read_text())["reason"] == "Interrupted"
    assert number.name in done.report["message"]
    assert clients_alive(workspace) == []
    workspace.assert_tidy()
    assert_heals(workspace)


def clients_alive(workspace: Workspace) -> list[str]:
    """Return the command lines of processes that this workspace's programs started and left."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(workspace.root) in line and "fake_dumper" in line:
            found.append(line)
    return found


def test_the_deadline_ends_the_run(workspace: Workspace, database: str, fifos: tuple[Path, Path]) -> None:
    workspace.clients("fake", pg_dump=paused_client(fifos))
    workspace.config["run"] = {"deadline_seconds": 2}
    done = backup(workspace)
    assert (done.code, done.row["reason"]) == (ExitCode.DEADLINE_EXCEEDED, "DeadlineExceeded")
    workspace.assert_tidy()


def test_what_a_killed_run_left_is_removed_by_the_next(
    workspace: Workspace, database: str, fifos: tuple[Path, Path]
) -> None:
    workspace.clients("fake", pg_dump=paused_client(fifos))
    process = workspace.start("backup", "--database", "shop", "--run-id", "killed-one")
    fifos[0].read_bytes()
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    fifos[1].write_bytes(b"")  # the orphan goes on, and ends by itself
    assert [path for path in workspace.files() if ".partial-" in path.name]
    assert_heals(workspace)


def test_two_runs_at_once_both_end_well_and_never_dump_one_database_together(
    workspace: Workspace, database: str, fifos: tuple[Path, Path], embedded: EmbeddedServer
) -> None:
    reached, go_on = map(str, fifos)
    real = str(embedded.programs / "pg_dump")
    text = f"""
import os, sys
if "--version" not in sys.argv:
    os.close(os.open({reached!r}, os.O_WRONLY))
    open({go_on!r}).read()
os.execv({real!r}, [{real!r}, *sys.argv[1:]])
"""
    workspace.clients("slow", pg_dump=text)
    first = workspace.start("backup", "--database", "shop")
    fifos[0].read_bytes()
    workspace.environment["VYA_BACKUPDB_CLIENT_PATH"] = str(embedded.programs)
    second = workspace.start("backup", "--database", "shop")
    assert second.stdout is not None
    for line in second.stdout:
        if json.loads(line).get("step") == "locking":
            break
    assert workspace.ids("shop") == []
    fifos[1].write_bytes(b"")
    assert [finish(one).code for one in (first, second)] == [0, 0]
    assert len(workspace.ids("shop")) == 2
    workspace.assert_tidy()


def test_a_database_that_another_run_holds_is_busy(
    workspace: Workspace, database: str, fifos: tuple[Path, Path], embedded: EmbeddedServer
) -> None:
    workspace.clients("fake", pg_dump=paused_client(fifos))
    first = workspace.start("backup", "--database", "shop")
    fifos[0].read_bytes()
    workspace.instance["lock_wait_seconds"] = 0
    second = backup(workspace)
    assert (second.code, second.row["reason"]) == (ExitCode.BUSY, "Busy")
    first.terminate()
    finish(first)


def test_a_lost_lock_fails_the_dump(
    workspace: Workspace, database: str, fifos: tuple[Path, Path], connect: Connect, embedded: EmbeddedServer
) -> None:
    real = str(embedded.programs / "pg_dump")
    text = f"""
import os, subprocess, sys
if "--version" in sys.argv:
    os.execv({real!r}, [{real!r}, "--version"])
dump = subprocess.run([{real!r}, *sys.argv[1:]], stdout=subprocess.PIPE, close_fds=False)
os.close(os.open({str(fifos[0])!r}, os.O_WRONLY))
open({str(fifos[1])!r}).read()
os.write(1, dump.stdout)
"""
    workspace.clients("slow", pg_dump=text)
    process = workspace.start("backup", "--database", "shop")
    fifos[0].read_bytes()
    with connect("postgres") as connection:
        killed = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        ).fetchone()
    assert killed == (1,)
    fifos[1].write_bytes(b"")
    done = finish(process)
    assert (done.code, workspace.ids("shop")) == (ExitCode.BACKUP_FAILED, [])
    assert "lock" in done.row["error"]
    workspace.assert_tidy()


def test_a_table_that_is_truncated_under_the_dump_is_found(
    workspace: Workspace, database: str, fifos: tuple[Path, Path], connect: Connect, embedded: EmbeddedServer
) -> None:
    real = str(embedded.programs / "pg_dump")
    text = f"""
import os, sys
if "--version" not in sys.argv:
    os.close(os.open({str(fifos[0])!r}, os.O_WRONLY))
    open({str(fifos[1])!r}).read()
os.execv({real!r}, [{real!r}, *sys.argv[1:]])
"""
    workspace.clients("slow", pg_dump=text)
    process = workspace.start("backup", "--database", "shop")
    fifos[0].read_bytes()
    with connect("shop") as connection:
        connection.execute("TRUNCATE item")
    fifos[1].write_bytes(b"")
    done = finish(process)
    assert (done.code, workspace.ids("shop")) == (ExitCode.BACKUP_FAILED, [])
    assert "item" in done.row["error"]


def test_another_instance_is_kept_out_of_the_tree(workspace: Workspace, database: str) -> None:
    workspace.config["owner"] = "team-a/shop"
    assert backup(workspace).code == 0
    before = workspace.files()
    workspace.config["owner"] = "team-b/shop"
    done = backup(workspace)
    assert done.code == ExitCode.TREE_OWNED_BY_ANOTHER
    assert "team-a/shop" in done.err
    assert workspace.files() == before

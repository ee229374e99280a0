"""Backups that must not count: each fault ends in its exit code and a sentence, publishes nothing, and heals."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.demo.embedded import EmbeddedServer
from tests.fixtures.faulty import COPY, HEAD, MARKER, VERSION, WHOLE, assert_heals, backup
from tests.fixtures.workspace import PROGRAM, Connect, Workspace, scripted_client

from vya_backupdb.domain.exitcodes import ExitCode


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
    workspace.clients("fake", pg_dump=scripted_client(VERSION, ["err", "odd but fine\n", 3], ["out", WHOLE]))
    workspace.instance["allowed_stderr"] = ["odd but .*"]
    done = backup(workspace)
    assert done.code == 0, done.out


def test_a_flood_of_warnings_blocks_nothing_and_is_no_success(workspace: Workspace, database: str) -> None:
    workspace.clients("fake", pg_dump=scripted_client(VERSION, ["err", "odd but fine\n", 9_000_000], ["out", WHOLE]))
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


def test_another_instance_is_kept_out_of_the_tree(workspace: Workspace, database: str) -> None:
    workspace.config["owner"] = "team-a/shop"
    assert backup(workspace, "--run-id", "nightly").code == 0
    before = workspace.files()
    workspace.config["owner"] = "team-b/shop"
    # the last one under the name of the run that is complete there: it has backed up nothing of ours
    for done in (backup(workspace), backup(workspace, "--run-id", "nightly")):
        assert done.code == ExitCode.TREE_OWNED_BY_ANOTHER
        assert "team-a/shop" in done.err
    claimed = ("--claim", "team-b.back.0", "--claim-uid", "1", "--to-database", "stolen")
    taken = workspace.run("restore", "--run-id", "back", "--database", database, *claimed)
    assert taken.code == ExitCode.TREE_OWNED_BY_ANOTHER
    assert "remove its .owner.json" in taken.err
    assert workspace.files() == before


def test_a_job_by_hand_takes_no_other_jobs_backups_for_its_own(workspace: Workspace, database: str) -> None:
    """A run is called like its Job: a second one of the same name would find everything done, and call that success."""
    workspace.config["schedule"] = "nightly"
    scheduled = ("--reason", "scheduled", "--run-id")
    for run in ("by-hand", "nightly-backup-29391234"):
        assert backup(workspace, *scheduled, run, "--job-uid", "1").code == 0
        again = backup(workspace, *scheduled, run, "--job-uid", "1")
        assert (again.code, "AlreadyDone" in again.out) == (0, True)
    before = workspace.files()
    taken = backup(workspace, *scheduled, "by-hand", "--job-uid", "2")
    assert taken.code == ExitCode.RUN_NAME_TAKEN
    assert "a name of its own" in taken.err
    assert workspace.files() == before
    # one slot is one run, whichever Job it is; so is one value of a trigger
    for reason, run in (("scheduled", "nightly-backup-29391234"), ("manual", "by-hand")):
        assert backup(workspace, "--reason", reason, "--run-id", run, "--job-uid", "2").code == 0
